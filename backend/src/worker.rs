//! The state that the requests of one worker thread share.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use actix_web::HttpRequest;
use fourways_log::engine::{Append, Engine, EngineError, LagRule, Meter, Meters, Shard, Tail};
use fourways_shared::{Code, Cursor, Filter, Problem, Technique};
use tracing::Instrument as _;

use crate::{
    access::limits::Limits,
    access::{
        Grant,
        limits::{Client, Limit, PatternClaim, Usage},
    },
    operate::{drain::Drain, nodes::Nodes, roster::Roster, traces},
    problem::Failure,
};

/// The state that handlers get. Each worker thread has one for HTTP/1 and one for HTTP/2, which live as long as the
/// thread. Requests and streams share them by `Arc`; all fields but `shard` are shared with the other workers.
pub struct Worker {
    /// The log. Its tail is the source of every subscription.
    pub engine: Arc<dyn Engine>,
    /// Counters of reads and writes.
    pub meters: Arc<Meters>,
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
    /// The other servers that share the log.
    pub nodes: Nodes,
    /// List of the open streams, sockets and held polls.
    pub roster: Arc<Roster>,
}

impl Worker {
    /// Returns the newest events of the log, as they are to be read by one request.
    pub(crate) fn tail(&self) -> Arc<Tail> {
        self.engine.tail()
    }

    /// Waits for the tail to have a cursor, for as long as a client waits for a server that is behind. Returns at once if
    /// the cursor is of another epoch, or can't be reached because this server decides the order itself.
    pub(crate) async fn catch_up(&self, cursor: Cursor) {
        let tail = self.tail();
        if tail.may_be_behind() && cursor.epoch == tail.epoch() {
            // Without success, the subscription goes on waiting.
            drop(self.has_reached(&tail, cursor, "after").await);
        }
    }

    /// Waits until the tail has a cursor of its epoch: at once, unless other servers follow the same log and this one is a
    /// little behind. `field` names where the client gave the cursor.
    ///
    /// # Errors
    /// 400 for a cursor beyond the end of the log, 503 for one that this server has not reached within a second.
    pub(crate) async fn has_reached(
        &self,
        tail: &Tail,
        cursor: Cursor,
        field: &'static str,
    ) -> Result<(), Failure> {
        /// Time that a client waits for a server that is behind.
        const PATIENCE: Duration = Duration::from_secs(1);
        /// Time between two looks at the head. A server is rarely behind by more.
        const LOOK: Duration = Duration::from_millis(2);
        let began = Instant::now();
        while cursor.offset > tail.head() {
            if !tail.may_be_behind() {
                let detail =
                    format!("{field} is {cursor}, beyond the log's head {}", tail.cursor(tail.head()));
                return Err(Failure::new(Code::BadParameter, detail).field(field));
            }
            if began.elapsed() > PATIENCE {
                let detail = format!("this server has not reached {cursor} yet; try again in a moment");
                return Err(Failure::new(Code::Unavailable, detail).retry_after(PATIENCE));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Returns the meter of this worker's reads by a technique.
    pub(crate) fn meter(&self, technique: Technique) -> &Meter {
        self.meters.of(self.shard, technique)
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
            self.meters.publish.observe(began.elapsed());
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
        let tail = self.tail();
        let is_other = |topic: &Filter| topic.is_pattern() && !tail.is_pattern_read(topic);
        if topics.iter().any(is_other) && tail.patterns() >= self.limits.max_patterns {
            self.usage.count(Limit::Topics);
            let detail =
                format!("{} patterns are read already, which is the limit", self.limits.max_patterns);
            return Err(Problem::new(Code::TooMany, detail).field("topic"));
        }
        self.usage.read(client, topics)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("shard", &self.shard).finish_non_exhaustive()
    }
}
