//! The wire: a row for each request, event or frame, newest first, and the raw text of the chosen one.
//!
//! It follows until a row is chosen, then it stands still and counts what is newer.

use std::rc::Rc;

use leptos::{ev::KeyboardEvent, prelude::*};

use super::{
    dynamic::{part, text},
    segments::Segments,
};
use crate::state::{
    format::{duration, plural, time_of_day},
    record::{Outcome, Part, Record},
};

/// What of the wire is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Filter {
    All,
    Data,
    Control,
}

impl Filter {
    const ALL: [(Self, &str); 3] = [(Self::All, "All"), (Self::Data, "Data"), (Self::Control, "Control")];

    pub(crate) fn takes(self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Data => record.outcome == Outcome::Data,
            Self::Control => record.outcome != Outcome::Data,
        }
    }
}

/// A row, ready to be shown.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) n: u64,
    time: String,
    arrow: &'static str,
    direction: &'static str,
    kind: String,
    status: String,
    head: String,
    body: String,
    duration: String,
    events: String,
    tone: &'static str,
    pub(crate) raw: Vec<Part>,
}

impl Row {
    pub(crate) fn of(record: &Rc<Record>) -> Self {
        let bytes = record.bytes;
        let count = |count: u64| if count == 0 { "–".to_owned() } else { count.to_string() };
        let offsets: Vec<u64> =
            record.events.iter().map(|delivered| delivered.event.cursor.offset.0).collect();
        let events = match (&*offsets, &record.reset) {
            ([], Some(reset)) => format!("reset: {}", reset.reason.name()),
            ([], None) => String::new(),
            ([one], _) => format!("#{one}"),
            ([first, .., last], _) => format!("#{first} … #{last} ({})", offsets.len()),
        };
        let took = record.ended_ms - record.began_ms;
        Self {
            n: record.n,
            time: time_of_day(record.ended_ms),
            arrow: record.direction.arrow(),
            direction: record.direction.label(),
            kind: record.kind.clone(),
            status: record.status.clone(),
            head: count(bytes.up_head + bytes.down_head),
            body: count(bytes.up_body + bytes.down_body),
            duration: if took > 0.0 { duration(took) } else { String::new() },
            events,
            tone: match record.outcome {
                Outcome::Failed => "bad",
                Outcome::Empty | Outcome::Control => "dim",
                Outcome::Data | Outcome::Opened => "",
            },
            raw: record.raw.0.clone(),
        }
    }
}

#[component]
pub(crate) fn WireTable(
    /// Newest first, filtered.
    rows: Signal<Vec<Row>>,
    /// The number of the newest record.
    newest: Signal<u64>,
    /// What is shown.
    filter: RwSignal<Filter>,
    /// The rows stand still.
    frozen: RwSignal<bool>,
) -> impl IntoView {
    let chosen = RwSignal::new(None::<Row>);
    let follow = move || {
        chosen.set(None);
        frozen.set(false);
    };
    let choose = move |row: Row| {
        frozen.set(true);
        chosen.set(Some(row));
    };
    let step = move |event: KeyboardEvent| {
        let down = match event.key().as_str() {
            "ArrowDown" => true,
            "ArrowUp" => false,
            "Escape" => return follow(),
            _ => return,
        };
        event.prevent_default();
        let next = rows.with_untracked(|rows| {
            let here =
                chosen.with_untracked(|c| c.as_ref().and_then(|c| rows.iter().position(|row| row.n == c.n)));
            let at = here.map_or(0, |at| if down { at + 1 } else { at.saturating_sub(1) });
            rows.get(at).cloned()
        });
        if let Some(row) = next {
            choose(row);
        }
    };
    let note = move || {
        chosen.with(|chosen| match chosen {
            Some(row) => format!("{} newer", plural(newest.get().saturating_sub(row.n), "record", "records")),
            None => "following".to_owned(),
        })
    };
    let shown = move || chosen.get().or_else(|| rows.with(|rows| rows.first().cloned()));
    let filters = Filter::ALL.map(|(_, label)| label).to_vec();
    let chosen_filter =
        Signal::derive(move || Filter::ALL.iter().position(|(f, _)| *f == filter.get()).unwrap_or(0));
    view! {
        <section class="card o3" aria-labelledby="wire-h">
            <header>
                <h2 id="wire-h">"Wire"</h2>
                <span class="cap">{text(note)}</span>
                <span class="sp"></span>
                <button class="btn" hidden=Signal::derive(move || !frozen.get()) on:click=move |_| follow()>"Follow"</button>
                <Segments label="Records" choices=filters chosen=chosen_filter choose=move |at: usize| filter.set(Filter::ALL[at].0) />
            </header>
            <div class="wire">
                <div class="scroll" tabindex="0" role="region" aria-label="Wire records" on:keydown=step>
                    <table class="tbl">
                        <thead>
                            <tr>
                                <th scope="col">"Time, UTC"</th>
                                <th scope="col"><span class="vh">"Direction"</span></th>
                                <th scope="col">"Type"</th>
                                <th scope="col">"Status"</th>
                                <th scope="col" class="r">"Head, B"</th>
                                <th scope="col" class="r">"Body, B"</th>
                                <th scope="col" class="r hide-s">"Took"</th>
                                <th scope="col">"Events"</th>
                            </tr>
                        </thead>
                        <tbody data-testid="wire">
                            {part(move || rows.get().into_iter().map(|row| view! { <WireRow row=row chosen=chosen choose=choose /> }).collect_view())}
                        </tbody>
                    </table>
                </div>
                <div class="raw" tabindex="0" role="region" aria-label="Raw text">
                    {part(move || shown().map(|row| row.raw.into_iter().map(raw_part).collect_view()))}
                </div>
            </div>
        </section>
    }
}

#[component]
fn WireRow(
    /// What it shows.
    row: Row,
    /// The chosen row.
    chosen: RwSignal<Option<Row>>,
    /// Called when it is chosen.
    #[prop(into)]
    choose: Callback<Row>,
) -> impl IntoView {
    let n = row.n;
    let is_chosen = move || chosen.with(|chosen| chosen.as_ref().is_some_and(|chosen| chosen.n == n));
    let kept = row.clone();
    view! {
        <tr class=row.tone aria-selected=text(is_chosen) on:click=move |_| choose.run(kept.clone())>
            <td>{row.time}</td>
            <td class="dir"><span aria-hidden="true">{row.arrow}</span><span class="vh">{row.direction}</span></td>
            <td>{row.kind}</td>
            <td class="status">{row.status}</td>
            <td class="r">{row.head}</td>
            <td class="r">{row.body}</td>
            <td class="r hide-s">{row.duration}</td>
            <td class="ev">{row.events}</td>
        </tr>
    }
}

fn raw_part(part: Part) -> impl IntoView {
    view! {
        <span class="meta">{part.caption}</span>
        <span class="s">{part.start}</span>
        <span class="h">{part.head}</span>
        <span class="b">{part.body}</span>
    }
}
