//! The choice of a technique: eight answers and measured constants become a recommendation with reasons and costs.
//!
//! [`Answers`] is what a person answers and [`Load`] the same in numbers; [`project`] computes the cost of each
//! technique under a load, and [`advise`] ranks the four. A number in a sentence comes from [`Constants`], which a
//! command measures, or from the answers. Judgement is only in `rules`, the weights of `score` and the margins of
//! [`Strength`].

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
