//! Explanations of outcomes, one sentence each.

use fourways_shared::{Technique, lab::FaultKind};

use super::{Breakage, FaultResult};

/// Explains in one sentence why a breakage had this outcome for a technique.
pub const fn mechanism(breakage: Breakage, technique: Technique, outcome: &FaultResult) -> &'static str {
    use Technique::{LongPoll, ShortPoll, Sse, Websocket};
    match (breakage, technique) {
        (Breakage::Server(FaultKind::Drop), ShortPoll) => {
            "Between two polls there is no request to lose; the next one opened a new connection."
        }
        (Breakage::Server(FaultKind::Drop), LongPoll) if outcome.cuts == 0 => {
            "The browser sent the request again by itself: a connection that was used before and is reset without an answer is retried unseen."
        }
        (Breakage::Server(FaultKind::Drop | FaultKind::Restart), LongPoll) => {
            "The held request failed; the page asked again with its cursor after a short, random pause."
        }
        (Breakage::Server(FaultKind::Drop | FaultKind::Restart), Sse) => {
            "The browser reconnected by itself after the server's retry time and sent Last-Event-ID; the log replayed the rest."
        }
        (Breakage::Server(FaultKind::Drop | FaultKind::Restart), Websocket) => {
            "The socket closed with 1006; the page's own code opened another one and subscribed after its cursor."
        }
        (Breakage::Server(FaultKind::Restart), ShortPoll) => {
            "Polls failed until the server was back; the first that succeeded brought everything after the cursor."
        }
        (Breakage::Server(FaultKind::Stall), ShortPoll | LongPoll) => {
            "The request hung, and with it everything: TCP kept what was sent, and the answer came when the path was back."
        }
        (Breakage::Server(FaultKind::Stall), Sse | Websocket) if outcome.cuts == 0 => {
            "Nothing closed, so nobody noticed: TCP kept the bytes and delivered them in order when the path was back."
        }
        (Breakage::Server(FaultKind::Stall), Sse | Websocket) => {
            "The silence was noticed, the connection given up, and a new one resumed from the cursor."
        }
        (Breakage::Server(FaultKind::Delay), ShortPoll | LongPoll) => {
            "A poll pays the delay twice, once up and once down, and nothing can be asked meanwhile."
        }
        (Breakage::Server(FaultKind::Delay), Sse | Websocket) => {
            "A pushed event pays the delay once, on its way down; several are under way at the same time."
        }
        (Breakage::Server(FaultKind::Bandwidth), ShortPoll | LongPoll) => {
            "Headers of every request and answer shared the narrow line with the events."
        }
        (Breakage::Server(FaultKind::Bandwidth), Sse | Websocket) => {
            "Only the events and a few bytes around each had to pass the narrow line."
        }
        (Breakage::Server(FaultKind::Buffer), ShortPoll | LongPoll) => {
            "A poll's answer is whole at once, so a buffering proxy has nothing to wait for and passes it on."
        }
        (Breakage::Server(FaultKind::Buffer), Sse) => {
            "The response never ends, so the proxy waited for its buffer to fill: events came in clumps, or when it was over."
        }
        (Breakage::Server(FaultKind::Buffer), Websocket) => {
            "After the upgrade the proxy passes bytes on as they come; it does not buffer a tunnel."
        }
        (Breakage::Server(FaultKind::Refuse), ShortPoll | LongPoll) => {
            "Polls were answered with 503; the page waited as Retry-After asked, and the first that was served brought the rest."
        }
        (Breakage::Server(FaultKind::Refuse), Sse | Websocket) => {
            "The connection was open already, and a 503 is only given to those who ask: nothing happened to it."
        }
        (Breakage::Offline, ShortPoll | LongPoll) => {
            "No poll went out; the first one afterwards asked after the cursor and got everything in one answer."
        }
        (Breakage::Offline, Sse | Websocket) => {
            "The stream was closed; the new one began after the cursor, and the log replayed what was missed."
        }
        (Breakage::Background, ShortPoll) => {
            "Polls are driven by a timer, and a hidden tab's timers are slowed down: at most one a second."
        }
        (Breakage::Background, LongPoll | Sse | Websocket) => {
            "Arriving bytes wake the page without a timer, so a hidden tab went on receiving."
        }
    }
}
