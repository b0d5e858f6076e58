//! The results of a run: claims, charts, deliveries; with the results of another run beside them.

use fourways_model::{
    chart::{Chart, Frame, svg_text},
    experiment::{
        claims::{HEADINGS, Measured, Verdict, row},
        columns::{COLUMNS, Column},
        pictures::{TITLES, picture},
        run::{Run, TechniqueResult},
    },
    format::{duration_or_dash, fixed},
};
use fourways_shared::Technique;
use leptos::prelude::*;

use super::{Bench, Progress, inks};
use crate::{
    browser::{page, picture::png, task},
    components::{
        chart::ChartCard,
        dynamic::{part, text},
        icon::{Icon, Name},
    },
    pages::lanes::{Canvases, frames},
    streams::{Streams, health::Health},
};

#[component]
pub(super) fn Claims(
    /// State shared by the parts of the page.
    bench: Bench,
) -> impl IntoView {
    let Bench { progress, run, is_running, .. } = bench;
    let share = move || match progress.get() {
        Progress::Running { share, .. } => share,
        _ if run.with(Option::is_some) => 1.0,
        _ => 0.0,
    };
    let state = move || match progress.get() {
        Progress::Running { counts: [sp, lp, sse, ws], words, .. } => {
            format!("{words}; delivered so far: SP {sp}, LP {lp}, SSE {sse}, WS {ws}")
        }
        _ => run.with(|run| run.as_ref().map_or("not run yet: the claims stand alone".to_owned(), about)),
    };
    view! {
        <section class="card" aria-labelledby="claims-h" aria-busy=text(move || is_running.get())>
            <header>
                <h2 id="claims-h">"Claims and measurements"</h2>
                <div class="prog" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=text(move || fixed(share() * 100.0, 0))>
                    <i style=text(move || format!("transform:scaleX({})", fixed(share(), 3)))></i>
                </div>
                <span class="cap mono" data-testid="progress">{text(state)}</span>
                <span class="sp"></span>
                <span class="cap">"grey: the textbook. "<b class="mono">"mono"</b>": this run"</span>
            </header>
            <div class="x-scroll" tabindex="0" role="region" aria-label="Claims, as a table">
                <table class="claims">
                    <thead><tr><th scope="col">"Technique"</th>{HEADINGS.map(|h| view! { <th scope="col">{h}</th> })}</tr></thead>
                    <tbody>
                        {Technique::ALL.map(|technique| view! { <ClaimRow technique=technique bench=bench /> })}
                    </tbody>
                </table>
            </div>
        </section>
    }
}

fn about(run: &Run) -> String {
    let name = if run.name == run.settings.summary() { String::new() } else { format!("{}: ", run.name) };
    format!("{name}{}, {} published, {}", run.settings.summary(), run.published, run.protocol)
}

#[component]
fn ClaimRow(
    /// Technique of the row.
    technique: Technique,
    /// State shared by the parts of the page.
    bench: Bench,
) -> impl IntoView {
    let Bench { run, is_running, .. } = bench;
    let cells = move || {
        let run = if is_running.get() { None } else { run.get() };
        let cells = row(technique, run.as_ref()).into_iter().zip(HEADINGS);
        cells
            .map(|(cell, heading)| {
                let got = match cell.measured {
                    Some(measured) => got(measured).into_any(),
                    None if is_running.get() => {
                        view! { <span class="skel-line" aria-hidden="true"></span> }.into_any()
                    }
                    None => view! { <span class="got muted">"–"</span> }.into_any(),
                };
                view! { <td data-h=heading><span class="said">{cell.claim}</span>{got}</td> }
            })
            .collect_view()
    };
    view! { <tr data-technique=technique.name()><th scope="row"><Name technique=technique /></th>{part(cells)}</tr> }
}

fn got(measured: Measured) -> impl IntoView {
    let (class, icon, word) = match measured.verdict {
        Verdict::Agrees => ("got ok", "check", "The run agrees: "),
        Verdict::Disagrees => ("got off", "warn", "The run disagrees: "),
        Verdict::Untested => ("got", "pause", "The run did not test it: "),
    };
    view! {
        <span class=class><Icon name=icon /><span class="vh">{word}</span>
            <span>{measured.value}" "<small class="muted">{measured.detail}</small></span>
        </span>
    }
}

#[component]
pub(super) fn Pictures(
    /// State shared by the parts of the page.
    bench: Bench,
) -> impl IntoView {
    let hidden = RwSignal::new([false; 4]);
    let is_there = Memo::new(move |_| bench.run.with(Option::is_some) && !bench.is_running.get());
    let charts = move || {
        if !is_there.get() {
            let why = if bench.is_running.get() {
                "Running: the charts come when it is over."
            } else {
                "Run the experiment to see latency, staleness, bytes and requests."
            };
            return view! { <section class="card"><p class="wait-for">{why}</p></section> }.into_any();
        }
        let cards = TITLES.into_iter().enumerate().map(move |(which, (title, about))| {
            let chart = Memo::new(move |_| {
                bench.run.with(|run| run.as_ref().map_or_else(nothing, |run| picture(run, which)))
            });
            view! {
                <div class="picture">
                    <ChartCard title=title about=about chart=chart hidden=hidden />
                    <div class="picture-acts">
                        <button class="btn ghost" aria-label=format!("Save “{title}” as SVG") data-testid="svg" on:click=move |_| save(chart, title, about, false)>"SVG"</button>
                        <button class="btn ghost" aria-label=format!("Save “{title}” as PNG") data-testid="png" on:click=move |_| save(chart, title, about, true)>"PNG"</button>
                    </div>
                </div>
            }
        });
        view! { <div class="charts">{cards.collect_view()}</div> }.into_any()
    };
    part(charts)
}

fn nothing() -> Chart {
    use fourways_model::chart::{Bars, Unit};
    Chart::Bars(Bars { unit: Unit::Bytes, parts: &[], bars: Vec::new() })
}

fn save(chart: Memo<Chart>, title: &'static str, about: &'static str, as_png: bool) {
    const WIDTH: f64 = 720.0;
    let frame = Frame { width: WIDTH, hidden: [false; 4] };
    let svg = chart.with_untracked(|chart| svg_text(chart, title, about, frame, &inks()));
    let name = title.to_lowercase().replace([' ', ','], "-");
    if as_png {
        task::spawn(async move {
            if let Some(blob) = png(&svg).await {
                page::save_blob(&(name + ".png"), &blob);
            }
        });
    } else {
        page::save(&(name + ".svg"), "image/svg+xml", &svg);
    }
}

/// The four lanes over one clock, shown while a run goes on.
#[component]
pub(super) fn Lanes(
    /// Streams of the page.
    streams: Streams,
    /// Health of the connection, shared by the whole app.
    health: Health,
    /// State shared by the parts of the page.
    bench: Bench,
) -> impl IntoView {
    let canvases: Canvases = std::array::from_fn(|_| NodeRef::new());
    // Outside of a run the picture stands still.
    let stands = RwSignal::new(true);
    Effect::new(move |_| stands.set(!bench.is_running.get()));
    let frames = frames(streams, health, stands, RwSignal::new(0), canvases);
    let _frames = StoredValue::new_local(frames);
    let rows = Technique::ALL.map(|technique| {
        view! {
            <div class="lane lane-only" data-technique=technique.name()>
                <div class="what"><Name technique=technique /></div>
                <div class="strip"><canvas node_ref=canvases[technique.index() + 1] role="img" aria-label=format!("Deliveries by {} over the last ten seconds", technique.label())></canvas></div>
            </div>
        }
    });
    view! {
        <section class="card" aria-labelledby="lanes-h" hidden=Signal::derive(move || !bench.is_running.get())>
            <header><h2 id="lanes-h">"On one clock"</h2><span class="cap">"the length of a line is the latency; a hollow red ring is lost, a double one came twice"</span></header>
            <div class="pub-row lane-only">
                <div class="cap">"Published"</div>
                <div class="strip"><canvas node_ref=canvases[0] role="img" aria-label="Events published over the last ten seconds"></canvas></div>
            </div>
            {rows}
        </section>
    }
}

fn columns() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| column.is_on_page)
}

#[component]
pub(super) fn Delivery(
    /// State shared by the parts of the page.
    bench: Bench,
) -> impl IntoView {
    let Bench { run, beside, is_running, .. } = bench;
    let body = move || {
        let Some(run) = run.get().filter(|_| !is_running.get()) else {
            let words = if is_running.get() {
                "Running: what each technique delivered comes here."
            } else {
                "Run the experiment to see what each technique delivered, lost and repeated."
            };
            return view! { <p class="wait-for">{words}</p> }.into_any();
        };
        let other = beside.get();
        let rows = run.outcomes.iter().flat_map(|outcome| {
            let own = delivery_row(outcome, None);
            let beside =
                other.as_ref().map(|other| delivery_row(other.of(outcome.technique), Some(&other.name)));
            [Some(own), beside].into_iter().flatten()
        });
        let note = format!(
            "Latency is from published to here, by clocks that agree to within {}. Opened in the order {}.",
            duration_or_dash(Some(run.clock_error_ms())),
            run.order.iter().map(|technique| technique.code()).collect::<Vec<_>>().join(", ")
        );
        view! {
            <div class="x-scroll" tabindex="0" role="region" aria-label="Delivery, as a table">
                <table class="loss" data-testid="delivery">
                    <thead><tr><th scope="col">"Technique"</th>{columns().map(|column| view! { <th scope="col">{column.heading}</th> }).collect_view()}</tr></thead>
                    <tbody>{rows.collect_view()}</tbody>
                </table>
            </div>
            <p class="cap card-b">{note}" Lost is what the log has and the client never got. Bytes are counted at the server, both ways, with every header."</p>
        }
        .into_any()
    };
    view! {
        <section class="card" aria-labelledby="delivery-h">
            <header><h2 id="delivery-h">"Delivery"</h2><span class="cap">{text(move || run.with(|run| run.as_ref().map_or(String::new(), |run| format!("{} published", run.published))))}</span></header>
            {part(body)}
        </section>
    }
}

fn delivery_row(outcome: &TechniqueResult, of_other: Option<&str>) -> impl IntoView + use<> {
    let head = match of_other {
        None => view! { <Name technique=outcome.technique /> }.into_any(),
        Some(name) => {
            view! { <span class="cap">{format!("{}, {name}", outcome.technique.code())}</span> }.into_any()
        }
    };
    let cells = columns().map(|column| {
        let class = if column.is_bad(outcome) { "bad-n" } else { "" };
        view! { <td data-column=column.name class=class>{column.text(outcome)}</td> }
    });
    view! {
        <tr class=if of_other.is_some() { "other" } else { "" }>
            <th scope="row">{head}</th>
            {cells.collect_view()}
        </tr>
    }
}
