//! The delivery ledger: the events that readers report to hold, compared with the log.

use fourways_model::{format::grouped, operate::LedgerRow};
use leptos::prelude::*;

use super::OperateState;
use crate::components::{
    dynamic::{part, text},
    icon::Name,
};

const MAX_ROWS: usize = 50;

#[component]
pub(super) fn LedgerCard(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let verdict = move || {
        told.ledger.with(|ledger| match &ledger.readers[..] {
            [] => "nobody has reported".to_owned(),
            readers => {
                let sum = |of: fn(&LedgerRow) -> u64| grouped(readers.iter().map(of).sum());
                format!(
                    "lost {}, repeated {}, reordered {}, of {} events",
                    sum(|row| row.lost),
                    sum(|row| row.repeated),
                    sum(|row| row.reordered),
                    sum(|row| row.held),
                )
            }
        })
    };
    let rows =
        move || told.ledger.with(|ledger| ledger.readers.iter().take(MAX_ROWS).map(row).collect_view());
    view! {
        <section class="card" aria-labelledby="ledger-h">
            <header>
                <h2 id="ledger-h">"Delivery ledger"</h2>
                <span class="cap mono" data-testid="ledger-sum">{text(verdict)}</span>
                <span class="sp"></span>
                <a class="btn ghost" href="/v1/ledger?format=csv" download="fourways-ledger.csv" rel="external">"Export CSV"</a>
            </header>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Table of accounts">
                <table class="tbl still">
                    <thead><tr>
                        <th>"Reader"</th><th>"Technique"</th><th class="r">"Held"</th><th class="r">"Lost"</th>
                        <th class="r">"Repeated"</th><th class="r">"Reordered"</th><th class="r">"Breaks"</th>
                    </tr></thead>
                    <tbody>{part(rows)}</tbody>
                </table>
            </div>
        </section>
    }
}

fn row(row: &LedgerRow) -> impl IntoView + use<> {
    let LedgerRow { technique, held, lost, repeated, reordered, breaks, .. } = *row;
    view! {
        <tr>
            <td>{row.reader.clone()}</td>
            <td data-technique=technique.name()><Name technique=technique /></td>
            {[held, lost, repeated, reordered, breaks].map(|count| view! { <td class="r">{grouped(count)}</td> }).collect_view()}
        </tr>
    }
}
