//! The wire inspector: every unit on the wire of a technique in a windowed table, newest first, and the bytes of the
//! chosen unit.
//!
//! The table follows the stream until a row is chosen, the table is scrolled or the visitor holds it; then it stands
//! still and counts newer units. Only the rows in sight exist in the page.

use fourways_model::{
    export::{har::har, ndjson::ndjson},
    format::plural,
    row::Row,
    wire::{Filter, Kind},
};
use leptos::{ev::KeyboardEvent, prelude::*};

use super::{
    anatomy::Anatomy,
    change::Change as _,
    dynamic::{part, text},
    icon::Icon,
    segments::Segments,
};
use crate::{browser::page, streams::Streams};

const ROW_PX: f64 = 25.0;
/// Spare rows above and below the visible ones, so that scrolling shows no blank area.
const SPARE: usize = 14;
/// Rows are refilled once this many have scrolled past; the spare rows cover the time until then.
const STEP: usize = 10;
const SHOWN: usize = 16;
const PLACES: usize = SHOWN + 2 * SPARE;

#[component]
#[expect(clippy::too_many_lines, reason = "most of it is the table itself")]
pub(crate) fn Inspector(
    /// Streams of the page; one of its techniques is watched.
    streams: Streams,
    /// Counter whose changes redraw the table.
    tick: RwSignal<u32>,
    /// Sequence number of the chosen wire entry.
    chosen: RwSignal<Option<u64>>,
) -> impl IntoView {
    let filter = RwSignal::new(Filter::default());
    let end = RwSignal::new(None::<u64>);
    let top = RwSignal::new(0_usize);
    let list = NodeRef::<leptos::html::Div>::new();
    let freeze = move || {
        if end.with_untracked(Option::is_none) {
            end.set(streams.wire(|wire| wire.count()));
        }
    };
    let follow = move || {
        chosen.set(None);
        end.set(None);
        top.set(0);
        if let Some(list) = list.get_untracked() {
            list.set_scroll_top(0);
        }
    };
    // A row chosen here or in the diagram must not scroll out of view.
    Effect::new(move |_| {
        if chosen.get().is_some() {
            freeze();
        }
    });
    Effect::new(move |_| {
        let filter = filter.get();
        streams.wire(|wire| wire.set_filter(filter));
    });
    let look = Memo::new(move |_| {
        tick.track();
        filter.track();
        let end = end.get().unwrap_or(u64::MAX);
        let from = top.get().saturating_sub(SPARE);
        let rows = streams.watched(|lane, wire, _| {
            let rows =
                wire.window(end, from, from + PLACES).map(|entry| Row::of(lane, entry)).collect::<Vec<_>>();
            (wire.matching(end), rows)
        });
        let (count, rows) = rows.unwrap_or_default();
        (from, count, rows)
    });
    let newer = move || {
        tick.track();
        let end = end.get()?;
        let newer = streams.wire(|wire| wire.count().saturating_sub(end)).unwrap_or(0);
        Some(newer)
    };
    let state = move || match newer() {
        None => "following".to_owned(),
        Some(0) => "standing still".to_owned(),
        Some(newer) => format!("standing still, {} newer", plural(newer, "unit", "units")),
    };
    let scrolled = move |_| {
        let Some(list) = list.get_untracked() else { return };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a row's number")]
        let first = (f64::from(list.scroll_top()) / ROW_PX) as usize / STEP * STEP;
        if first != top.get_untracked() {
            top.set(first);
        }
        if first > 0 {
            freeze();
        }
    };
    let step = move |event: KeyboardEvent| {
        let down = match event.key().as_str() {
            "ArrowDown" => true,
            "ArrowUp" => false,
            "Escape" => return follow(),
            _ => return,
        };
        event.prevent_default();
        freeze();
        let end = end.get_untracked().unwrap_or(u64::MAX);
        let next = streams.wire(|wire| wire.neighbour(end, chosen.get_untracked(), down)).flatten();
        let Some((seq, place)) = next else { return };
        chosen.set(Some(seq));
        if let Some(list) = list.get_untracked() {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "pixels")]
            let y = (place as f64 * ROW_PX) as i32;
            let (seen, height) = (list.scroll_top(), list.client_height());
            if y < seen || y + 50 > seen + height {
                list.set_scroll_top((y - height / 2).max(0));
            }
        }
    };
    let kinds = Kind::ALL.iter().map(|(_, label)| *label).collect();
    let kind = Signal::derive(move || {
        let kind = filter.with(|filter| filter.kind);
        Kind::ALL.iter().position(|(known, _)| *known == kind).unwrap_or(0)
    });
    let save = move |name: &'static str,
                     mime: &'static str,
                     write: fn(&fourways_model::wire::Wire, &str) -> String| {
        let text = streams.watched(|_, wire, _| write(wire, &page::origin()));
        page::save(name, mime, &text.unwrap_or_default());
    };
    // The row elements stay and only their contents change: creating forty rows takes longer than a frame.
    let places = [(); PLACES].map(|()| RwSignal::new(None::<Row>));
    Effect::new(move |_| {
        look.with(|(.., rows)| {
            for (at, place) in places.iter().enumerate() {
                if place.with_untracked(|row| row.as_ref() != rows.get(at)) {
                    place.set(rows.get(at).cloned());
                }
            }
        });
    });
    #[expect(clippy::cast_precision_loss, reason = "pixels")]
    let gap = |rows: usize| format!("height:{}px", fourways_model::format::fixed(rows as f64 * ROW_PX, 0));
    let above = move || look.with(|(from, ..)| gap(*from));
    let below = move || look.with(|(from, count, rows)| gap(count.saturating_sub(from + rows.len())));
    view! {
        <section class="card o3" aria-labelledby="wire-h">
            <header>
                <h2 id="wire-h">"Wire"</h2>
                <span class="cap" data-testid="wire-state">{text(state)}</span>
                <span class="sp"></span>
                <button class="btn" aria-pressed=text(move || end.get().is_some()) on:click=move |_| if end.get_untracked().is_some() { follow() } else { freeze() }>
                    <Icon name=Signal::derive(move || if end.get().is_some() { "play" } else { "pause" }) />
                    {text(move || if end.get().is_some() { "Follow" } else { "Hold" })}
                </button>
                <Segments label="Records" choices=kinds chosen=kind choose=move |at: usize| filter.change(|filter| filter.kind = Kind::ALL[at].0) />
            </header>
            <div class="wire-bar">
                <input class="input" type="search" placeholder="Search bytes" aria-label="Search in the bytes" data-testid="search"
                    on:input=move |event| filter.change(|filter| filter.search = event_target_value(&event)) />
                <span class="cap" data-testid="matching">{text(move || plural(look.with(|(_, count, _)| *count as u64), "unit", "units"))}</span>
                {part(move || match streams.lab().left_out.get() {
                    0 => None,
                    count => Some(view! { <span class="cap bad-n">{plural(count, "unit was", "units were")}" left out: the page did not take them in time"</span> }),
                })}
                <span class="sp"></span>
                <button class="btn ghost" data-testid="har" on:click=move |_| save("fourways.har", "application/json", |wire, origin| har(wire.entries(), origin))>
                    <Icon name="down" />"HAR"
                </button>
                <button class="btn ghost" data-testid="ndjson" on:click=move |_| save("fourways.ndjson", "application/x-ndjson", |wire, _| ndjson(wire.entries()))>
                    <Icon name="down" />"NDJSON"
                </button>
            </div>
            <div class="wire">
                <div class="scroll" node_ref=list tabindex="0" role="region" aria-label="Wire records" on:keydown=step on:scroll=scrolled>
                    <table class="tbl">
                        <thead>
                            <tr>
                                <th scope="col">"Server time, UTC"</th>
                                <th scope="col"><span class="vh">"Direction"</span></th>
                                <th scope="col">"What"</th>
                                <th scope="col" class="r">"Headers"</th>
                                <th scope="col" class="r">"Framing"</th>
                                <th scope="col" class="r">"Payload"</th>
                                <th scope="col" class="r hide-s">"To page"</th>
                                <th scope="col">"Events"</th>
                            </tr>
                        </thead>
                        <tbody data-testid="wire">
                            <tr aria-hidden="true" style=text(above)></tr>
                            {places.map(|row| view! { <WireRow row=row chosen=chosen /> })}
                            <tr aria-hidden="true" style=text(below)></tr>
                        </tbody>
                    </table>
                </div>
                <Anatomy streams=streams chosen=chosen tick=tick />
            </div>
        </section>
    }
}

#[component]
fn WireRow(
    /// Contents of the row; the row is hidden while this is `None`.
    row: RwSignal<Option<Row>>,
    /// Sequence number of the chosen wire entry.
    chosen: RwSignal<Option<u64>>,
) -> impl IntoView {
    let seq = move || row.with(|row| row.as_ref().map(|row| row.seq));
    let is_chosen = move || seq().map(|seq| (chosen.get() == Some(seq)).to_string());
    let cell = move |read: fn(&Row) -> &str| {
        text(move || row.with(|row| row.as_ref().map(read).unwrap_or_default().to_owned()))
    };
    view! {
        <tr class=cell(|row| row.tone) hidden=Signal::derive(move || seq().is_none()) aria-selected=Signal::derive(is_chosen)
            on:click=move |_| chosen.set(row.with_untracked(|row| row.as_ref().map(|row| row.seq)))>
            <td>{cell(|row| &row.time)}</td>
            <td class="dir"><span aria-hidden="true">{cell(|row| row.arrow)}</span><span class="vh">{cell(|row| row.direction)}</span></td>
            <td class="status">{cell(|row| &row.what)}</td>
            <td class="r">{cell(|row| &row.headers)}</td>
            <td class="r">{cell(|row| &row.framing)}</td>
            <td class="r">{cell(|row| &row.payload)}</td>
            <td class="r hide-s">{cell(|row| &row.to_page)}</td>
            <td class="ev">{cell(|row| &row.events)}</td>
        </tr>
    }
}
