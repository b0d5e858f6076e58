//! The cost of each technique against the number of clients.

use fourways_model::{
    chart::{Chart, Kind, Line, LineChart, Side, Unit},
    format::plain,
};
use fourways_shared::{
    Technique,
    decide::{Advice, Answers, Cost, Load, project},
};
use leptos::prelude::*;

use super::Known;
use crate::components::{
    chart::{Figure, Legend, TableSwitch},
    dynamic::part,
};

/// Number of points of each line, over seven powers of ten.
const POINTS: u32 = 29;

/// A kind of cost: its title, its unit, and the figure of the model.
type Measure = (&'static str, Unit, fn(&Cost) -> f64);

const MEASURES: [Measure; 5] = [
    ("Requests", Unit::PerSecond, |cost| cost.requests_per_s),
    ("Bandwidth, both ways", Unit::BytesPerSecond, Cost::bandwidth),
    ("Server memory", Unit::Bytes, |cost| cost.memory_bytes),
    ("Held connections", Unit::Count, |cost| cost.held_connections),
    ("Processor cores", Unit::Count, |cost| cost.cores),
];

#[component]
pub(super) fn Costs(
    /// Advice computed from the answers.
    advice: Memo<Advice>,
    /// Constants of the cost model.
    constants: Known,
) -> impl IntoView {
    let hidden = RwSignal::new([false; 4]);
    let is_table = RwSignal::new(false);
    let load = Memo::new(move |_| advice.with(|advice| advice.load));
    let figures = MEASURES.map(|(title, unit, of)| {
        let chart = Memo::new(move |_| {
            let load = load.get();
            constants.with(|constants| {
                let clients = (0..POINTS).map(|at| 10_f64.powf(f64::from(at) / 4.0));
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10 million")]
                let costs: Vec<(f64, [Cost; 4])> =
                    clients.map(|n| (n, project(&Load { clients: n as u32, ..load }, constants))).collect();
                let line = |technique: Technique| {
                    let points = costs.iter().map(|(n, costs)| (*n, of(&costs[technique.index()])));
                    // Zero has no position on a logarithmic scale.
                    Line::of(technique, points.filter(|(_, cost)| *cost > 0.0).collect())
                };
                Chart::Lines(LineChart {
                    x: Side {
                        name: "clients",
                        unit: Unit::Count,
                        kind: Kind::Log,
                        span: Some((1.0, f64::from(Answers::MAX_CLIENTS))),
                    },
                    y: Side { name: title, unit, kind: Kind::Log, span: None },
                    lines: Technique::ALL.map(line).to_vec(),
                    flags: Vec::new(),
                    marker: Some(f64::from(load.clients)),
                })
            })
        });
        view! { <div><h3>{title}</h3><Figure title=title chart=chart hidden=hidden is_table=is_table.into() /></div> }
    });
    let crossings = move || {
        let words = advice.with(|advice| advice.crossovers.sentences());
        words.into_iter().map(|words| view! { <li>{words}</li> }).collect_view()
    };
    let assumed = move || {
        let Load { events_per_s, payload_bytes, poll_s, hold_s, sends_per_s, .. } = load.get();
        let rate = |per_s: f64| plain(per_s * 60.0);
        format!(
            "For each client: {} events a minute of {} B, polled every {} s or held for {} s, {} sends a minute.",
            rate(events_per_s),
            plain(payload_bytes),
            plain(poll_s),
            plain(hold_s),
            rate(sends_per_s)
        )
    };
    view! {
        <section class="card" aria-labelledby="cost-h">
            <header>
                <h2 id="cost-h">"Cost against number of clients"</h2>
                <span class="cap">"both axes log; the line is your answer"</span>
                <span class="sp"></span>
                <Legend hidden=hidden />
                <TableSwitch is_table=is_table />
            </header>
            <p class="cap card-b">{crate::components::dynamic::text(assumed)}</p>
            <div class="costs">{figures}</div>
            <ul class="flips card-b" aria-label="Where the costs cross" data-testid="crossovers">{part(crossings)}</ul>
        </section>
    }
}
