//! `POST /v1/rehearsal`: rehearses a deploy without a restart. All streams and sockets of all servers that share the log
//! are told to reconnect, spread over time as in a real drain, and the server measures how they do.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{HttpResponse, http::header, web};
use fourways_log::engine::Engine;
use fourways_shared::{Code, Technique, operate::Rehearsal};
use tokio::time::{Instant, sleep_until};

use crate::{
    access::Grant,
    operate::{
        drain::{Drain, MIN_RECONNECT_WAIT, spread_of},
        nodes::Nodes,
        roster::Roster,
    },
    problem::Failure,
    worker::Worker,
};

/// Length of one step of the measured curve.
const STEP: Duration = Duration::from_millis(250);
/// Time to go on measuring after the last client should have reconnected: some clients wait for their own backoff.
const AFTER: Duration = Duration::from_secs(3);
/// Kinds of questions between servers.
const BEGIN: &str = "rehearse";
const OPENED: &str = "opened";

/// The lock that admits one rehearsal at a time. One for the whole server, shared by all workers; the flag is true
/// while a rehearsal runs.
#[derive(Debug, Default)]
pub struct RehearsalLock(AtomicBool);

/// Releases the [`RehearsalLock`] when dropped, even if the request is cancelled.
struct RehearsalGuard<'s>(&'s RehearsalLock);

impl Drop for RehearsalGuard<'_> {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::SeqCst);
    }
}

/// Rehearses a deploy, and answers once all clients should have reconnected.
///
/// # Errors
/// 403 without the right to operate the server, 503 while the server drains or another rehearsal is running.
pub async fn handle(
    grant: Grant,
    worker: web::Data<Worker>,
    stage: web::Data<RehearsalLock>,
) -> Result<HttpResponse, Failure> {
    grant.may_operate()?;
    if worker.drain.is_on() || stage.0.swap(true, Ordering::SeqCst) {
        return Err(Failure::new(
            Code::Unavailable,
            "the server is stopping, or another rehearsal is running",
        ));
    }
    let _on_stage = RehearsalGuard(&stage);
    let rehearsal = rehearse(&worker).await;
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(rehearsal))
}

async fn rehearse(worker: &Worker) -> Rehearsal {
    let own = Share {
        engine: Arc::clone(&worker.engine),
        roster: Arc::clone(&worker.roster),
        drain: Arc::clone(&worker.drain),
    };
    let nodes = &worker.nodes;
    // Before anybody is told, so that no reconnect is missed.
    let others = nodes.ask_all(OPENED, &()).await.answers;
    let mut opened = Sum { own: own.opened(), others: others.into_iter().collect() };
    let before = opened.sum();
    let told: Vec<usize> = nodes
        .ask_all(BEGIN, &())
        .await
        .answers
        .into_iter()
        .map(|(_, told)| told)
        .chain([own.begin()])
        .collect();
    let began = Instant::now();
    let spread = told.iter().map(|told| spread_of(*told)).max().unwrap_or_default();
    let steps = (MIN_RECONNECT_WAIT + spread + AFTER).as_millis().div_ceil(STEP.as_millis());
    let mut measured = Vec::new();
    let mut last = before;
    for step in 1..=u32::try_from(steps).unwrap_or(u32::MAX) {
        sleep_until(began + STEP * step).await;
        opened.update(nodes.ask_all(OPENED, &()).await.answers, own.opened());
        let now = opened.sum();
        measured.push(now.0.saturating_sub(last.0));
        last = now;
    }
    let expected = |step| told.iter().map(|told| expected(step, *told, spread_of(*told))).sum();
    Rehearsal {
        told: told.iter().sum(),
        came_back: last.0.saturating_sub(before.0),
        caught_up: last.1.saturating_sub(before.1),
        step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX),
        predicted: (0..measured.len()).map(expected).collect(),
        measured,
    }
}

/// Number of streams and sockets opened since the start of a server, and of the events that they caught up on.
type Opened = (u64, u64);

/// One server's part in a rehearsal.
#[derive(Clone)]
pub(crate) struct Share {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) drain: Arc<Drain>,
}

impl Share {
    /// Takes part in rehearsals that other servers begin.
    pub(crate) fn answer_for(self, nodes: &Nodes) {
        let share = Arc::new(self);
        let opened = Arc::clone(&share);
        nodes.answers(OPENED, move |()| opened.opened());
        nodes.answers(BEGIN, move |()| share.begin());
    }

    /// Tells every stream and socket of this server to reconnect. Returns how many there are; 0 while the server drains.
    pub(super) fn begin(&self) -> usize {
        if self.drain.is_on() {
            return 0;
        }
        let told = self.roster.cut_streams(&self.drain);
        self.engine.tail().wake_all();
        self.roster.wake_idle();
        told
    }

    fn opened(&self) -> Opened {
        let tail = self.engine.tail();
        let caught_up =
            [Technique::Sse, Technique::Websocket].map(|technique| tail.meters().reads(technique).caught_up);
        (self.roster.streams_entered(), caught_up.iter().sum())
    }
}

/// The figures of all servers that answered before the rehearsal, each as it was told last: a server that does not answer
/// once is not counted as 0.
#[derive(Debug)]
struct Sum {
    own: Opened,
    others: HashMap<String, Opened>,
}

impl Sum {
    fn update(&mut self, others: Vec<(String, Opened)>, own: Opened) {
        self.own = own;
        for (node, opened) in others {
            self.others.entry(node).and_modify(|known| *known = opened);
        }
    }

    fn sum(&self) -> Opened {
        self.others.values().fold(self.own, |sum, other| (sum.0 + other.0, sum.1 + other.1))
    }
}

/// Returns how many of the `told` clients should reconnect in a step, if they are spread evenly from [`MIN_RECONNECT_WAIT`] on.
#[expect(clippy::cast_precision_loss, reason = "connections of a process")]
fn expected(step: usize, told: usize, spread: Duration) -> f64 {
    let (from, until) = (MIN_RECONNECT_WAIT.as_secs_f64(), (MIN_RECONNECT_WAIT + spread).as_secs_f64());
    let begins = step as f64 * STEP.as_secs_f64();
    let overlap = (begins + STEP.as_secs_f64()).min(until) - begins.max(from);
    told as f64 * overlap.max(0.0) / spread.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_expected_once() {
        for told in [0, 1, 5_000] {
            let spread = spread_of(told);
            let sum: f64 = (0..200).map(|step| expected(step, told, spread)).sum();
            assert!((sum - f64::from(u32::try_from(told).unwrap())).abs() < 1e-6, "{told}: {sum}");
        }
        assert!(
            expected(3, 100, Duration::from_secs(2)).abs() < 1e-9,
            "nobody before the first second is over"
        );
        assert!((expected(4, 100, Duration::from_secs(2)) - 12.5).abs() < 1e-9);
    }
}
