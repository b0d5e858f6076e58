//! Shadow cost: what the last events of a real topic would have cost by each technique.

use fourways_model::format::{bytes, duration, plain, plural};
use fourways_shared::{
    Technique, Topic,
    decide::{Past, Shadow, shadow},
};
use leptos::prelude::*;

use super::Known;
use crate::{
    browser::task,
    components::{
        dynamic::{part, text},
        icon::Name,
        slider::Slider,
    },
    delivery::lab,
};

const POLLS: &[f64] = &[0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
const HOLD_S: f64 = 25.0;

/// The last events of a topic, in seconds since the first of them, and the time that they span.
#[derive(Clone, Debug, Default, PartialEq)]
struct Slice {
    events: Vec<Past>,
    seconds: f64,
}

#[component]
pub(super) fn PastCosts(
    /// Constants of the cost model.
    constants: Known,
) -> impl IntoView {
    let topics = RwSignal::new(Vec::<Topic>::new());
    let slice = RwSignal::new(None::<Slice>);
    let poll_s = RwSignal::new(2.0_f64);
    let failed = RwSignal::new(false);
    let read = move |topic: Topic| {
        task::spawn(async move {
            let found = lab::sizes(&topic).await;
            let _gone = failed.try_set(found.is_none());
            let _gone = slice.try_set(found.map(|events| {
                let began_s = events.first().map_or(0.0, |event| event.at_s);
                let events: Vec<Past> =
                    events.iter().map(|event| Past { at_s: event.at_s - began_s, ..*event }).collect();
                Slice { seconds: events.last().map_or(0.0, |event| event.at_s), events }
            }));
        });
    };
    task::spawn(async move {
        let found = lab::topics().await.unwrap_or_default();
        let own: Vec<_> =
            found.into_iter().filter(|topic| !topic.as_str().starts_with("lab.")).take(50).collect();
        if let Some(first) = own.first().cloned() {
            read(first);
        }
        let _gone = topics.try_set(own);
    });
    let pick = move |event| {
        if let Ok(topic) = Topic::parse(&event_target_value(&event)) {
            read(topic);
        }
    };
    let options = move || {
        let option = |topic: &Topic| view! { <option value=topic.to_string()>{topic.to_string()}</option> };
        topics.with(|topics| topics.iter().map(option).collect_view())
    };
    let rows = move || {
        let slice = slice.get().filter(|slice| !slice.events.is_empty())?;
        let shadows = constants.with(|constants| {
            shadow(&slice.events, 0.0, slice.seconds.max(1.0), poll_s.get(), HOLD_S, constants)
        });
        Some(Technique::ALL.into_iter().zip(shadows).map(row).collect_view())
    };
    let about = move || match (slice.get(), failed.get()) {
        (_, true) => "The log can't be read now.".to_owned(),
        (None, _) => "Reading the log …".to_owned(),
        (Some(slice), _) if slice.events.is_empty() => "Nothing is retained of this topic yet.".to_owned(),
        (Some(slice), _) => {
            format!(
                "The last {} of it, over {}, for one client.",
                plural(slice.events.len() as u64, "event", "events"),
                duration(slice.seconds * 1000.0)
            )
        }
    };
    view! {
        <section class="card" aria-labelledby="shadow-h">
            <header><h2 id="shadow-h">"Shadow cost"</h2><span class="cap">"your real events, replayed on paper through all four"</span></header>
            <div class="card-b ctl">
                <div class="two">
                    <label class="field"><span>"Topic"</span><select on:change=pick data-testid="shadow-topic">{part(options)}</select></label>
                    <Slider label="Poll every" stops=POLLS value=poll_s.into() change=move |value| poll_s.set(value) show=seconds />
                </div>
                <p class="cap">{text(about)}</p>
                <div class="x-scroll" tabindex="0" role="region" aria-label="Shadow cost, as a table">
                    <table class="loss" data-testid="shadow">
                        <thead><tr><th scope="col">"Technique"</th><th scope="col">"Requests"</th><th scope="col">"Empty"</th><th scope="col">"Bytes"</th><th scope="col">"Mean wait"</th><th scope="col">"Longest"</th></tr></thead>
                        <tbody>{part(rows)}</tbody>
                    </table>
                </div>
            </div>
        </section>
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a slice")]
fn row((technique, shadow): (Technique, Shadow)) -> impl IntoView {
    view! {
        <tr>
            <th scope="row"><Name technique=technique /></th>
            <td>{shadow.requests.to_string()}</td>
            <td>{shadow.empty.to_string()}</td>
            <td>{bytes(shadow.bytes as u64)}</td>
            <td>{duration(shadow.mean_wait_s * 1000.0)}</td>
            <td>{duration(shadow.longest_wait_s * 1000.0)}</td>
        </tr>
    }
}

fn seconds(value: f64) -> String {
    plain(value) + " s"
}
