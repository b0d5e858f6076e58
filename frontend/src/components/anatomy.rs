//! The bytes of one wire unit: each part in its own colour, as text, as JSON, or in hexadecimal, with the `curl`
//! command that repeats the request.

use fourways_model::{
    export::{curl::curl, hex, json},
    format::{bytes, fixed},
    wire::{Entry, Wire},
};
use fourways_shared::lab::{Class, Part, Unit};
use leptos::prelude::*;

use super::{
    dynamic::{part, text},
    segments::Segments,
};
use crate::{
    browser::{page, task, timer},
    streams::Streams,
};

const VIEWS: [&str; 4] = ["Parts", "JSON", "Text", "Hex"];
/// Number of bytes shown of a text at most: nobody reads longer ones here, and a browser takes seconds to lay them out.
const MAX_SHOWN: usize = 8 * 1024;
const MAX_HEX_LINES: usize = 128;

/// Rendered views of one wire entry, computed when the entry is chosen.
#[derive(Clone, Debug, PartialEq)]
struct Shown {
    caption: String,
    spans: Vec<Span>,
    json: String,
    text: String,
    hex: String,
    command: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
struct Span {
    part: Part,
    length: u32,
    text: String,
}

#[component]
pub(crate) fn Anatomy(
    /// Streams of the page; one of its techniques is watched.
    streams: Streams,
    /// Sequence number of the chosen wire entry; `None` shows the newest entry.
    chosen: RwSignal<Option<u64>>,
    /// Counter whose changes redraw the component.
    tick: RwSignal<u32>,
) -> impl IntoView {
    let view_at = RwSignal::new(0_usize);
    let copied = RwSignal::new("Copy as curl");
    let shown = Memo::new(move |_| {
        let seq = chosen.get();
        // Without a choice, shows the newest entry that carries payload.
        let newest = |wire: &Wire| {
            wire.entries().rev().find(|entry| entry.bytes(Class::Payload) > 0).map(|entry| entry.seq)
        };
        if seq.is_none() {
            tick.track();
        }
        let look =
            |wire: &mut Wire| wire.get(seq.or_else(|| newest(wire))?).map(|entry| Shown::of(wire, entry));
        streams.wire(look).flatten()
    });
    let ratio = move || {
        tick.track();
        let ratio = streams.wire(|wire| (wire.payload, wire.total)).unwrap_or_default();
        let (payload, total) = ratio;
        if total == 0 {
            return String::new();
        }
        format!(
            "So far {} of {} on this wire was payload: {} %",
            bytes(payload),
            bytes(total),
            share(payload, total)
        )
    };
    let copy = move |_| {
        let Some(command) = shown.with_untracked(|shown| shown.as_ref()?.command.clone()) else { return };
        task::spawn(async move {
            copied.set(if page::copy(&command).await { "Copied" } else { "Press Ctrl+C" });
            timer::sleep(2000.0).await;
            let _gone = copied.try_set("Copy as curl");
        });
    };
    let body = move || {
        let Some(shown) = shown.get() else {
            return view! { <p class="wait-for">"Choose a row to see its bytes."</p> }.into_any();
        };
        let text = match view_at.get() {
            0 => {
                return view! { <pre class="spans">{shown.spans.into_iter().map(span).collect_view()}</pre> }
                    .into_any();
            }
            1 => shown.json,
            2 => shown.text,
            _ => shown.hex,
        };
        view! { <pre>{text}</pre> }.into_any()
    };
    view! {
        <div class="raw">
            <div class="raw-bar">
                <Segments label="Show bytes as" choices=VIEWS.to_vec() chosen=view_at.into() choose=move |at| view_at.set(at) />
                <button class="btn ghost" on:click=copy aria-live="polite" hidden=Signal::derive(move || shown.with(|shown| shown.as_ref().is_none_or(|shown| shown.command.is_none())))>{text(move || copied.get())}</button>
            </div>
            <p class="meta">{text(move || shown.with(|shown| shown.as_ref().map(|shown| shown.caption.clone()).unwrap_or_default()))}</p>
            <div class="raw-body" tabindex="0" role="region" aria-label="Bytes of the chosen record" data-testid="anatomy">{part(body)}</div>
            <p class="meta">{text(ratio)}</p>
        </div>
    }
}

fn span(span: Span) -> impl IntoView {
    let title = match span.length {
        0 => span.part.label().to_owned(),
        length => format!("{}, {length} B", span.part.label()),
    };
    let class = match span.part.class() {
        Class::Headers => "p-headers",
        Class::Framing => "p-framing",
        Class::Payload => "p-payload",
    };
    view! { <span class=class><small>{title}</small>{span.text}</span> }
}

impl Shown {
    fn of(wire: &Wire, entry: &Entry) -> Self {
        let total = entry.total();
        let class = |class| entry.bytes(class);
        let (headers, framing, payload) =
            (class(Class::Headers), class(Class::Framing), class(Class::Payload));
        let direction = if entry.up { "to the server" } else { "from the server" };
        let caption = format!(
            "{} {direction}, {total} B: headers {headers}, framing {framing}, payload {payload} ({} %)",
            entry.name(),
            share(payload, total.max(1))
        );
        let is_frame = entry.unit == Unit::Frame;
        let mut spans: Vec<Span> = entry
            .spans()
            .map(|(part, length, bytes)| Span {
                part,
                length,
                text: show(part, bytes, (entry.up && is_frame) || entry.decoded.is_some()),
            })
            .collect();
        let clear = entry.unmasked();
        if entry.up && is_frame {
            let text = String::from_utf8_lossy(&clear).into_owned();
            spans.push(Span { part: Part::Payload, length: 0, text: format!("without the mask: {text}") });
        }
        if let Some(decoded) = &entry.decoded {
            let text = format!("decompressed (HPACK):\n{decoded}");
            spans.push(Span { part: Part::Headers, length: 0, text });
        }
        let payload = if is_frame {
            String::from_utf8_lossy(&clear).into_owned()
        } else {
            entry.text(|part| matches!(part, Part::Payload | Part::Wrapper))
        };
        let request = wire.entries().find(|other| other.unit == Unit::Request && other.n == entry.n);
        Self {
            caption,
            spans,
            json: json::pretty(&payload, MAX_SHOWN),
            text: String::from_utf8_lossy(&entry.raw[..entry.raw.len().min(MAX_SHOWN)]).into_owned(),
            hex: hex::hex(&entry.raw, MAX_HEX_LINES).join("\n"),
            command: request.map(|request| curl(request, &page::origin())),
        }
    }
}

/// Formats the bytes of a part for reading: line ends are made visible, binary parts are shown in hexadecimal.
fn show(part: Part, bytes: &[u8], is_masked: bool) -> String {
    let is_binary = matches!(part, Part::FrameHead | Part::Mask) || (is_masked && part != Part::StartLine);
    if is_binary {
        return bytes.iter().take(64).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    }
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_SHOWN)]);
    text.replace("\r\n", "⏎\n").replace('\r', "␍")
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
fn share(part: u64, whole: u64) -> String {
    fixed(part as f64 / whole as f64 * 100.0, 0)
}
