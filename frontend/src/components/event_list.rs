//! A list of the newest events as text.

use leptos::prelude::*;

use super::dynamic::part;
use fourways_model::format::duration;

/// One event of the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) offset: u64,
    pub(crate) topic: String,
    pub(crate) data: String,
    /// Milliseconds from publishing to delivery; `None` for a replayed event.
    pub(crate) latency_ms: Option<f64>,
}

#[component]
pub(crate) fn EventList(
    /// Events to show, newest first.
    lines: Signal<Vec<Line>>,
) -> impl IntoView {
    let is_empty = Memo::new(move |_| lines.with(Vec::is_empty));
    part(move || {
        if is_empty.get() {
            return view! { <p class="wait-for">"Nothing has arrived yet. The next event of the topic appears here."</p> }.into_any();
        }
        view! {
            <ol class="events" data-testid="events">
                {part(move || lines.get().into_iter().map(item).collect_view())}
            </ol>
        }
        .into_any()
    })
}

fn item(line: Line) -> impl IntoView {
    view! {
        <li>
            <span class="ev mono">{format!("#{}", line.offset)}</span>
            <span class="muted">{line.topic}</span>
            <code>{line.data}</code>
            <span class="mono muted r">{line.latency_ms.map_or("replayed".to_owned(), duration)}</span>
        </li>
    }
}
