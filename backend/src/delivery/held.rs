//! The parts that an open stream and an open socket have in common: why they end, when they wait, and what is counted.

use std::{sync::Arc, task::Context, time::Duration};

use actix_web::HttpRequest;
use fourways_shared::{Filter, Technique};

use super::timer::Timer;
use crate::{
    access::{Grant, limits::Permit},
    net::backlog::Backlog,
    operate::roster::Seat,
    worker::Worker,
};

/// An open stream or socket, whatever it writes. Owned by the body of its response, which its connection polls on one
/// thread; dropping it gives back the permit and the seat.
pub(super) struct HeldConnection {
    pub(super) worker: Arc<Worker>,
    pub(super) seat: Seat,
    technique: Technique,
    backlog: Backlog,
    /// The expiry of the client's token; `None` if there is none.
    expiry: Option<Box<Timer>>,
    _permit: Permit,
}

/// The reason for which the server ends a stream or socket. The delivery says it in its own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By a drain or the operator: the client reconnects after this time.
    Restart(Duration),
    /// By its token, which has expired.
    Expired,
    /// By its lag, which the rule of its topics does not allow.
    TooSlow,
}

impl Ending {
    /// Returns the reason in words; empty for a restart, whose words are the time to wait.
    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::Restart(_) => "",
            Self::Expired => "the token has expired",
            Self::TooSlow => "too many events were pending; the cursor stays valid",
        }
    }
}

/// The content of one write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) events: usize,
    /// Time from the publish of the newest event to now, in microseconds.
    pub(super) lag_us: u64,
}

impl HeldConnection {
    pub(super) fn new(
        request: &HttpRequest,
        technique: Technique,
        grant: &Grant,
        topics: &[Filter],
        worker: Arc<Worker>,
        permit: Permit,
    ) -> Self {
        let mut this = Self {
            seat: worker.roster.enter(technique, grant, topics),
            worker,
            technique,
            backlog: Backlog::of(request),
            expiry: None,
            _permit: permit,
        };
        this.expire_after(grant.lasts());
        this
    }

    /// Sets the time after which the client's token expires; `None` for a token that does not.
    pub(super) fn expire_after(&mut self, lasts: Option<Duration>) {
        self.expiry = lasts.map(|lasts| Box::new(Timer::new(lasts)));
    }

    /// Returns the reason for which the connection must end now, if there is one; the first of these applies: a drain or
    /// the operator, the token, the lag.
    pub(super) fn ending(&mut self, cx: &mut Context<'_>, is_too_slow: bool) -> Option<Ending> {
        if self.worker.drain.is_on() || self.seat.is_cut() {
            return Some(Ending::Restart(self.worker.drain.retry()));
        }
        if self.has_expired(cx) {
            return Some(Ending::Expired);
        }
        is_too_slow.then_some(Ending::TooSlow)
    }

    /// Returns true if the connection must end though its client takes nothing.
    pub(super) fn must_end(&mut self, cx: &mut Context<'_>) -> bool {
        self.worker.drain.is_on() || self.seat.is_cut() || self.has_expired(cx)
    }

    fn has_expired(&mut self, cx: &mut Context<'_>) -> bool {
        self.expiry.as_mut().is_some_and(|expiry| expiry.poll(cx))
    }

    /// Returns true if the socket has not taken enough of what was written; the task is woken when it has.
    pub(super) fn is_full(&mut self, cx: &Context<'_>) -> bool {
        self.backlog.is_full(cx)
    }

    /// Counts a write of this many bytes, in every figure that there is.
    pub(super) fn sent(&mut self, bytes: usize, sent: Sent) {
        self.backlog.produced(bytes);
        self.worker.meter(self.technique).count_bytes(bytes);
        self.seat.record_delivery(sent.events, bytes, sent.lag_us);
    }
}
