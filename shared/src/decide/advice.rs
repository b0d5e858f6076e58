//! The advice: the four techniques ranked for a set of answers, with every reason.

use super::{
    Answers, Constants, Cost, Crossovers, Flip, Load, Source, cost::project, crossover::crossovers,
    flip::flips, score::Sheet,
};
use crate::Technique;

/// A recommendation for a set of answers, with its reasons and the changes that would overturn it.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The four techniques, the best first.
    pub ranking: [Ranked; 4],
    /// Difference between the scores of the first and the second technique; 0 or more.
    pub margin: f64,
    /// The margin in words.
    pub strength: Strength,
    /// Changes of one answer that would make another technique win, in the order of the questions.
    pub flips: Vec<Flip>,
    /// Points at which one technique becomes cheaper than another, everything else as answered.
    pub crossovers: Crossovers,
    /// The answers in numbers, with assumptions for the numbers that no question asks for.
    pub load: Load,
    /// Cost of each technique under the load, by [`Technique::index`].
    pub costs: [Cost; 4],
}

/// One technique in a ranking.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranked {
    /// The ranked technique.
    pub technique: Technique,
    /// Sum of the reasons' weights; may be negative.
    pub score: f64,
    /// True if the technique can't meet the answers, so that it comes last whatever its score. One of the reasons
    /// explains it.
    pub blocked: bool,
    /// Reasons that block come first, then the others by weight, from the strongest for to the strongest against.
    pub reasons: Vec<Reason>,
}

/// One sentence for or against a technique.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Direction of the reason.
    pub effect: Effect,
    /// Weight of the reason: above 0 for the technique, below 0 against it, and 0 if it blocks.
    pub weight: f64,
    /// Source of the reason.
    pub source: Source,
    /// The reason as a sentence without its full stop.
    pub text: String,
}

/// The direction in which a reason counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The reason speaks for the technique.
    For,
    /// The reason speaks against the technique.
    Against,
    /// The reason rules the technique out.
    Blocks,
}

/// The confidence of a recommendation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// A margin above 2: no single minor reason overturns it.
    ClearChoice,
    /// A margin above 0.8, up to 2.
    Recommended,
    /// A margin of at most 0.8: the second technique does as well.
    CloseCall,
}

impl Strength {
    /// Returns the strength in words, as the start of a line.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ClearChoice => "Clear choice",
            Self::Recommended => "Recommended",
            Self::CloseCall => "Close call",
        }
    }

    const fn of(margin: f64) -> Self {
        match margin {
            margin if margin > 2.0 => Self::ClearChoice,
            margin if margin > 0.8 => Self::Recommended,
            _ => Self::CloseCall,
        }
    }
}

impl Advice {
    /// Returns the recommended technique, the first of the ranking.
    pub const fn winner(&self) -> Technique {
        self.ranking[0].technique
    }
}

/// Ranks the techniques for these answers, by rules that each have a source and by the cost model with these constants.
pub fn advise(answers: &Answers, constants: &Constants) -> Advice {
    let load = answers.load();
    let mut sheet = Sheet::told(answers, &load, constants);
    let mut reasons = sheet.reasons.take().unwrap_or_default();
    let ranking = sheet.order().map(|technique| {
        let mut reasons = std::mem::take(&mut reasons[technique.index()]);
        reasons.sort_by(|a, b| {
            let blocks = |reason: &Reason| reason.effect == Effect::Blocks;
            blocks(b).cmp(&blocks(a)).then(b.weight.total_cmp(&a.weight))
        });
        let (score, blocked) = (sheet.scores[technique.index()], sheet.blocked[technique.index()]);
        Ranked { technique, score, blocked, reasons }
    });
    let margin = ranking[0].score - ranking[1].score;
    Advice {
        margin,
        strength: Strength::of(margin),
        flips: flips(answers, constants),
        crossovers: crossovers(&load, constants),
        costs: project(&load, constants),
        load,
        ranking,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Binary, EventRate, Freshness, Http2, Proxies, SendRate, Sends,
        fixtures::{constants, every_answer, zeros},
    };

    #[track_caller]
    fn check(case: &str, answers: Answers, expected: Technique) {
        let advice = advise(&answers, &constants());
        let scores = advice.ranking.each_ref().map(|ranked| (ranked.technique.code(), ranked.score));
        assert_eq!(advice.winner(), expected, "{case}: {scores:?}");
    }

    #[test]
    fn well_known_cases_get_the_answer_of_the_field() {
        let typing = Answers {
            sends: Sends::AllTheTime,
            send_rate: SendRate::TenPerSecond,
            freshness: Freshness::Ms100,
            event_rate: EventRate::PerSecond,
            ..Answers::default()
        };
        check("chat with typing", typing, Technique::Websocket);
        check("the same in binary", Answers { binary: Binary::Yes, ..typing }, Technique::Websocket);
        check("a game", Answers { event_rate: EventRate::TenPerSecond, ..typing }, Technique::Websocket);

        let score = Answers { sends: Sends::Never, clients: 50_000, ..Answers::default() };
        check("live score", score, Technique::Sse);
        check("live score, seconds late", Answers { freshness: Freshness::S10, ..score }, Technique::Sse);
        check("prices", Answers { event_rate: EventRate::TenPerSecond, ..score }, Technique::Sse);

        let report = Answers {
            freshness: Freshness::Minutes,
            event_rate: EventRate::PerMinute,
            sends: Sends::Never,
            ..Answers::default()
        };
        check("a report", report, Technique::ShortPoll);
        check("a report for all", Answers { clients: Answers::MAX_CLIENTS, ..report }, Technique::ShortPoll);

        check("notifications with replies", Answers::default(), Technique::Sse);
    }

    #[test]
    fn behind_filters_on_http1_a_rare_sender_polls() {
        for sends in [Sends::Never, Sends::Sometimes] {
            for freshness in [Freshness::S1, Freshness::S10, Freshness::Minutes] {
                let (proxies, http2) = (Proxies::Many, Http2::No);
                let answers = Answers { sends, freshness, http2, proxies, ..Answers::default() };
                let winner = advise(&answers, &constants()).winner();
                assert!(
                    matches!(winner, Technique::ShortPoll | Technique::LongPoll),
                    "{winner}: {answers:?}"
                );
            }
        }
    }

    #[test]
    fn a_ranking_has_each_technique_once_from_best_to_worst() {
        for constants in [constants(), zeros()] {
            for (at, answers) in every_answer().into_iter().enumerate() {
                // Searching flips is slow, so only every 13th set is tried; 13 divides no number of options.
                if at % 13 != 0 {
                    continue;
                }
                let advice = advise(&answers, &constants);
                let mut techniques = advice.ranking.each_ref().map(|ranked| ranked.technique);
                techniques.sort_unstable();
                assert_eq!(techniques, Technique::ALL, "{answers:?}");
                assert!(advice.margin >= 0.0 && !advice.ranking[0].blocked, "{advice:?}");
                for pair in advice.ranking.windows(2) {
                    assert!(pair[1].blocked || pair[0].score >= pair[1].score, "{advice:?}");
                }
                for ranked in &advice.ranking {
                    let weights: Vec<_> =
                        ranked.reasons.iter().filter(|r| r.effect != Effect::Blocks).collect();
                    assert!(weights.windows(2).all(|pair| pair[0].weight >= pair[1].weight), "{ranked:?}");
                    assert_eq!(ranked.blocked, ranked.reasons.iter().any(|r| r.effect == Effect::Blocks));
                }
            }
        }
    }

    #[test]
    fn polls_ten_times_a_second_are_ruled_out() {
        let answers = Answers { freshness: Freshness::Ms100, proxies: Proxies::Many, ..Answers::default() };
        let advice = advise(&answers, &constants());
        assert_eq!(advice.ranking[3].technique, Technique::ShortPoll);
        assert_eq!(advice.ranking[3].reasons[0].effect, Effect::Blocks);
    }

    #[test]
    fn strength_is_the_margin_in_words() {
        let words = [2.1, 2.0, 0.81, 0.8, 0.0].map(|margin| Strength::of(margin).words());
        assert_eq!(words, ["Clear choice", "Recommended", "Recommended", "Close call", "Close call"]);
    }
}
