//! The servers that share the log, with state, version, head and load; nothing for a server that decides the order itself.

use std::sync::Arc;

use fourways_model::{
    format::{grouped, plural},
    operate::{ServerRow, ServerState},
};
use leptos::prelude::*;

use super::OperateState;
use crate::components::{
    dynamic::{part, text},
    icon::Icon,
    rows::rows,
};

#[component]
pub(super) fn ServersCard(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let is_shared = Memo::new(move |_| told.servers.with(|servers| !servers.rows.is_empty()));
    part(move || is_shared.get().then(|| view! { <Table told=told /> }))
}

#[component]
fn Table(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let ids = move || {
        told.servers.with(|servers| servers.rows.iter().map(|row| row.id.clone()).collect::<Vec<String>>())
    };
    let caption = move || {
        let count = told.servers.with(|servers| servers.rows.len() as u64);
        plural(count, "server shares the log", "servers share the log")
    };
    let has_mixed_epochs = Memo::new(move |_| told.servers.with(|servers| servers.has_mixed_epochs));
    let warning = move || {
        has_mixed_epochs.get().then(|| view! {
            <p class="warned"><Icon name="warn" />
                <span>"These servers hold different logs (their epochs differ): a reader that reconnects to another server gets a reset."</span>
            </p>
        })
    };
    view! {
        <section class="card" aria-labelledby="servers-h" data-testid="servers">
            <header><h2 id="servers-h">"Servers"</h2><span class="sp"></span><span class="cap">{text(caption)}</span></header>
            <div role="status">{part(warning)}</div>
            <div class="scroll-x" tabindex="0" role="region" aria-label="Table of servers">
                <table class="tbl still servers">
                    <caption class="vh">"Servers that share the log"</caption>
                    <thead><tr>
                        <th scope="col">"Server"</th><th scope="col">"State"</th><th scope="col">"Version"</th>
                        <th scope="col" class="r">"Newest event"</th><th scope="col" class="r">"Events behind"</th>
                        <th scope="col" class="r">"Connections"</th><th scope="col" class="r">"Subscribers"</th>
                    </tr></thead>
                    <tbody>{rows(ids, Arc::new(move |id| view! { <Row told=told id=id /> }.into_any()))}</tbody>
                </table>
            </div>
            <p class="cap card-b">"Behind: events may have been published that cannot be read there yet. Draining: the server is stopping. Subscribers: open streams, sockets and held polls. The figures of the other servers are about a second old."</p>
        </section>
    }
}

#[component]
fn Row(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
    /// Id of the server of the row.
    id: String,
) -> impl IntoView {
    let own = StoredValue::new(id);
    let of = move |read: fn(&ServerRow) -> String| {
        text(move || {
            told.servers.with(|servers| own.with_value(|own| servers.row(own).map(read)).unwrap_or_default())
        })
    };
    let is = move |read: fn(&ServerRow) -> bool| {
        Memo::new(move |_| {
            told.servers.with(|servers| own.with_value(|own| servers.row(own).is_some_and(read)))
        })
    };
    let state = Memo::new(move |_| {
        told.servers.with(|servers| {
            own.with_value(|own| servers.row(own).map_or(ServerState::Behind, |row| row.state))
        })
    });
    let (is_this, is_odd) = (is(|row| row.is_this), is(|row| row.is_odd_version));
    let version =
        |row: &ServerRow| if row.version.is_empty() { "–".to_owned() } else { row.version.clone() };
    view! {
        <tr>
            <th scope="row">{of(|row| row.name.clone())}" "
                {part(move || is_this.get().then(|| view! { <span class="tag">"this one"</span> }))}
            </th>
            <td><span class="mark" data-state=text(move || state.get().word())>
                <Icon name=Signal::derive(move || state.get().icon()) />{text(move || state.get().word())}
            </span></td>
            <td>{of(version)}" "
                {part(move || is_odd.get().then(|| view! { <span class="mark differs"><Icon name="warn" />"differs"</span> }))}
            </td>
            <td class="r">{of(|row| row.head.map_or("–".to_owned(), |head| format!("#{head}")))}</td>
            <td class="r">{of(|row| row.lag.map_or("–".to_owned(), grouped))}</td>
            <td class="r">{of(|row| grouped(row.connections))}</td>
            <td class="r">{of(|row| grouped(row.subscribers))}</td>
        </tr>
    }
}
