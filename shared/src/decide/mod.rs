//! Which technique to use: eight answers and measured constants become a recommendation with reasons and costs.
//!
//! [`Answers`] is what people say, [`Load`] is the same in numbers, [`project`] is what each technique costs under it,
//! [`advise`] ranks the four. A number in a sentence comes from [`Constants`], which a command measures, or from the
//! answers. Judgement stands in `rules`, in the weights of `score` and in the margins of [`Strength`], nowhere else.

mod advice;
mod amount;
mod answers;
mod asking;
mod constants;
mod cost;
mod crossover;
#[cfg(test)]
mod fixtures;
mod flip;
mod numeral;
mod processor;
mod question;
mod rules;
mod score;
mod shadow;
mod source;

pub use advice::{Advice, Effect, Ranked, Reason, Strength, advise};
pub use answers::Answers;
pub use constants::{Constants, TechniqueConstants};
pub use cost::{Cost, Load, project};
pub use crossover::{Crossovers, crossovers};
pub use flip::{Change, Flip};
pub use processor::Rest;
pub use question::{Binary, Choice, EventRate, Freshness, Http2, Proxies, Question, SendRate, Sends};
pub use shadow::{Past, Shadow, shadow};
pub use source::Source;
