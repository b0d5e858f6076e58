//! What would change the winner: one answer at a time, by asking again.

use super::{
    Answers, Constants, Load,
    numeral::Rough,
    question::{Choice, Question},
    score::Sheet,
};
use crate::Technique;

/// One change that makes another technique win, everything else as answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// What changes.
    pub question: Question,
    /// To what.
    pub change: Change,
    /// Who wins then.
    pub winner: Technique,
}

/// How an answer changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// To this option.
    To(Choice),
    /// To this number or a little more: clients; for [`Question::SendRate`] and [`Question::EventRate`], sends or
    /// events a minute for each client.
    Above(f64),
    /// To this number or a little less, in the same units.
    Below(f64),
}

impl Flip {
    /// One sentence without its full stop: `WebSocket above 21 sends a minute`.
    pub fn sentence(&self) -> String {
        let winner = self.winner.label();
        let (word, number) = match self.change {
            Change::To(choice) => {
                return format!("{winner} if “{}” is “{}”", self.question.label(), choice.label);
            }
            Change::Above(number) => ("above", number),
            Change::Below(number) => ("below", number),
        };
        let (noun, per) = match self.question {
            Question::SendRate => ("send", " a minute"),
            Question::EventRate => ("event", " a minute"),
            _ => ("client", ""),
        };
        let number = Rough(number).to_string();
        let plural = if number == "1" { "" } else { "s" };
        format!("{winner} {word} {number} {noun}{plural}{per}")
    }
}

/// Every flip, in the order of the questions. For a number that is the nearest threshold each way; the options of the
/// same question may flip too.
pub(super) fn flips(answers: &Answers, constants: &Constants) -> Vec<Flip> {
    let load = answers.load();
    let now = winner(answers, &load, constants);
    let mut flips = Vec::new();
    for question in Question::ALL {
        for (place, choice) in question.options().iter().enumerate() {
            let changed = answers.with(question, place);
            let winner = winner(&changed, &changed.load(), constants);
            if winner != now {
                flips.push(Flip { question, change: Change::To(*choice), winner });
            }
        }
        let Some(dial) = Dial::of(question, &load) else { continue };
        let winner_at = |number| winner(answers, &(dial.turned)(&load, number), constants);
        for (end, change) in [
            (dial.least, Change::Below as fn(f64) -> Change),
            (dial.most, Change::Above as fn(f64) -> Change),
        ] {
            if let Some((number, winner)) = threshold(dial.now, end, now, winner_at) {
                let number = if question == Question::Clients { number.round() } else { number };
                flips.push(Flip { question, change: change(number), winner });
            }
        }
    }
    flips
}

fn winner(answers: &Answers, load: &Load, constants: &Constants) -> Technique {
    Sheet::counted(answers, load, constants).order()[0]
}

/// A number of the load that can be anything between two others. All are above zero.
struct Dial {
    now: f64,
    least: f64,
    most: f64,
    turned: fn(&Load, f64) -> Load,
}

impl Dial {
    /// One send or event in a hundred minutes, to a hundred a second.
    const A_MINUTE: [f64; 2] = [0.01, 6000.0];

    /// `None` where the question is not about a number, or the number is zero: who never sends has no rate.
    fn of(question: Question, load: &Load) -> Option<Self> {
        let [least, most] = Self::A_MINUTE;
        let dial = match question {
            Question::Clients => Self {
                now: f64::from(load.clients),
                least: 1.0,
                most: f64::from(Answers::MAX_CLIENTS),
                turned: |load, number| Load { clients: whole(number), ..*load },
            },
            Question::SendRate => Self {
                now: load.sends_per_s * 60.0,
                least,
                most,
                turned: |load, number| Load { sends_per_s: number / 60.0, ..*load },
            },
            Question::EventRate => Self {
                now: load.events_per_s * 60.0,
                least,
                most,
                turned: |load, number| Load { events_per_s: number / 60.0, ..*load },
            },
            _ => return None,
        };
        (dial.now > 0.0).then_some(dial)
    }
}

/// How many steps of equal ratio are tried on the way to an end before the place is narrowed down.
const STEPS: u32 = 64;

/// The place nearest to `start`, on the way to `end`, from which another technique than `now` wins, and which.
/// A stretch narrower than a step may be passed over.
fn threshold(
    start: f64,
    end: f64,
    now: Technique,
    winner_at: impl Fn(f64) -> Technique,
) -> Option<(f64, Technique)> {
    let place = |step: u32| start * (end / start).powf(f64::from(step) / f64::from(STEPS));
    let step = (1..=STEPS).find(|step| winner_at(place(*step)) != now)?;
    let (mut near, mut far) = (place(step - 1), place(step));
    // 30 halvings of a step: finer than any number that is shown.
    for _ in 0..30 {
        let middle = (near * far).sqrt();
        if winner_at(middle) == now { near = middle } else { far = middle }
    }
    Some((far, winner_at(far)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the scale of clients"
)]
fn whole(clients: f64) -> u32 {
    clients.round().clamp(1.0, f64::from(Answers::MAX_CLIENTS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{
        Http2, Proxies, SendRate, Sends, advise,
        fixtures::{constants, every_answer},
    };

    #[test]
    fn each_flip_makes_the_winner_it_names() {
        let constants = constants();
        let mut found = [0; 3];
        // Every 7th keeps this fast, and 7 divides no number of options.
        for answers in every_answer().into_iter().step_by(7) {
            let advice = advise(&answers, &constants);
            for flip in &advice.flips {
                assert_ne!(flip.winner, advice.winner(), "{answers:?}");
                let winner = match flip.change {
                    Change::To(choice) => {
                        found[0] += 1;
                        let place =
                            flip.question.options().iter().position(|option| *option == choice).unwrap();
                        let changed = answers.with(flip.question, place);
                        winner(&changed, &changed.load(), &constants)
                    }
                    Change::Above(number) | Change::Below(number) => {
                        found[if matches!(flip.change, Change::Above(_)) { 1 } else { 2 }] += 1;
                        let dial = Dial::of(flip.question, &advice.load).unwrap();
                        assert_eq!(matches!(flip.change, Change::Above(_)), number > dial.now, "{flip:?}");
                        winner(&answers, &(dial.turned)(&advice.load, number), &constants)
                    }
                };
                assert_eq!(winner, flip.winner, "{flip:?} of {answers:?}");
            }
        }
        assert!(found.iter().all(|count| *count > 0), "{found:?}");
    }

    #[test]
    fn no_option_that_flips_is_left_out() {
        let constants = constants();
        for answers in every_answer().into_iter().step_by(97) {
            let advice = advise(&answers, &constants);
            for question in Question::ALL {
                for (place, choice) in question.options().iter().enumerate() {
                    let changed = answers.with(question, place);
                    let winner = winner(&changed, &changed.load(), &constants);
                    let told = advice
                        .flips
                        .iter()
                        .any(|flip| flip.question == question && flip.change == Change::To(*choice));
                    assert_eq!(told, winner != advice.winner(), "{question:?} {choice:?} of {answers:?}");
                }
            }
        }
    }

    #[test]
    fn talking_back_more_often_ends_in_a_websocket() {
        let answers = Answers { send_rate: SendRate::EveryFewSeconds, ..Answers::default() };
        let answers = Answers { http2: Http2::No, proxies: Proxies::None, ..answers };
        let flips = flips(&answers, &constants());
        let above = flips
            .iter()
            .find(|flip| flip.question == Question::SendRate && matches!(flip.change, Change::Above(_)));
        let flip = above.unwrap_or_else(|| panic!("{flips:?}"));
        assert_eq!(flip.winner, Technique::Websocket);
        let Change::Above(number) = flip.change else { panic!("{flip:?}") };
        assert!((2.0..60.0).contains(&number), "{flip:?}");
        assert!(flip.sentence().starts_with("WebSocket above "), "{}", flip.sentence());
    }

    #[test]
    fn who_never_sends_has_no_rate_of_sends() {
        let answers = Answers { sends: Sends::Never, ..Answers::default() };
        assert!(flips(&answers, &constants()).iter().all(|flip| flip.question != Question::SendRate));
    }

    #[test]
    fn sentences_name_the_change() {
        let flip = |question, change| Flip { question, change, winner: Technique::Websocket }.sentence();
        assert_eq!(flip(Question::SendRate, Change::Above(21.4)), "WebSocket above 21 sends a minute");
        assert_eq!(flip(Question::Clients, Change::Below(43_217.0)), "WebSocket below 43,000 clients");
        let choice = Question::Http2.options()[1];
        assert_eq!(flip(Question::Http2, Change::To(choice)), "WebSocket if “HTTP/2 end to end?” is “No”");
    }
}
