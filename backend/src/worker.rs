//! The state that all requests of one worker thread share.

use std::{sync::Arc, time::Instant};

use actix_web::HttpRequest;
use fourways_shared::{Code, Cursor, Filter, Problem, Technique};
use tracing::Instrument as _;

use crate::{
    access::{
        Grant,
        limits::{Client, Limit, Reading, Usage},
    },
    config::Limits,
    log::engine::{Append, Engine, EngineError, LagRule, Meter, Shard, Tail},
    operate::{drain::Drain, roster::Roster, traces},
    problem::Failure,
};

/// What every delivery is given: one for each worker, shared by its requests.
#[derive(Debug)]
pub struct Worker {
    /// The log's end.
    pub tail: Arc<Tail>,
    /// The worker that serves.
    pub shard: Shard,
    /// What may be asked for.
    pub limits: Arc<Limits>,
    /// What is taken.
    pub usage: Arc<Usage>,
    /// Whether the server is ending.
    pub drain: Arc<Drain>,
    /// How far streams may fall behind.
    pub lag: Arc<[LagRule]>,
    /// Who is held open.
    pub roster: Arc<Roster>,
}

impl Worker {
    /// What is counted of this worker's reads.
    pub(crate) fn meter(&self, technique: Technique) -> &Meter {
        self.tail.meter(self.shard, technique)
    }

    /// Appends, and counts how long it took.
    ///
    /// # Errors
    /// As [`Engine::append`].
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

    /// Who asks, once they may read this now, and what they read of patterns.
    ///
    /// # Errors
    /// 403 for a topic that is not granted, 429 for more patterns than there may be, 503 while the server ends.
    pub(crate) fn admit(
        &self,
        request: &HttpRequest,
        grant: &Grant,
        topics: &[Filter],
    ) -> Result<(Client, Reading), Failure> {
        self.is_serving()?;
        grant.may_subscribe(topics)?;
        let client = Client::of(request, grant, self.limits.trusted_hops);
        let reading = self.has_room_for(&client, topics)?;
        Ok((client, reading))
    }

    /// # Errors
    /// 503 while the server ends.
    pub(crate) fn is_serving(&self) -> Result<(), Failure> {
        if self.drain.is_on() {
            let detail = "the server is being stopped; come back in a moment";
            return Err(Failure::new(Code::Unavailable, detail).retry_after(self.drain.retry()));
        }
        Ok(())
    }

    /// # Errors
    /// 429 for more patterns than there may be. One that somebody reads already is no other.
    pub(crate) fn has_room_for(&self, client: &Client, topics: &[Filter]) -> Result<Reading, Problem> {
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
