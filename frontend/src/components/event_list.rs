//! The newest events as text.

use leptos::prelude::*;

use crate::state::format::duration;

/// A line of the list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) offset: u64,
    pub(crate) topic: String,
    pub(crate) data: String,
    pub(crate) latency_ms: f64,
}

#[component]
pub(crate) fn EventList(
    /// Newest first.
    lines: Signal<Vec<Line>>,
) -> impl IntoView {
    view! {
        <Show
            when=move || !lines.with(Vec::is_empty)
            fallback=|| view! {
                <p class="wait-for">"Nothing has arrived yet. The next event of the topic appears here."</p>
            }
        >
            <ol class="events" data-testid="events">
                <For each=move || lines.get() key=|line| line.offset let:line>
                    <li>
                        <span class="ev mono">{format!("#{}", line.offset)}</span>
                        <span class="muted">{line.topic}</span>
                        <code>{line.data}</code>
                        <span class="mono muted r">{duration(line.latency_ms)}</span>
                    </li>
                </For>
            </ol>
        </Show>
    }
}
