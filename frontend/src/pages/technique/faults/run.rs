//! One breakage, from the preparation to the result.

use fourways_model::breakage::{Before, Breakage, Effect, FaultResult, usual_ms};
use fourways_shared::{
    After, Technique,
    lab::{Fault, LabCommand},
};
use leptos::prelude::*;

use super::{super::controls::Controls, jitter_ms};
use crate::{
    browser::{clock, page, timer},
    components::sequence::Shade,
    delivery,
    streams::{Streams, health::Health, lab::Lab},
};

/// Rate that a quiet topic gets during a breakage, in events a second: without events there is nothing to miss.
const RATE: f64 = 4.0;
const LOOK_MS: f64 = 50.0;
/// Longest time for recovering once the breakage is over, in milliseconds.
const RECOVER_MS: f64 = 30_000.0;
/// Longest waits for the visitor to leave the tab and to come back to it, in milliseconds.
const LEAVE_MS: f64 = 60_000.0;
const RETURN_MS: f64 = 600_000.0;

/// Breakage that goes on, for display.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Running {
    pub(super) breakage: Breakage,
    pub(super) words: &'static str,
}

/// The report of a breakage, for the stream and for its twin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct FaultReport {
    pub(super) breakage: Breakage,
    pub(super) ms: f64,
    pub(super) guess: Effect,
    pub(super) mine: FaultResult,
    pub(super) twin: FaultResult,
}

/// Breaks the stream and counts the effects. Returns `None` if the page was left meanwhile.
///
/// # Errors
/// The reason, in words, why it could not be done.
pub(super) async fn run(
    technique: Technique,
    streams: Streams,
    controls: Controls,
    health: Health,
    lab: Lab,
    (breakage, ms): (Breakage, f64),
    running: RwSignal<Option<Running>>,
) -> std::result::Result<Option<FaultReport>, String> {
    let say = |words| {
        let _gone = running.try_set(Some(Running { breakage, words }));
    };
    let is_here = move || streams.lane(technique, |_| ()).is_some();
    let now_ms = move || clock::now_ms() + health.clock.try_get_untracked().unwrap_or_default().offset_ms;
    if controls.rate.get_untracked() < 1.0 {
        controls.rate.set(RATE);
        controls.topic.set(lab.topic.get_value());
    }
    if controls.is_closed.get_untracked() {
        controls.is_closed.set(false);
    }
    say("waiting for events");
    let has_some = move || {
        streams.lane(technique, |lane| lane.recent_quantile_ms(0.5).is_some() && lane.counters.events > 2)
    };
    if !until(LEAVE_MS, move || has_some().unwrap_or(true)).await {
        return Err("No events came, so there is nothing to miss.".to_owned());
    }
    let cursor = streams.lane(technique, |lane| lane.cursor).flatten();
    streams.open_twin(technique, controls.request(cursor.map_or(After::Head, After::Cursor)));
    let twin_has_some = move || streams.twin(|twin| twin.counters.events > 1).unwrap_or(true);
    if !until(LEAVE_MS, twin_has_some).await {
        return Err("The twin got no events.".to_owned());
    }
    let Some((before, first)) = streams.lane(technique, |lane| (Before::of(lane, now_ms()), lane.cursor))
    else {
        return Ok(None);
    };
    // Taken from the twin, which has seen only this run; the stream itself may have been broken a moment ago.
    let shown_worst_ms = streams.twin(|twin| twin.recent_quantile_ms(1.0)).flatten().unwrap_or(0.0);
    let Some(twin_before) = streams.twin(|twin| Before::of(twin, before.at_ms)) else { return Ok(None) };
    let Some(first) = first else { return Err("The stream has no place yet.".to_owned()) };
    let mut lasted_ms = ms;
    match breakage {
        Breakage::Server(kind) => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 30,000")]
            let fault = Fault { jitter_ms: jitter_ms(kind), ..Fault::new(kind, ms as u32) };
            if !lab.tell(&LabCommand::Fault { techniques: vec![technique], fault }) {
                return Err("The lab's channel is closed, so the server can't be told.".to_owned());
            }
            say("broken");
            // A cut takes no time, but the page must have noticed it before it can be called recovered.
            timer::sleep(ms.max(300.0)).await;
        }
        Breakage::Offline => {
            say("offline");
            controls.is_closed.set(true);
            timer::sleep(ms).await;
            let _gone = controls.is_closed.try_set(false);
            note(lab, technique, before.at_ms, now_ms(), "offline");
        }
        Breakage::Background => {
            say("look at another tab now, and come back");
            if !until(LEAVE_MS, page::is_hidden).await {
                return Err("The tab was not left.".to_owned());
            }
            let hidden_at = now_ms();
            until(RETURN_MS, || !page::is_hidden()).await;
            lasted_ms = now_ms() - hidden_at;
            note(lab, technique, hidden_at, now_ms(), "background");
        }
    }
    say("recovering");
    let over_ms = now_ms();
    // A stream has recovered once it has an event that was published after the breakage was over.
    let newest = move || {
        streams.drain();
        let mine = streams.lane(technique, |lane| lane.newest_ms).flatten()?;
        Some(mine.min(streams.twin(|twin| twin.newest_ms).flatten()?))
    };
    until(RECOVER_MS, move || !is_here() || newest().is_some_and(|newest| newest > over_ms)).await;
    let Some(end_ms) = newest() else { return Ok(None) };
    let topic = controls.topic.get_untracked();
    let Some(log) = delivery::lab::log(&topic, first).await else {
        return Err("The log can't be read, so nothing can be counted.".to_owned());
    };
    // Events newer than the newest that both streams have may still be on their way.
    let during = log.iter().filter(|(_, at_ms)| *at_ms >= before.at_ms && *at_ms <= end_ms);
    let offsets: Vec<u64> = during.map(|(offset, _)| *offset).collect();
    let judged = |usual_ms| streams.twin(|twin| twin_before.outcome(twin, &offsets, usual_ms));
    let worst_ms = |usual_ms| judged(usual_ms).map_or(0.0, |twin| twin.worst_ms);
    let (twin_usual_ms, usual_ms) = usual_ms(breakage, shown_worst_ms, worst_ms);
    let Some(twin) = judged(twin_usual_ms) else { return Ok(None) };
    let mine = streams.lane(technique, |lane| before.outcome(lane, &offsets, usual_ms));
    let Some(mine) = mine else { return Ok(None) };
    Ok(Some(FaultReport { breakage, ms: lasted_ms, guess: Effect::Unnoticed, mine, twin }))
}

/// Marks a span of time in the diagram in which the page itself broke the stream.
fn note(lab: Lab, technique: Technique, from_ms: f64, until_ms: f64, name: &'static str) {
    lab.note(technique, Shade { from_ms, until_ms, name });
}

/// Waits until `is_so` holds; returns false if it does not in time.
async fn until(within_ms: f64, is_so: impl Fn() -> bool) -> bool {
    let end_ms = clock::now_ms() + within_ms;
    while !is_so() {
        if clock::now_ms() > end_ms {
            return false;
        }
        timer::sleep(LOOK_MS).await;
    }
    true
}
