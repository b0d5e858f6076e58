//! The open connections of all servers, with age, lag and bytes, and a button to close each.

use std::sync::Arc;

use fourways_model::{
    format::{bytes, duration, grouped},
    operate::{ConnectionId, is_gathered, shown, unanswered},
};
use fourways_shared::{Technique, operate::ConnectionState};
use leptos::prelude::*;

use super::OperateState;
use crate::{
    browser::task,
    components::{
        change::Change as _,
        confirm::Confirm,
        dynamic::{part, text},
        icon::{Icon, Name},
        rows::rows,
    },
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
        let only = only.get();
        let is_wanted = |one: &ConnectionState| only.is_none_or(|technique| one.technique == technique);
        told.connections.with(|known| {
            let Some(known) = known else { return Vec::new() };
            let ids = told.servers.with(|servers| shown(known, servers, is_wanted, MAX_ROWS));
            ids.iter().map(ToString::to_string).collect::<Vec<String>>()
        })
    });
    let has_servers =
        Memo::new(move |_| told.connections.with(|known| known.as_ref().is_some_and(is_gathered)));
    let unanswered = Memo::new(move |_| told.connections.with(|known| known.as_ref().and_then(unanswered)));
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
            let whose = if has_servers.get() { "the oldest of each server" } else { "the oldest" };
            format!("{shown} of {} shown, {whose} first", grouped(total as u64))
        } else {
            String::new()
        }
    };
    let silent = move || {
        let (answered, servers) = unanswered.get()?;
        let words = format!(
            "{answered} of {servers} servers answered; the connections of the others are not listed."
        );
        Some(view! { <p class="warned"><Icon name="warn" /><span>{words}</span></p> })
    };
    let make = move |key: String| {
        let id = ConnectionId::parse(&key)?;
        Some(view! { <Row told=told id=id has_servers=has_servers /> })
    };
    view! {
        <section class="card" aria-labelledby="held-h">
            <header>
                <h2 id="held-h">"Held open"</h2>
                <div class="chips">{choices.collect_view()}</div>
                <span class="sp"></span>
                <span class="cap">{text(caption)}</span>
            </header>
            <div role="status" data-testid="unanswered">{part(silent)}</div>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Table of connections">
                <table class="tbl still" data-testid="connections">
                    <thead><tr>
                        {part(move || has_servers.get().then(|| view! { <th scope="col">"Server"</th> }))}
                        <th scope="col">"#"</th><th scope="col">"Technique"</th><th scope="col">"Subject"</th><th scope="col">"Topics"</th>
                        <th scope="col" class="r">"Age"</th><th scope="col" class="r">"Events"</th><th scope="col" class="r">"Bytes"</th>
                        <th scope="col" class="r">"Lag"</th><th scope="col"><span class="vh">"Action"</span></th>
                    </tr></thead>
                    <tbody>
                        {rows(move || ids.get(), Arc::new(move |key| make(key).into_any()))}
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
    id: ConnectionId,
    /// True if the connections are those of several servers.
    has_servers: Memo<bool>,
) -> impl IntoView {
    let number = id.id;
    let place = told.servers.with_untracked(|servers| {
        id.node.as_deref().map(|node| format!(" of {}", servers.name_of(node))).unwrap_or_default()
    });
    let key = id.to_string();
    let own = StoredValue::new(id);
    let of = move |read: fn(&ConnectionState) -> String| {
        text(move || {
            told.connections.with(|known| {
                let mut all = known.iter().flat_map(|known| &known.connections);
                own.with_value(|own| all.find(|one| own.is_of(one)).map(read)).unwrap_or_default()
            })
        })
    };
    let technique = told.connections.with_untracked(|known| {
        let mut all = known.iter().flat_map(|known| &known.connections);
        own.with_value(|own| all.find(|one| own.is_of(one)).map_or(Technique::Sse, |one| one.technique))
    });
    let server = move || {
        own.with_value(|own| {
            let node = own.node.as_deref().unwrap_or_default();
            told.servers.with(|servers| servers.name_of(node).to_owned())
        })
    };
    let said = RwSignal::new("Cut".to_owned());
    let cut = move |()| {
        said.set("Cutting".to_owned());
        let id = own.with_value(ToString::to_string);
        task::spawn(async move {
            if let Err(refused) = operate::cut(&id).await {
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
            {part(move || has_servers.get().then(|| view! { <td>{text(server)}</td> }))}
            <td>{number}</td>
            <td data-technique=technique.name()><Name technique=technique /></td>
            <td>{of(|one| one.subject.as_deref().unwrap_or("–").to_owned())}</td>
            <td class="topics">{of(topics)}</td>
            <td class="r">{of(age)}</td>
            <td class="r">{of(|one| grouped(one.events))}</td>
            <td class="r">{of(|one| bytes(one.bytes))}</td>
            <td class="r">{of(lag)}</td>
            <td><Confirm label=said name=format!("Cut connection {number}{place}") question="Ends a real reader's connection." yes="Cut it" run=cut testid=format!("cut-{key}") /></td>
        </tr>
    }
}
