//! Charts: a card with a legend, the drawing with a cursor, and the same figures as a table.
//!
//! The geometry comes from `fourways_model::chart`; this module only turns marks into nodes. One component shows every
//! kind of chart, so the app contains one copy of the code that keeps a chart up to date.

use fourways_model::{
    chart::{Chart, Frame, Group, Mark, Reading, Row, Table, number, toggle},
    format::fixed,
};
use fourways_shared::Technique;
use leptos::{
    ev::{KeyboardEvent, PointerEvent},
    html::Div,
    prelude::*,
};

use super::{
    change::Change as _,
    dynamic::{part, text},
};
use crate::browser::resize::Widths;

/// Techniques that are switched off, by [`Technique::index`]. One signal is shared by all charts of a page.
pub(crate) type Hidden = RwSignal<[bool; 4]>;

#[component]
pub(crate) fn ChartCard(
    /// Heading of the card.
    title: &'static str,
    /// One sentence on how to read the chart.
    about: &'static str,
    /// The data, read on every move of the cursor: pass a memo or an `RwSignal`, not a derived signal.
    #[prop(into)]
    chart: Signal<Chart>,
    /// Techniques that are switched off, shared by the charts of the page.
    hidden: Hidden,
) -> impl IntoView {
    let is_table = RwSignal::new(false);
    view! {
        <section class="card chart" aria-label=title>
            <div class="chart-h">
                <div class="chart-t"><h2>{title}</h2><p class="cap">{about}</p></div>
                <div class="chart-acts"><Legend hidden=hidden /><TableSwitch is_table=is_table /></div>
            </div>
            <Figure title=title chart=chart hidden=hidden is_table=is_table.into() />
        </section>
    }
}

/// The legend: one button per technique, in its stroke pattern, that shows or hides the technique.
#[component]
pub(crate) fn Legend(
    /// Techniques that are switched off, shared by the charts of the page.
    hidden: Hidden,
) -> impl IntoView {
    let buttons = Technique::ALL.map(|technique| {
        let is_shown = move || !hidden.get()[technique.index()];
        view! {
            <button
                type="button"
                data-technique=technique.name()
                aria-pressed=text(is_shown)
                title=technique.label()
                on:click=move |_| hidden.change(|hidden| toggle(hidden, technique))
            >
                <svg viewBox="0 0 22 10" aria-hidden="true"><path class="m-line" d="M0 5H22" /></svg>
                {technique.code()}
            </button>
        }
    });
    view! { <div class="chart-key" role="group" aria-label="Techniques shown">{buttons}</div> }
}

/// A button that switches between the drawing and the table of figures.
#[component]
pub(crate) fn TableSwitch(
    /// True while the table is shown; one switch may drive several charts.
    is_table: RwSignal<bool>,
) -> impl IntoView {
    view! {
        <button type="button" class="btn ghost" aria-pressed=text(move || is_table.get()) on:click=move |_| is_table.change(|is_table| *is_table = !*is_table)>
            "Table"
        </button>
    }
}

/// A chart without its card, as wide as its container.
#[component]
pub(crate) fn Figure(
    /// Title of the chart, for screen readers.
    title: &'static str,
    /// The data, as in [`ChartCard`].
    #[prop(into)]
    chart: Signal<Chart>,
    /// Techniques that are switched off, shared by the charts of the page.
    hidden: Hidden,
    /// True while the table is shown instead of the drawing.
    is_table: Signal<bool>,
) -> impl IntoView {
    let ruler = NodeRef::<Div>::new();
    let width = RwSignal::new(0.0_f64);
    let widths = StoredValue::new_local(None::<Widths>);
    Effect::new(move |_| {
        if let Some(ruler) = ruler.get() {
            let tell = move |now| {
                // Fails only after the page is gone and needs no width.
                let _gone = width.try_set(now);
            };
            widths.set_value(Widths::follow(&ruler, tell));
        }
    });
    let frame = move || Frame { width: width.get(), hidden: hidden.get() };
    let frame_now = move || Frame { width: width.get_untracked(), hidden: hidden.get_untracked() };
    let cursor = RwSignal::new(None::<usize>);
    // Readings are announced for key presses only: announcing every pointer move would be noise.
    let by_key = RwSignal::new(false);
    let point = move |event: PointerEvent| {
        let (x, y) = (f64::from(event.offset_x()), f64::from(event.offset_y()));
        let at = chart.with_untracked(|chart| chart.stop_at(frame_now(), x, y));
        if at != cursor.get_untracked() {
            by_key.set(false);
            cursor.set(at);
        }
    };
    let leave = move |event: PointerEvent| {
        // After a touch, the reading stays visible.
        if event.pointer_type() != "touch" {
            cursor.set(None);
        }
    };
    let step = move |event: KeyboardEvent| {
        if event.alt_key() || event.ctrl_key() || event.meta_key() {
            return;
        }
        if event.key() == "Escape" {
            return cursor.set(None);
        }
        let here = cursor.get_untracked();
        let next = chart.with_untracked(|chart| chart.stop_by(frame_now(), &event.key(), here));
        if next.is_some() {
            event.prevent_default();
            by_key.set(true);
            cursor.set(next);
        }
    };
    let reading =
        move || cursor.get().and_then(|at| chart.with(|chart| chart.drawing().reading(frame(), at)));
    let said = move || if by_key.get() { reading().map(|reading| reading.words()) } else { None };
    let label = move || chart.with(|chart| format!("{title}: {}", chart.drawing().summary(frame())));
    let height = move || chart.with(|chart| number(chart.drawing().height(frame())));
    let table =
        move || is_table.get().then(|| chart.with(|chart| figures(chart.drawing().table(frame()), title)));
    view! {
        <figure class="fig">
            <div class="ruler" node_ref=ruler></div>
            <div
                class="plot-box"
                role="img"
                tabindex="0"
                aria-label=text(label)
                aria-keyshortcuts="ArrowLeft ArrowRight Home End Escape"
                hidden=is_table
                on:pointerdown=point
                on:pointermove=point
                on:pointerleave=leave
                on:keydown=step
                on:blur=move |_| cursor.set(None)
            >
                <svg class="plot" height=text(height) aria-hidden="true">
                    {part(move || nodes(chart.with(|chart| chart.groups(frame()))))}
                    {part(move || nodes(reading().map(|reading| reading.groups).unwrap_or_default()))}
                </svg>
                {part(move || reading().map(|reading| note(reading, width.get())))}
            </div>
            <p class="vh" role="status">{text(move || said().unwrap_or_default())}</p>
            {part(table)}
        </figure>
    }
}

fn nodes(groups: Vec<Group>) -> AnyView {
    let node = |group: Group| {
        let marks: Vec<AnyView> = group.marks.into_iter().map(mark).collect();
        view! { <g data-technique=group.technique.map(Technique::name)>{marks}</g> }.into_any()
    };
    groups.into_iter().map(node).collect::<Vec<AnyView>>().into_any()
}

fn mark(mark: Mark) -> AnyView {
    match mark {
        Mark::Path { look, d } => view! { <path class=look.class() d=d /> }.into_any(),
        Mark::Text { look, anchor, x, y, text: words } => view! {
            <text class=look.class() text-anchor=anchor.name() x=number(x) y=number(y)>{words}</text>
        }
        .into_any(),
    }
}

/// Renders the reading under the cursor, on the side with more room.
fn note(reading: Reading, width: f64) -> AnyView {
    let (side, away) =
        if reading.x * 2.0 > width { ("right", width - reading.x) } else { ("left", reading.x) };
    let style = format!("top:{}px;{side}:{}px", fixed(reading.y, 0), fixed(away + 10.0, 0));
    let row = |Row { technique, label, value }: Row| {
        view! { <li data-technique=technique.map(Technique::name)><b>{label}</b><span>{value}</span></li> }
    };
    let rows = reading.rows.into_iter().map(row).collect_view();
    view! { <div class="note-at" style=style><p>{reading.title}</p><ul>{rows}</ul></div> }.into_any()
}

fn figures(table: Table, title: &'static str) -> AnyView {
    let heads = table.heads.into_iter().map(|head| view! { <th scope="col">{head}</th> }).collect_view();
    let row = |cells: Vec<String>| {
        let mut cells = cells.into_iter();
        let head = cells.next();
        let cells = cells.map(|cell| view! { <td>{cell}</td> }).collect_view();
        view! { <tr><th scope="row">{head}</th>{cells}</tr> }
    };
    let rows = table.rows.into_iter().map(row).collect_view();
    view! {
        <div class="x-scroll figures" tabindex="0" role="region" aria-label=title>
            <table class="loss"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>
        </div>
        <p class="cap">{table.note}</p>
    }
    .into_any()
}
