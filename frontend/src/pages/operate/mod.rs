//! The page for operators: the servers that share the log, what is read and by whom, what was refused, what readers
//! hold; with a look into a topic, publishing by hand, and closing a connection.

mod connections;
mod ledger;
mod rehearse;
mod servers;
mod topics;

use std::{collections::HashMap, time::Duration};

use fourways_model::{
    format::grouped,
    operate::{Ledger, Limits, Rates, Servers, Topics},
};
use fourways_shared::{
    Topic,
    operate::{Connections, Nodes},
};
use leptos::prelude::*;

use self::{
    connections::ConnectionsCard, ledger::LedgerCard, rehearse::RehearseCard, servers::ServersCard,
    topics::TopicsCard,
};
use crate::{
    browser::{clock, task},
    components::dynamic::{part, text},
    delivery::operate::{self, Refused},
    pages::session::SignInButton,
};

/// Interval at which everything is asked for again.
const EVERY: Duration = Duration::from_secs(2);

/// Latest state of the server. Copies share the signals, which live as long as the page.
#[derive(Clone, Copy)]
struct OperateState {
    servers: RwSignal<Servers>,
    connections: RwSignal<Option<Connections>>,
    topics: RwSignal<Topics>,
    rates: RwSignal<HashMap<Topic, f64>>,
    ledger: RwSignal<Ledger>,
    limits: RwSignal<Limits>,
    /// Reason why the last request failed; `None` while the server answers.
    refused: RwSignal<Option<Refused>>,
}

impl OperateState {
    async fn ask(self, rates: StoredValue<Rates>) -> Result<(), Refused> {
        let nodes: Nodes = operate::get("/v1/nodes").await?;
        let connections: Connections = operate::get("/v1/connections").await?;
        let topics: Topics = operate::get("/v1/topics").await?;
        let ledger: Ledger = operate::get("/v1/ledger").await?;
        let limits: Limits = operate::get("/v1/limits").await?;
        let fresh = rates.try_update_value(|rates| rates.take(&topics.topics, clock::now_ms()));
        // The signals are gone if the page was left meanwhile.
        let _gone = self.servers.try_set(nodes.into());
        let _gone = self.connections.try_set(Some(connections));
        let _gone = self.topics.try_set(topics);
        let _gone = self.rates.try_set(fresh.unwrap_or_default());
        let _gone = self.ledger.try_set(ledger);
        let _gone = self.limits.try_set(limits);
        Ok(())
    }
}

#[component]
pub(crate) fn Operate() -> impl IntoView {
    let told = OperateState {
        servers: RwSignal::default(),
        connections: RwSignal::new(None),
        topics: RwSignal::default(),
        rates: RwSignal::default(),
        ledger: RwSignal::default(),
        limits: RwSignal::default(),
        refused: RwSignal::new(None),
    };
    let rates = StoredValue::new(Rates::default());
    let is_asking = StoredValue::new(false);
    let ask = move || {
        if is_asking.try_get_value() != Some(false) {
            return;
        }
        is_asking.set_value(true);
        task::spawn(async move {
            let refused = told.ask(rates).await.err();
            let _gone = told.refused.try_set(refused);
            is_asking.try_update_value(|is_asking| *is_asking = false);
        });
    };
    ask();
    let asking = set_interval_with_handle(ask, EVERY);
    on_cleanup(move || {
        if let Ok(asking) = asking {
            asking.clear();
        }
    });
    let is_stranger =
        Memo::new(move |_| told.refused.with(|why| matches!(why, Some(Refused::Unauthorized { .. }))));
    let trouble =
        move || told.refused.with(|why| why.as_ref().map(|why| why.words().to_owned()).unwrap_or_default());
    let limits = move || {
        told.limits.with(|limits| {
            let mut refused: Vec<_> = limits.refused.iter().filter(|(_, count)| **count > 0).collect();
            refused.sort_unstable();
            let refused: Vec<String> =
                refused.iter().map(|(limit, count)| format!("{limit} {}", grouped(**count))).collect();
            let refused = if refused.is_empty() { "none".to_owned() } else { refused.join(", ") };
            [
                ("Connections", grouped(limits.connections)),
                ("Held polls", grouped(limits.held_polls)),
                ("Refused by a limit", refused),
            ]
            .map(|(name, value)| view! { <div class="stat"><dt>{name}</dt><dd>{value}</dd></div> })
            .collect_view()
        })
    };
    view! {
        <div class="page-h">
            <div>
                <h1>"Operate"</h1>
                <p>"What is read and by whom, asked again every two seconds. Where the server asks for tokens, one that lets its holder operate is needed; where it does not, only who is on its own machine may."</p>
            </div>
        </div>
        <p class="trouble" role="status" data-testid="trouble">{text(trouble)}</p>
        {part(move || {
            if is_stranger.get() {
                view! {
                    <section class="card blank">
                        <p>"Signing in takes a token with the right "<code>"operate"</code>"."</p>
                        <SignInButton words="Sign in with another token" />
                    </section>
                }
                .into_any()
            } else {
                view! {
                    <div class="op">
                        <dl class="stats" data-testid="limits">{part(limits)}</dl>
                        <ServersCard told=told />
                        <ConnectionsCard told=told />
                        <TopicsCard told=told />
                        <LedgerCard told=told />
                        <RehearseCard told=told />
                    </div>
                }
                .into_any()
            }
        })}
    }
}
