//! The four techniques as native clients: one module per technique, as in the server and in the browser, around the
//! state machine that all clients resume by ([`fourways_shared::session::Session`]).
//!
//! Start at [`Subscriber`]: it opens connections, resumes and waits as the session says, and hands over all that
//! arrives.

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

/// Something that happened to a subscription. Arrivals come in the order in which they happened.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// The server answered: a stream is open, or a poll came back.
    Opened,
    /// An event that has not been handed over before.
    Event(Event),
    /// Continuity broke; the events that follow continue from the reset's cursor.
    Reset(Reset),
    /// The server named a cursor without an event.
    Position(Cursor),
    /// The connection failed or ended; the subscriber reconnects after the wait.
    Lost {
        /// Description of the failure, for people.
        detail: String,
        /// Time until the next attempt; `None` if there is none, because it would only fail again.
        wait: Option<Duration>,
    },
}

/// The end of one connection, or of one poll.
enum Ended {
    /// The server answered: poll again after the technique's own pause.
    Answered,
    /// The answer was full, and more events are pending: poll again at once.
    Full,
    /// The connection failed, was refused, or ended.
    Failed { advice: Advice, detail: String },
    /// The sink asked to stop.
    Stopped,
}

type Sink<'a> = dyn FnMut(Arrival) -> ControlFlow<()> + Send + 'a;

/// A subscription that survives broken connections, restarts of the server and a change of technique. Owned by its one
/// caller; nothing is shared, and dropping the future of [`Self::run`] closes the connection.
#[derive(Debug)]
pub struct Subscriber {
    target: Target,
    session: Session,
}

impl Subscriber {
    /// Creates a subscriber without a connection. If the system has no randomness, all clients jitter alike, which is
    /// no reason to fail.
    pub fn new(target: Target, after: After) -> Self {
        Self { target, session: Session::new(after, getrandom::u64().unwrap_or(1)) }
    }

    /// Returns the cursor up to which all events have been handed over, if there is one yet.
    pub const fn cursor(&self) -> Option<Cursor> {
        self.session.cursor()
    }

    /// Reads by this technique until the sink breaks or the server's refusal is final. A further call, by the same or
    /// another technique, resumes from the cursor.
    pub async fn run(
        &mut self,
        technique: Technique,
        mut sink: impl FnMut(Arrival) -> ControlFlow<()> + Send,
    ) {
        loop {
            let (target, session, sink) = (&self.target, &mut self.session, &mut sink as &mut Sink<'_>);
            let ended = match technique {
                Technique::ShortPoll => short_poll::run(target, session, sink).await,
                Technique::LongPoll => long_poll::run(target, session, sink).await,
                Technique::Sse => sse::run(target, session, sink).await,
                Technique::Websocket => websocket::run(target, session, sink).await,
            };
            match ended {
                // With a pause here, a reader would lag further and further at a high rate.
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

/// Hands over an event, unless it is a repeat.
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
