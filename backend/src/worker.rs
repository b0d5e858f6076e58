//! The state that the requests of one worker thread share.

use std::{sync::Arc, time::Instant};

use actix_web::HttpRequest;
use fourways_log::engine::{Append, Engine, EngineError, LagRule, Meter, Shard, Tail};
use fourways_shared::{Code, Cursor, Filter, Problem, Technique};
use tracing::Instrument as _;

use crate::{
    access::limits::Limits,
    access::{
        Grant,
        limits::{Client, Limit, PatternClaim, Usage},
    },
    operate::{drain::Drain, roster::Roster, traces},
    problem::Failure,
};

/// The state that handlers get. Each worker thread has one for HTTP/1 and one for HTTP/2, which live as long as the
/// thread. Requests and streams share them by `Arc`; all fields but `shard` are shared with the other workers.
#[derive(Debug)]
pub struct Worker {
    /// The newest events of the log, and the source of every subscription.
    pub tail: Arc<Tail>,
    /// Shard of this worker thread, on which its subscriptions wait and are metered.
    pub shard: Shard,
    /// Limits and timeouts, as set at the start.
    pub limits: Arc<Limits>,
    /// Current use of the limits.
    pub usage: Arc<Usage>,
    /// State of the server's shutdown.
    pub drain: Arc<Drain>,
    /// Rules for streams and sockets that lag; the first that matches a topic applies.
    pub lag: Arc<[LagRule]>,
    /// List of the open streams, sockets and held polls.
    pub roster: Arc<Roster>,
}

impl Worker {
    /// Returns the meter of this worker's reads by a technique.
    pub(crate) fn meter(&self, technique: Technique) -> &Meter {
        self.tail.meter(self.shard, technique)
    }

    /// Appends events to the log, and records how long a successful append took.
    ///
    /// # Errors
    /// The errors of [`Engine::append`].
    pub(crate) async fn append(
        &self,
        engine: &dyn Engine,
        append: Append,
    ) -> Result<Vec<Cursor>, EngineError> {
        let span = tracing::debug_span!(
            target: traces::TARGET,
            "append",
            otel.kind = "producer",
            messaging.system = "fourways",
            messaging.destination.name = append.topic.as_str(),
            messaging.batch.message_count = append.drafts.len(),
        );
        let began = Instant::now();
        let appended = engine.append(append).instrument(span).await;
        if appended.is_ok() {
            self.tail.meters().publish.observe(began.elapsed());
        }
        appended
    }

    /// Checks that the server is serving, that the grant covers `topics` and that the pattern limits hold. Returns the
    /// client that the request is counted for, and its claim on the patterns.
    ///
    /// # Errors
    /// 403 for a topic that is not granted, 429 beyond a pattern limit, 503 while the server drains.
    pub(crate) fn admit(
        &self,
        request: &HttpRequest,
        grant: &Grant,
        topics: &[Filter],
    ) -> Result<(Client, PatternClaim), Failure> {
        self.is_serving()?;
        grant.may_subscribe(topics)?;
        let client = Client::of(request, grant, self.limits.trusted_hops);
        let reading = self.has_room_for(&client, topics)?;
        Ok((client, reading))
    }

    /// Checks that the server is not draining.
    ///
    /// # Errors
    /// 503 while the server drains.
    pub(crate) fn is_serving(&self) -> Result<(), Failure> {
        if self.drain.is_on() {
            let detail = "the server is stopping; try again in a moment";
            return Err(Failure::new(Code::Unavailable, detail).retry_after(self.drain.retry()));
        }
        Ok(())
    }

    /// Checks that the patterns among `topics` keep to the limits, and claims them for the client. A pattern that
    /// anybody reads already does not count again towards the limit of all clients.
    ///
    /// # Errors
    /// 429 beyond a limit.
    pub(crate) fn has_room_for(&self, client: &Client, topics: &[Filter]) -> Result<PatternClaim, Problem> {
        let is_other = |topic: &Filter| topic.is_pattern() && !self.tail.is_pattern_read(topic);
        if topics.iter().any(is_other) && self.tail.patterns() >= self.limits.max_patterns {
            self.usage.count(Limit::Topics);
            let detail =
                format!("{} patterns are read already, which is the limit", self.limits.max_patterns);
            return Err(Problem::new(Code::TooMany, detail).field("topic"));
        }
        self.usage.read(client, topics)
    }
}
