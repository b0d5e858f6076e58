//! Flips: the changes of a single answer that would make another technique win, found by scoring again.

use super::{
    Answers, Constants, Load,
    numeral::Rough,
    question::{Choice, Question},
    score::Sheet,
};
use crate::Technique;

/// One change of an answer that makes another technique win, everything else as answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flip {
    /// Question whose answer changes.
    pub question: Question,
    /// The new answer, or the threshold that a number crosses.
    pub change: Change,
    /// Technique that wins after the change.
    pub winner: Technique,
}

/// A change of one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The answer changes to this option.
    To(Choice),
    /// The number changes to this one or slightly more. It counts clients, or for [`Question::SendRate`] and
    /// [`Question::EventRate`] the sends or events a minute for each client.
    Above(f64),
    /// The number changes to this one or slightly less, in the units of [`Self::Above`].
    Below(f64),
}

impl Flip {
    /// Returns the flip as a sentence without its full stop: `WebSocket above 21 sends a minute`.
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

/// Finds every flip, in the order of the questions. A number has at most one flip in each direction, at the nearest
/// threshold; the options of the same question may flip as well.
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

/// A number of the load that is varied between two limits. All three are above zero.
struct Dial {
    now: f64,
    least: f64,
    most: f64,
    turned: fn(&Load, f64) -> Load,
}

impl Dial {
    /// Limits of a rate: from one send or event in a hundred minutes to a hundred a second, by the minute.
    const A_MINUTE: [f64; 2] = [0.01, 6000.0];

    /// Returns the question's number; `None` if it has none, or if the number is zero, as for a client that never
    /// sends.
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

/// Number of steps of equal ratio between the answer and a limit that are tried before a threshold is narrowed down.
const STEPS: u32 = 64;

/// Returns the number nearest to `start`, towards `end`, at which another technique than `now` wins, and that
/// technique. A range narrower than one step may be missed.
fn threshold(
    start: f64,
    end: f64,
    now: Technique,
    winner_at: impl Fn(f64) -> Technique,
) -> Option<(f64, Technique)> {
    let place = |step: u32| start * (end / start).powf(f64::from(step) / f64::from(STEPS));
    let step = (1..=STEPS).find(|step| winner_at(place(*step)) != now)?;
    let (mut near, mut far) = (place(step - 1), place(step));
    // Halving a step 30 times is more exact than any number that is shown.
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
        // Only every 7th set is tried, to keep this fast; 7 divides no number of options.
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
