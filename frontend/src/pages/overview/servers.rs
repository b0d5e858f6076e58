//! The servers that share the log, on the overview: which of them serves each stream, and, where that is allowed, a button
//! that kills one. Nothing for a server that decides the order itself.

use std::{sync::Arc, time::Duration};

use fourways_model::{
    format::{grouped, plural},
    operate::{ServerRow, ServerState, Servers},
};
use fourways_shared::{Technique, account::Account, operate::Nodes};
use leptos::prelude::*;

use crate::{
    browser::task,
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::{Icon, Name},
        rows::rows,
    },
    delivery::{
        lab,
        operate::{self, Refused},
    },
    streams::Streams,
};

/// Interval between two looks at the servers, and between two reports to the ledger.
const EVERY: Duration = Duration::from_secs(1);

#[component]
pub(super) fn ServersCard(
    /// Streams of the page.
    streams: Streams,
    /// Counter whose changes redraw the figures.
    tick: RwSignal<u32>,
) -> impl IntoView {
    let servers = RwSignal::new(Servers::default());
    let can_kill = RwSignal::new(false);
    task::spawn(async move {
        let _gone = can_kill.try_set(lab::can_kill().await.unwrap_or(false));
    });
    watch(servers);
    let accounts = keep_accounts(streams, servers);
    let is_shared = Memo::new(move |_| servers.with(|servers| !servers.rows.is_empty()));
    part(move || {
        is_shared.get().then(|| {
            view! { <Card streams=streams tick=tick servers=servers accounts=accounts can_kill=can_kill /> }
        })
    })
}

/// Asks for the servers again and again while the page is there, unless there is only one or the visitor may not know.
fn watch(servers: RwSignal<Servers>) {
    let is_over = StoredValue::new(false);
    let ask = move || {
        if is_over.try_get_value() != Some(false) {
            return;
        }
        task::spawn(async move {
            match operate::get::<Nodes>("/v1/nodes").await {
                Ok(nodes) if nodes.nodes.is_empty() => is_over.set_value(true),
                Ok(nodes) => drop(servers.try_set(nodes.into())),
                Err(Refused::Unauthorized { .. }) => is_over.set_value(true),
                // The server that was asked is gone; another one answers next.
                Err(Refused::Other(_)) => {}
            }
        });
    };
    ask();
    let asking = set_interval_with_handle(ask, EVERY);
    on_cleanup(move || {
        if let Ok(asking) = asking {
            asking.clear();
        }
    });
}

/// Reports what arrives by all four techniques to the ledger, and returns its accounts.
fn keep_accounts(streams: Streams, servers: RwSignal<Servers>) -> RwSignal<[Option<Account>; 4]> {
    let accounts = RwSignal::new([None; 4]);
    let report = move || {
        if servers.try_with_untracked(|servers| !servers.rows.is_empty()) == Some(true) {
            for technique in Technique::ALL {
                streams.report(technique);
            }
        }
    };
    let reporting = set_interval_with_handle(report, EVERY);
    on_cleanup(move || {
        if let Ok(reporting) = reporting {
            reporting.clear();
        }
    });
    Effect::new(move |_| {
        for technique in Technique::ALL {
            if let Some(account) = streams.account(technique) {
                accounts.change(|accounts| accounts[technique.index()] = Some(account));
            }
        }
    });
    accounts
}

#[component]
fn Card(
    /// Streams of the page.
    streams: Streams,
    /// Counter whose changes redraw the figures.
    tick: RwSignal<u32>,
    /// Servers that share the log.
    servers: RwSignal<Servers>,
    /// Accounts of the ledger, by technique.
    accounts: RwSignal<[Option<Account>; 4]>,
    /// True if the visitor may kill servers.
    can_kill: RwSignal<bool>,
) -> impl IntoView {
    let ids =
        move || servers.with(|servers| servers.rows.iter().map(|row| row.id.clone()).collect::<Vec<_>>());
    let heading = move || {
        let count = servers.with(|servers| servers.rows.len() as u64);
        plural(count, "server, one log", "servers, one log")
    };
    let verdict = move || {
        tick.track();
        let reconnects =
            streams.view(|lanes, _| lanes.iter().map(|lane| lane.counters.reconnects).sum::<u64>());
        let known = accounts.get().into_iter().flatten();
        let sum = known.fold(Account::default(), |sum, one| Account {
            held: sum.held + one.held,
            lost: sum.lost + one.lost,
            repeated: sum.repeated + one.repeated,
            reordered: sum.reordered + one.reordered,
            ..sum
        });
        format!(
            "{} compared with the log over {}: {} lost, {} repeated, {} reordered",
            plural(sum.held, "delivery", "deliveries"),
            plural(reconnects.unwrap_or(0), "reconnect", "reconnects"),
            grouped(sum.lost),
            grouped(sum.repeated),
            grouped(sum.reordered),
        )
    };
    view! {
        <section class="card nodes" aria-labelledby="nodes-h" data-testid="nodes">
            <header><h2 id="nodes-h">{text(heading)}</h2><span class="sp"></span>
                <span class="cap" data-testid="nodes-ledger">{text(verdict)}</span></header>
            <ul>{rows(ids, Arc::new(move |id| {
                view! { <Server streams=streams tick=tick servers=servers id=id can_kill=can_kill /> }.into_any()
            }))}</ul>
        </section>
    }
}

#[component]
fn Server(
    /// Streams of the page.
    streams: Streams,
    /// Counter whose changes redraw the figures.
    tick: RwSignal<u32>,
    /// Servers that share the log.
    servers: RwSignal<Servers>,
    /// Id of the server.
    id: String,
    /// True if the visitor may kill servers.
    can_kill: RwSignal<bool>,
) -> impl IntoView {
    let own = StoredValue::new(id);
    let read = move |read: fn(&ServerRow) -> String| {
        servers.with(|servers| own.with_value(|own| servers.row(own).map(read)).unwrap_or_default())
    };
    let name = Memo::new(move |_| read(|row| row.name.clone()));
    let head = move || read(|row| row.head.map_or("–".to_owned(), |head| format!("newest event #{head}")));
    let state = Memo::new(move |_| {
        servers.with(|servers| {
            own.with_value(|own| servers.row(own).map_or(ServerState::Behind, |row| row.state))
        })
    });
    let served = Memo::new(move |_| {
        tick.track();
        let name = name.get();
        let is_served = |technique: &Technique| {
            streams.lane(*technique, |lane| lane.node.as_ref() == Some(&name)).unwrap_or(false)
        };
        Technique::ALL.into_iter().filter(is_served).collect::<Vec<_>>()
    });
    let lanes = move || {
        let served = served.get();
        if served.is_empty() {
            return view! { <span class="cap">"serves none of this page's streams"</span> }.into_any();
        }
        served.into_iter().map(|technique| view! { <Name technique=technique /> }).collect_view().into_any()
    };
    let failure = RwSignal::new(None::<String>);
    let kill = move |_| {
        let id = own.get_value();
        task::spawn(async move {
            let outcome = operate::kill(&id).await;
            let _gone = failure.try_set(outcome.err().map(|why| why.words().to_owned()));
        });
    };
    let button = move || {
        can_kill.get().then(|| view! {
            <button class="btn" on:click=kill aria-label=text(move || format!("Kill the server {}", name.get()))>
                <Icon name="warn" />"Kill"
            </button>
        })
    };
    view! {
        <li>
            <b>{text(move || name.get())}</b>
            <span class="mark" data-state=text(move || state.get().word())>
                <Icon name=Signal::derive(move || state.get().icon()) />{text(move || state.get().word())}
            </span>
            <span class="cap">{text(head)}</span>
            <span class="served">{part(lanes)}</span>
            {part(button)}
            <span role="status">{part(move || failure.get().map(|why| view! { <span class="bad-n">{why}</span> }))}</span>
        </li>
    }
}
