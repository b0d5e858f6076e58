//! The four techniques as native clients: the same rooms as the server's and the browser's, on the same resume
//! machine ([`fourways_shared::session::Session`]).
//!
//! Start at [`Subscriber`]: it opens, resumes and waits as the session says, and hands over what arrives.

mod credentials;
mod ledger;
mod long_poll;
mod operate;
mod publisher;
mod short_poll;
mod sse;
mod target;
pub mod tls;
mod websocket;

use std::{ops::ControlFlow, time::Duration};

use fourways_shared::{Advice, After, Cursor, Event, Reset, Technique, session::Session};

pub use self::{
    credentials::Credentials,
    publisher::Publisher,
    target::{Refusal, RequestError, Target, TargetError},
};

/// What a subscriber is told, in the order in which it happened.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// The server answered: a stream is open, or a poll came back.
    Opened,
    /// An event that was not here before.
    Event(Event),
    /// Continuity broke; what follows goes on from its cursor.
    Reset(Reset),
    /// The server named a place without an event.
    Position(Cursor),
    /// The connection failed or ended; the next try comes after the wait.
    Lost {
        /// What happened.
        detail: String,
        /// How long until the next try; `None`: there is none, it would only fail again.
        wait: Option<Duration>,
    },
}

/// How one connection, or one poll, ended.
enum Ended {
    /// As it should: ask again after the technique's own pause.
    Answered,
    /// It was answered with as much as an answer carries: more is waiting.
    Full,
    /// Not as it should.
    Failed { advice: Advice, detail: String },
    /// The sink wants no more.
    Stopped,
}

type Sink<'a> = dyn FnMut(Arrival) -> ControlFlow<()> + Send + 'a;

/// A subscription by one technique that survives cuts, restarts and a change of technique.
#[derive(Debug)]
pub struct Subscriber {
    target: Target,
    session: Session,
}

impl Subscriber {
    /// Nothing is opened yet. Without randomness from the system all clients jitter alike, which is no reason to fail.
    pub fn new(target: Target, after: After) -> Self {
        Self { target, session: Session::new(after, getrandom::u64().unwrap_or(1)) }
    }

    /// The place up to which everything has been handed over.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.session.cursor()
    }

    /// Runs by this technique until the sink breaks or the server's refusal is final. Called again, by the same or
    /// another technique, it goes on where it was.
    pub async fn run(
        &mut self,
        technique: Technique,
        mut sink: impl FnMut(Arrival) -> ControlFlow<()> + Send,
    ) {
        loop {
            let (target, session, sink) = (&self.target, &mut self.session, &mut sink as &mut Sink<'_>);
            let ended = match technique {
                Technique::ShortPoll => short_poll::attend(target, session, sink).await,
                Technique::LongPoll => long_poll::attend(target, session, sink).await,
                Technique::Sse => sse::attend(target, session, sink).await,
                Technique::Websocket => websocket::attend(target, session, sink).await,
            };
            match ended {
                // Pausing now would fall behind for ever at a high rate.
                Ended::Full => {}
                Ended::Answered => {
                    if technique == Technique::ShortPoll {
                        tokio::time::sleep(self.target.poll_interval).await;
                    }
                }
                Ended::Failed { advice, detail } => {
                    let wait = self.session.failed(advice);
                    if sink(Arrival::Lost { detail, wait }).is_break() {
                        return;
                    }
                    let Some(wait) = wait else { return };
                    tokio::time::sleep(wait).await;
                }
                Ended::Stopped => return,
            }
        }
    }
}

/// Hands over an event unless it was here before.
fn deliver(session: &mut Session, sink: &mut Sink<'_>, event: Event) -> ControlFlow<()> {
    if session.accept(event.cursor) { sink(Arrival::Event(event)) } else { ControlFlow::Continue(()) }
}

fn break_off(session: &mut Session, sink: &mut Sink<'_>, reset: Reset) -> ControlFlow<()> {
    session.reset(&reset);
    sink(Arrival::Reset(reset))
}

fn moved(session: &mut Session, sink: &mut Sink<'_>, cursor: Cursor) -> ControlFlow<()> {
    session.moved(cursor);
    sink(Arrival::Position(cursor))
}
