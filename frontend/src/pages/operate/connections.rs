//! The open connections, with age, lag and bytes, and a button to close each.

use std::sync::Arc;

use fourways_model::format::{bytes, duration, grouped};
use fourways_shared::{Technique, operate::ConnectionState};
use leptos::prelude::*;

use super::OperateState;
use crate::{
    browser::task,
    components::{change::Change as _, confirm::Confirm, dynamic::text, icon::Name, rows::rows},
    delivery::operate,
};

/// Number of rows at most; there may be thousands of connections.
const MAX_ROWS: usize = 100;

#[component]
pub(super) fn ConnectionsCard(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let only = RwSignal::new(None::<Technique>);
    let ids = Memo::new(move |_| {
        told.connections.with(|known| {
            let all = known.iter().flat_map(|known| &known.connections);
            let wanted = all.filter(|one| only.get().is_none_or(|technique| one.technique == technique));
            wanted.map(|one| one.id.to_string()).take(MAX_ROWS).collect::<Vec<String>>()
        })
    });
    let count = move |technique: Technique| {
        told.connections.with(|known| {
            let all = known.iter().flat_map(|known| &known.connections);
            all.filter(|one| one.technique == technique).count()
        })
    };
    let choices = Technique::ALL.into_iter().filter(|technique| *technique != Technique::ShortPoll).map(|technique| {
        let is_on = move || (only.get() == Some(technique)).to_string();
        let choose = move |_| only.change(|only| *only = (*only != Some(technique)).then_some(technique));
        view! {
            <button class="chip" data-technique=technique.name() aria-pressed=text(is_on) on:click=choose>
                <Name technique=technique />" "<b data-testid=format!("held-{}", technique.name())>{text(move || count(technique))}</b>
            </button>
        }
    });
    let caption = move || {
        let total = told.connections.with(|known| known.as_ref().map_or(0, |known| known.total));
        let shown = ids.with(Vec::len);
        if shown < total {
            format!("{shown} of {} shown, the oldest first", grouped(total as u64))
        } else {
            String::new()
        }
    };
    view! {
        <section class="card" aria-labelledby="held-h">
            <header>
                <h2 id="held-h">"Held open"</h2>
                <div class="chips">{choices.collect_view()}</div>
                <span class="sp"></span>
                <span class="cap">{text(caption)}</span>
            </header>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Table of connections">
                <table class="tbl still" data-testid="connections">
                    <thead><tr>
                        <th>"#"</th><th>"Technique"</th><th>"Subject"</th><th>"Topics"</th><th class="r">"Age"</th>
                        <th class="r">"Events"</th><th class="r">"Bytes"</th><th class="r">"Lag"</th><th><span class="vh">"Action"</span></th>
                    </tr></thead>
                    <tbody>
                        {rows(move || ids.get(), Arc::new(move |id| view! { <Row told=told id=id.parse().unwrap_or(0) /> }.into_any()))}
                    </tbody>
                </table>
            </div>
        </section>
    }
}

#[component]
fn Row(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
    /// Id of the connection.
    id: u64,
) -> impl IntoView {
    let of = move |read: fn(&ConnectionState) -> String| {
        text(move || {
            told.connections.with(|known| {
                let mut all = known.iter().flat_map(|known| &known.connections);
                all.find(|one| one.id == id).map(read).unwrap_or_default()
            })
        })
    };
    let technique = told.connections.with_untracked(|known| {
        let mut all = known.iter().flat_map(|known| &known.connections);
        all.find(|one| one.id == id).map_or(Technique::Sse, |one| one.technique)
    });
    let said = RwSignal::new("Cut".to_owned());
    let cut = move |()| {
        said.set("Cutting".to_owned());
        task::spawn(async move {
            if let Err(refused) = operate::cut(id).await {
                let _gone = said.try_set(refused.words().to_owned());
            }
        });
    };
    #[expect(clippy::cast_precision_loss, reason = "times for people")]
    let age = |one: &ConnectionState| duration(one.age_ms as f64);
    #[expect(clippy::cast_precision_loss, reason = "times for people")]
    let lag = |one: &ConnectionState| one.lag_us.map_or("–".to_owned(), |us| duration(us as f64 / 1000.0));
    let topics =
        |one: &ConnectionState| one.topics.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    view! {
        <tr>
            <td>{id}</td>
            <td data-technique=technique.name()><Name technique=technique /></td>
            <td>{of(|one| one.subject.as_deref().unwrap_or("–").to_owned())}</td>
            <td class="topics">{of(topics)}</td>
            <td class="r">{of(age)}</td>
            <td class="r">{of(|one| grouped(one.events))}</td>
            <td class="r">{of(|one| bytes(one.bytes))}</td>
            <td class="r">{of(lag)}</td>
            <td><Confirm label=said name=format!("Cut connection {id}") question="Ends a real reader's connection." yes="Cut it" run=cut testid=format!("cut-{id}") /></td>
        </tr>
    }
}
