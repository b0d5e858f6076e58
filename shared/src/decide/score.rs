//! Scoring: the sum of the reasons for and against each technique, from the rules and from the cost model.
//!
//! The same pass either collects its reasons or only adds up, since a search for thresholds repeats it hundreds of
//! times.

use std::fmt;

use super::{
    Answers, Constants, Cost, Effect, Freshness, Load, Reason,
    amount::{Amount, Kind},
    asking::Asking,
    cost::{Sending, project},
    numeral::{Bytes, Count, PerSecond},
    rules::RULES,
    source::{self, Source},
};
use crate::Technique::{self, LongPoll, ShortPoll, Sse, Websocket};

/// Smallest weight that counts. A smaller one is noise: it is neither added nor shown.
const LEAST_WEIGHT: f64 = 0.1;
/// Weight of twice the bandwidth or processor time with [`Answers::MAX_CLIENTS`] clients; with one client it is zero.
const TWICE_THE_TRAFFIC: f64 = 0.4;
/// Weight of twice the memory, on the same scale; lower, because memory is cheaper.
const TWICE_THE_MEMORY: f64 = 0.3;
/// Largest weight of one cost, so that none outweighs a rule that decides.
const MOST_FOR_A_COST: f64 = 2.0;
/// Weight against each doubling of 1 + requests a second of a client, which also costs battery and log space.
const TWICE_THE_REQUESTS: f64 = 0.7;
/// Weight for techniques that send by POST, as long as sends are rare.
const POST_COVERS: f64 = 1.0;
/// Weight for frames, and against POSTs, if frames would save all of SSE's bytes.
const FRAMES_COVER: f64 = 3.0;
/// Rate at which the cost of a send has half its weight: one send in ten seconds.
const NOTICED_SENDS_PER_S: f64 = 0.1;
/// Rate at which the order of sends has half its weight: one send a second.
const ORDERED_SENDS_PER_S: f64 = 1.0;
/// Weight against techniques whose [`Answers::MAX_CLIENTS`] clients all reconnect at once after a restart.
const HERD: f64 = 0.3;
/// Smallest cost: a lower one is raised to it, so that ratios stay finite.
const TINY: f64 = 1e-9;

/// The scores of the four techniques so far, by [`Technique::index`].
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) scores: [f64; 4],
    pub(super) blocked: [bool; 4],
    /// Reasons of each technique; `None` if only scores are wanted.
    pub(super) reasons: Option<[Vec<Reason>; 4]>,
}

/// A function that picks one number of a cost.
type Measure = fn(&Cost) -> f64;

impl Sheet {
    /// Scores the techniques and collects the reasons.
    pub(super) fn told(answers: &Answers, load: &Load, constants: &Constants) -> Self {
        Self::filled(Some([const { Vec::new() }; 4]), answers, load, constants)
    }

    /// Scores the techniques without collecting reasons.
    pub(super) fn counted(answers: &Answers, load: &Load, constants: &Constants) -> Self {
        Self::filled(None, answers, load, constants)
    }

    /// Returns the techniques from the best to the worst. Blocked ones come last, and equals keep the order of
    /// [`Technique::ALL`].
    pub(super) fn order(&self) -> [Technique; 4] {
        let mut order = Technique::ALL;
        order.sort_by(|a, b| {
            let (a, b) = (a.index(), b.index());
            self.blocked[a].cmp(&self.blocked[b]).then(self.scores[b].total_cmp(&self.scores[a]))
        });
        order
    }

    fn filled(
        reasons: Option<[Vec<Reason>; 4]>,
        answers: &Answers,
        load: &Load,
        constants: &Constants,
    ) -> Self {
        let mut sheet = Self { scores: [0.0; 4], blocked: [false; 4], reasons };
        for rule in RULES.iter().filter(|rule| (rule.applies)(answers)) {
            for (technique, weight, text, source) in rule.effects {
                sheet.add(*technique, *weight, *source, format_args!("{text}"));
            }
        }
        if answers.freshness == Freshness::Ms100 {
            sheet.block(
                ShortPoll,
                source::TIMERS_THROTTLED,
                format_args!(
                    "A poll every 0.1 s outruns its own answer, and a hidden tab's timer fires once a minute"
                ),
            );
        }
        let costs = project(load, constants);
        sheet.requests(load);
        sheet.sends(load, constants, &costs);
        sheet.costs(load, &costs);
        sheet
    }

    fn add(&mut self, technique: Technique, weight: f64, source: Source, text: fmt::Arguments<'_>) {
        if weight.abs() >= LEAST_WEIGHT {
            self.scores[technique.index()] += weight;
            let effect = if weight > 0.0 { Effect::For } else { Effect::Against };
            self.tell(technique, effect, weight, source, text);
        }
    }

    fn block(&mut self, technique: Technique, source: Source, text: fmt::Arguments<'_>) {
        self.blocked[technique.index()] = true;
        self.tell(technique, Effect::Blocks, 0.0, source, text);
    }

    fn tell(
        &mut self,
        technique: Technique,
        effect: Effect,
        weight: f64,
        source: Source,
        text: fmt::Arguments<'_>,
    ) {
        if let Some(reasons) = &mut self.reasons {
            reasons[technique.index()].push(Reason { effect, weight, source, text: text.to_string() });
        }
    }

    /// Adds the weight of polling: requests are made whether there are events or not.
    fn requests(&mut self, load: &Load) {
        for technique in [ShortPoll, LongPoll] {
            let asks = Asking::of(technique, load);
            let per_s = asks.full_per_s + asks.empty_per_s;
            self.add(
                technique,
                -TWICE_THE_REQUESTS * (1.0 + per_s).log2(),
                Source::Answers,
                format_args!(
                    "Requests from each client: {}, {} % of them empty",
                    PerSecond(per_s),
                    Count((asks.empty_per_s / per_s * 100.0).round())
                ),
            );
        }
    }

    /// Adds the weight of the sends, as frames or as POSTs. Two factors decide, both 0 to 1: the share of SSE's bytes
    /// that frames would save, and the rate of sends, since saving most of almost nothing is no reason.
    fn sends(&mut self, load: &Load, constants: &Constants, costs: &[Cost; 4]) {
        let sends = load.sends_per_s;
        if sends <= 0.0 {
            return;
        }
        let post = Sending::of(Sse, load, constants).bytes();
        let frame = Sending::of(Websocket, load, constants).bytes();
        let whole = costs[Sse.index()].bandwidth() / f64::from(load.clients.max(1));
        let saved = (sends * (post - frame) / whole.max(TINY)).clamp(0.0, 1.0);
        let share = saved * sends / (sends + NOTICED_SENDS_PER_S);
        for technique in [ShortPoll, LongPoll, Sse] {
            match POST_COVERS - FRAMES_COVER * share {
                weight if weight > 0.0 => self.add(
                    technique,
                    weight,
                    Source::Measured,
                    format_args!("A POST of {} is cheap enough for so few sends", Bytes(post)),
                ),
                weight => self.add(
                    technique,
                    weight,
                    Source::Measured,
                    format_args!("Each send is a POST of {}; a frame takes {}", Bytes(post), Bytes(frame)),
                ),
            }
        }
        self.add(
            Websocket,
            FRAMES_COVER * share,
            Source::Measured,
            format_args!("A send takes {} on the open socket, {} as a POST", Bytes(frame), Bytes(post)),
        );
        self.add(
            Websocket,
            sends / (sends + ORDERED_SENDS_PER_S),
            source::STREAMS,
            format_args!("Sends stay in order; POSTs close together may overtake each other"),
        );
    }

    /// Adds the weight of bandwidth, processor and memory, each compared with the geometric mean of the four on a scale
    /// of doublings. The weight grows with the logarithm of the number of clients: with ten clients, cost hardly
    /// matters.
    fn costs(&mut self, load: &Load, costs: &[Cost; 4]) {
        let clients = f64::from(load.clients.max(1));
        let stakes = clients.log10() / f64::from(Answers::MAX_CLIENTS).log10();
        let kinds: [(f64, Measure, Kind); 3] = [
            (TWICE_THE_TRAFFIC, Cost::bandwidth, Kind::Bandwidth),
            (TWICE_THE_TRAFFIC, |cost| cost.cores, Kind::Processor),
            (TWICE_THE_MEMORY, |cost| cost.memory_bytes, Kind::Memory),
        ];
        for (twice, measure, kind) in kinds {
            let amounts = costs.map(|cost| measure(&cost).max(TINY));
            let least = amounts.into_iter().fold(f64::INFINITY, f64::min);
            let mean = amounts.iter().map(|amount| amount.log2()).sum::<f64>() / 4.0;
            for technique in Technique::ALL {
                let amount = amounts[technique.index()];
                let weight =
                    (twice * stakes * (mean - amount.log2())).clamp(-MOST_FOR_A_COST, MOST_FOR_A_COST);
                let said = Amount { kind, amount, least, clients };
                self.add(technique, weight, Source::Measured, format_args!("{said}"));
            }
        }
        for technique in [LongPoll, Sse, Websocket] {
            self.add(
                technique,
                -HERD * stakes,
                source::HERD,
                format_args!("After a restart {} clients come back at once", Count(clients)),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::fixtures::{constants, every_answer, near, zeros};

    #[test]
    fn scores_are_the_sums_of_the_reasons() {
        for constants in [constants(), zeros()] {
            for answers in every_answer() {
                for clients in [1, 5000, Answers::MAX_CLIENTS] {
                    let answers = Answers { clients, ..answers };
                    let load = answers.load();
                    let sheet = Sheet::told(&answers, &load, &constants);
                    let counted = Sheet::counted(&answers, &load, &constants);
                    for (technique, reasons) in Technique::ALL.into_iter().zip(sheet.reasons.iter().flatten())
                    {
                        let score = sheet.scores[technique.index()];
                        assert!(score.is_finite(), "{technique}: {answers:?}");
                        let sum: f64 = reasons.iter().map(|reason| reason.weight).sum();
                        near(score + 100.0, sum + 100.0);
                        near(score + 100.0, counted.scores[technique.index()] + 100.0);
                        for reason in reasons {
                            assert!(!reason.text.is_empty() && !reason.text.ends_with('.'), "{reason:?}");
                            assert!(
                                !reason.text.contains("NaN") && !reason.text.contains("inf"),
                                "{reason:?}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_costs_say_is_measured_and_has_its_number() {
        let answers = Answers { clients: 1_000_000, ..Answers::default() };
        let sheet = Sheet::told(&answers, &answers.load(), &constants());
        let reasons: Vec<_> = sheet.reasons.iter().flatten().flatten().collect();
        let measured: Vec<_> = reasons.iter().filter(|reason| reason.source == Source::Measured).collect();
        assert!(measured.len() >= 8, "{measured:?}");
        for reason in measured {
            assert!(reason.text.contains(|c: char| c.is_ascii_digit()), "{reason:?}");
        }
        assert!(reasons.iter().any(|reason| reason.text.ends_with("the least of the four")), "{reasons:?}");
    }

    #[test]
    fn costs_weigh_nothing_for_one_client() {
        let answers = Answers { clients: 1, ..Answers::default() };
        let sheet = Sheet::told(&answers, &answers.load(), &constants());
        let mut told = sheet.reasons.iter().flatten().flatten();
        assert!(told.all(|reason| !reason.text.contains("least")), "{sheet:?}");
    }
}
