//! The reason why a technique fits, and what the others would have cost for the events that this page received.

use fourways_model::{
    constants::measured,
    format::{bytes, duration, grouped, plain, plural},
};
use fourways_shared::{Technique, decide::shadow};
use leptos::prelude::*;

use super::{Live, UseCase, by, following};
use crate::components::dynamic::text;

/// Time that a long poll would be held, in seconds.
const HOLD_S: f64 = 20.0;

#[component]
pub(super) fn Price(
    /// Use case to explain.
    use_case: &'static UseCase,
    /// Stream of the use case.
    live: Live,
) -> impl IntoView {
    let constants = StoredValue::new(measured());
    // Computed anew with every fourth tick: every 1.6 s on a quiet stream, and more often while batches come.
    let beat = Memo::new(move |_| live.tick.get() / 4);
    let now = Memo::new(move |_| {
        let _beat = beat.get();
        let past = live.past();
        let (first, last) = (past.first()?.at_s, past.last()?.at_s);
        let seconds = (last - first).max(1.0);
        let until = first + seconds;
        let shadows = constants
            .with_value(|constants| shadow(&past, first - 0.001, until, live.poll_s(), HOLD_S, constants));
        Some((past.len() as u64, seconds, shadows.map(|one| (one.requests, one.bytes, one.mean_wait_s))))
    });
    let sentences = move || {
        let Some((events, seconds, [short, long, sse, websocket])) = now.get() else {
            return "As soon as something happens here, this says what it would have cost by each of the four."
                .to_owned();
        };
        format!(
            "The last {} here, over {}, would have taken short polling every {} s {} and {}, each update waiting {} in \
             the mean, and long polling {} and {}. By SSE they are {}, by WebSocket {}, without a wait.",
            plural(events, "update", "updates"),
            duration(seconds * 1000.0),
            plain(live.poll_s()),
            plural(short.0, "request", "requests"),
            size(short.1),
            duration(short.2 * 1000.0),
            plural(long.0, "request", "requests"),
            size(long.1),
            size(sse.1),
            size(websocket.1),
        )
    };
    let rows = move || {
        let shadows = now.get().map(|(_, _, shadows)| shadows);
        let row = |technique: Technique| {
            let of = shadows.map(|shadows| shadows[technique.index()]);
            let cell = |read: fn((u64, f64, f64)) -> String| of.map_or("–".to_owned(), read);
            view! {
                <tr>
                    <th scope="row">{by(technique)}</th>
                    <td class="r">{cell(|one| grouped(one.0))}</td>
                    <td class="r">{cell(|one| size(one.1))}</td>
                    <td class="r">{cell(|one| duration(one.2 * 1000.0))}</td>
                </tr>
            }
        };
        Technique::ALL.map(row).collect_view().into_any()
    };
    view! {
        <section class="card" aria-labelledby="price-h">
            <header><h2 id="price-h">"Why "{use_case.fits.label()}</h2><span class="cap">"estimated for one client, from the updates that this page received, as JSON"</span></header>
            <div class="card-b price">
                <p data-testid="why">{use_case.why}" "{text(sentences)}</p>
                <table class="loss" data-testid="price">
                    <thead><tr><th scope="col">"Technique"</th><th scope="col" class="r">"Requests"</th><th scope="col" class="r">"Bytes"</th><th scope="col" class="r">"Mean wait"</th></tr></thead>
                    <tbody>{following(live, rows)}</tbody>
                </table>
            </div>
        </section>
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a slice")]
fn size(count: f64) -> String {
    bytes(count as u64)
}
