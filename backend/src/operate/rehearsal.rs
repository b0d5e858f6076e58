//! `POST /v1/rehearsal`: rehearses a deploy without a restart. All streams and sockets are told to reconnect, spread
//! over time as in a real drain, and the server measures how they do.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use actix_web::{HttpResponse, http::header, web};
use fourways_shared::{Code, Technique, operate::Rehearsal};
use tokio::time::{Instant, sleep_until};

use crate::{
    access::Grant,
    operate::drain::{MIN_RECONNECT_WAIT, spread_of},
    problem::Failure,
    worker::Worker,
};

/// Length of one step of the measured curve.
const STEP: Duration = Duration::from_millis(250);
/// Time to go on measuring after the last client should have reconnected: some clients wait for their own backoff.
const AFTER: Duration = Duration::from_secs(3);

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
    let before = opened(worker);
    let told = worker.roster.cut_streams(&worker.drain);
    worker.tail().wake_all();
    worker.roster.wake_idle();
    let began = Instant::now();
    let spread = spread_of(told);
    let steps = (MIN_RECONNECT_WAIT + spread + AFTER).as_millis().div_ceil(STEP.as_millis());
    let mut measured = Vec::new();
    let mut last = before;
    for step in 1..=u32::try_from(steps).unwrap_or(u32::MAX) {
        sleep_until(began + STEP * step).await;
        let now = opened(worker);
        measured.push(now.0 - last.0);
        last = now;
    }
    Rehearsal {
        told,
        came_back: last.0 - before.0,
        caught_up: last.1 - before.1,
        step_ms: u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX),
        predicted: (0..measured.len()).map(|step| expected(step, told, spread)).collect(),
        measured,
    }
}

/// Returns the number of streams and sockets opened since the start, and of the events that they caught up on.
fn opened(worker: &Worker) -> (u64, u64) {
    let caught_up =
        [Technique::Sse, Technique::Websocket].map(|technique| worker.meters.reads(technique).caught_up);
    (worker.roster.streams_entered(), caught_up.iter().sum())
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
