//! One run: opens all four streams, lets the feed run, injects the planned faults, waits for the slowest technique, and
//! counts.

use fourways_model::health::State;
use fourways_model::{
    experiment::{
        run::{Run, TechniqueResult, us},
        settings::Planned,
    },
    format::fixed,
    lane::Lane,
};
use fourways_shared::{
    After, Technique,
    lab::{Fault, FaultKind, LabCommand},
};
use leptos::prelude::*;

use super::{Bench, Progress};
use crate::{
    browser::{clock, page, timer},
    components::change::Change as _,
    delivery::{Request, lab},
    streams::{Streams, feed::own_topic, health::Health, lab::Lab},
};

/// Time for the streams to open before the feed begins, in milliseconds. The cost of opening is counted; events missed
/// by opening late would not be a fair measure.
const OPENING_MS: f64 = 400.0;
/// Time after the last event by which the slowest technique must have it, beyond one poll interval, in milliseconds.
const SETTLE_MS: f64 = 1_500.0;
const LOOK_MS: f64 = 100.0;
/// A server that is away for this long, in milliseconds, ends the run. Faults of the run itself are shorter, or do not
/// touch the requests that this watches.
const AWAY_MS: f64 = 4_000.0;
/// Interval at which the feed request is repeated, in milliseconds, so that one lost request does not end the feed.
const PROLONG_MS: f64 = 10_000.0;

/// Runs the experiment. Returns `None` if it was cancelled or could not be done, or if the page is gone.
pub(super) async fn measure(streams: Streams, health: Health, bench: Bench) -> Option<Run> {
    let came = go(streams, health, bench).await;
    streams.close_all();
    match came {
        Ok(run) => {
            // A cancelled run leaves the results that are shown, and has already reset the progress.
            if run.is_some() {
                bench.run.try_set(run.clone());
                bench.progress.try_set(Progress::None);
            }
            run
        }
        Err(why) => {
            bench.progress.try_set(Progress::Failed(why));
            None
        }
    }
}

async fn go(streams: Streams, health: Health, bench: Bench) -> Result<Option<Run>, String> {
    let settings = bench.settings.get_untracked();
    let lab_channel = streams.lab();
    let topic = own_topic();
    streams.fresh().await;
    let order = shuffled();
    for technique in &order {
        // From the earliest event: the topic is new, and all four then have the same events to deliver.
        let request = Request {
            poll_ms: f64::from(settings.poll_ms),
            hold_s: f64::from(settings.hold_ms) / 1000.0,
            ..Request::of(vec![topic.clone()], After::Earliest)
        };
        streams.open(*technique, request);
    }
    timer::sleep(OPENING_MS).await;
    let (rate, payload) = (f64::from(settings.rate_milli) / 1000.0, settings.payload_bytes);
    let feed = |rate| lab::set_feed(&topic, rate, payload, settings.arrivals.name());
    feed(rate).await.map_err(|why| format!("Not run: {why}"))?;
    let mut guard = Guard::of(lab_channel, health);
    let began_ms = clock::now_ms();
    let whole_ms = f64::from(settings.seconds) * 1000.0;
    let mut planned = settings.faults.clone();
    let mut samples = Samples::new(lab_channel);
    let mut prolonged_ms = began_ms;
    loop {
        timer::sleep(LOOK_MS).await;
        let spent_ms = clock::now_ms() - began_ms;
        streams.drain();
        let counts = streams.view(|lanes, _| [0, 1, 2, 3].map(|at| lanes[at].counters.events));
        let (Some(counts), Some(Progress::Running { .. })) = (counts, bench.progress.try_get_untracked())
        else {
            drop(feed(0.0).await);
            lab_channel.tell(&LabCommand::Heal(Technique::ALL.to_vec()));
            return Ok(None);
        };
        samples.take(spent_ms);
        guard.look(spent_ms)?;
        planned.retain(|fault| {
            let is_due = spent_ms >= f64::from(fault.at_s) * 1000.0;
            if is_due {
                lab_channel
                    .tell(&LabCommand::Fault { techniques: Technique::ALL.to_vec(), fault: fault_of(fault) });
            }
            !is_due
        });
        let share = (spent_ms / whole_ms).min(1.0);
        bench.progress.set(Progress::Running { share, counts, words: "running" });
        if spent_ms >= whole_ms {
            break;
        }
        if clock::now_ms() - prolonged_ms > PROLONG_MS {
            prolonged_ms = clock::now_ms();
            drop(feed(rate).await);
        }
    }
    feed(0.0).await.or_else(|_| stopped(whole_ms, "the server does not answer."))?;
    bench.progress.change(|progress| {
        if let Progress::Running { words, .. } = progress {
            *words = "waiting for the slowest";
        }
    });
    settle(streams, f64::from(settings.poll_ms)).await;
    streams.drain();
    let log = lab::log_all(&topic).await;
    let Some(log) = log else {
        return stopped(whole_ms, "the log can't be read, so nothing can be counted.");
    };
    guard.look(whole_ms)?;
    let published = log.len() as u64;
    // The server reports its counts a few times a second.
    timer::sleep(300.0).await;
    let clock = health.clock.try_get_untracked().unwrap_or_default();
    let server_ms = began_ms + clock.offset_ms;
    let counts = lab_channel.counts.try_get_untracked().unwrap_or_default();
    let outcome = |lane: &Lane| {
        let at = lane.technique.index();
        let times = (server_ms, settings.seconds);
        TechniqueResult::of(lane, counts[at], published, times, samples.each_s(at, settings.seconds))
    };
    let Some(outcomes) = streams.view(|lanes, _| lanes.iter().map(outcome).collect()) else {
        return Ok(None);
    };
    let round_trip_ms =
        health.state.try_get_untracked().and_then(|state| state.round_trip_ms()).unwrap_or_default();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    let began = server_ms as u64;
    Ok(Some(Run {
        version: Run::VERSION,
        name: settings.summary(),
        began_ms: began,
        settings,
        protocol: page::protocol(),
        browser: page::browser(),
        round_trip_us: us(round_trip_ms),
        clock_error_us: us(clock.error_ms),
        order,
        published,
        outcomes,
    }))
}

/// Fails with the reason why a run ended before its time.
///
/// # Errors
/// Always.
fn stopped<T>(spent_ms: f64, why: &str) -> Result<T, String> {
    let at_s = fixed((spent_ms / 1000.0).floor(), 0);
    Err(format!("Stopped at {at_s} s: {why} What was shown before is still here."))
}

/// Watches that the server is there and is the one that the run began with.
struct Guard {
    lab: Lab,
    health: Health,
    /// Time at which the server of the run began to count for this page.
    server: Option<u64>,
    /// Time in the run since which the server has been away, in milliseconds.
    away_ms: Option<f64>,
}

impl Guard {
    fn of(lab: Lab, health: Health) -> Self {
        Self { lab, health, server: lab.since(), away_ms: None }
    }

    /// Checks the server once; `spent_ms` is the time in the run.
    ///
    /// # Errors
    /// The reason, in words, why the run can't go on or is worth nothing: another server has another log and no feed,
    /// so the techniques would be compared over different events.
    fn look(&mut self, spent_ms: f64) -> Result<(), String> {
        if self.lab.is_open.get_untracked() && self.lab.since() != self.server {
            return stopped(spent_ms, "the server was restarted, so this run is not comparable.");
        }
        if !matches!(self.health.state.get_untracked(), State::Reconnecting { .. }) {
            self.away_ms = None;
            return Ok(());
        }
        let since_ms = *self.away_ms.get_or_insert(spent_ms);
        if spent_ms - since_ms > AWAY_MS { stopped(spent_ms, "the server does not answer.") } else { Ok(()) }
    }
}

/// Waits until every lane has all events of the feed, at most as long as the slowest technique may take.
async fn settle(streams: Streams, poll_ms: f64) {
    let until_ms = clock::now_ms() + poll_ms + SETTLE_MS;
    let hardest_ms = until_ms + 15_000.0;
    loop {
        timer::sleep(LOOK_MS).await;
        streams.drain();
        let is_level =
            streams.view(|lanes, feed| lanes.iter().all(|lane| lane.ledger.delivered == feed.count));
        let now_ms = clock::now_ms();
        // A technique that is still reconnecting may take longer than a poll.
        if is_level != Some(false) && now_ms >= until_ms || now_ms >= hardest_ms {
            return;
        }
    }
}

fn fault_of(planned: &Planned) -> Fault {
    let jitter_ms = if planned.kind == FaultKind::Delay { 200 } else { 0 };
    Fault { jitter_ms, ..Fault::new(planned.kind, planned.for_s * 1000) }
}

/// Returns the techniques in random order, because the one that is opened first has the server to itself for a moment.
fn shuffled() -> Vec<Technique> {
    let mut order = Technique::ALL.to_vec();
    for last in (1..order.len()).rev() {
        let seed = usize::try_from(page::random_seed() >> 8).unwrap_or(0);
        order.swap(last, seed % (last + 1));
    }
    order
}

/// Counts of requests by the server, sampled over the run.
struct Samples {
    lab: Lab,
    requests: Vec<(f64, [u64; 4])>,
}

impl Samples {
    const fn new(lab: Lab) -> Self {
        Self { lab, requests: Vec::new() }
    }

    fn take(&mut self, spent_ms: f64) {
        let counts = self.lab.counts.try_get_untracked().unwrap_or_default();
        self.requests.push((spent_ms, counts.map(|counts| counts.requests)));
    }

    /// Returns the number of requests in each second of the run, for one technique.
    fn each_s(&self, at: usize, seconds: u32) -> Vec<u32> {
        let before = |second: u32| {
            let until_ms = f64::from(second) * 1000.0;
            let taken = self.requests.iter().take_while(|(spent_ms, _)| *spent_ms <= until_ms);
            taken.last().map_or(0, |(_, counts)| counts[at])
        };
        let asked = |second: u32| u32::try_from(before(second + 1) - before(second)).unwrap_or(u32::MAX);
        (0..seconds).map(asked).collect()
    }
}
