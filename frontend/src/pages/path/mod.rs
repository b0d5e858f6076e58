//! Path check: what gets through from this browser to this server.

mod probe;

use fourways_model::{
    format::{duration_or_dash, fixed},
    path::{Seen, Streams, answer, verdict},
};
use fourways_shared::Technique;
use leptos::prelude::*;

use self::probe::check;
use crate::{
    browser::task,
    components::{
        dynamic::{part, text},
        icon::{Icon, Name},
    },
    streams::{health::Health, lab::Lab},
};

/// Progress of a check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) share: f64,
    pub(crate) words: &'static str,
}

#[component]
pub(crate) fn PathCheck() -> impl IntoView {
    let health = expect_context::<Health>();
    let lab = expect_context::<Lab>();
    let seen = RwSignal::new(Seen::default());
    let step = RwSignal::new(None::<Step>);
    let is_running = Signal::derive(move || step.with(Option::is_some));
    let start = move |_| {
        if is_running.get_untracked() {
            return;
        }
        seen.set(Seen::default());
        step.set(Some(Step { share: 0.0, words: "measuring the round trip" }));
        task::spawn(async move {
            check(health, lab, seen, step).await;
            let _gone = step.try_set(None);
        });
    };
    let state = move || match (step.get(), seen.with(answer)) {
        (Some(step), _) => step.words.to_owned(),
        (None, _) if seen.with(|seen| seen.was_restarted) => {
            "The server was restarted meanwhile: nothing is known of the path. Check again.".to_owned()
        }
        (None, Some(_)) => "done".to_owned(),
        (None, None) => "not run yet; it takes about 30 seconds".to_owned(),
    };
    let share =
        move || step.get().map_or(if seen.with(answer).is_some() { 1.0 } else { 0.0 }, |step| step.share);
    let cards = Technique::ALL.map(|technique| {
        let found = Memo::new(move |_| seen.with(|seen| verdict(technique, seen)));
        view! {
            <article class="rank" data-technique=technique.name() data-testid=format!("path-{technique}")>
                <h3><Name technique=technique /></h3>
                <p class="verdict"><Icon name=Signal::derive(move || found.get().0.icon()) /><b>{text(move || found.get().0.words())}</b></p>
                <p>{text(move || found.get().1)}</p>
            </article>
        }
    });
    let facts = move || {
        seen.with(|seen| {
            let streams = match seen.streams {
                None => "–".to_owned(),
                Some(Streams { open, tried }) if open < tried => format!("{open}, then one waits"),
                Some(Streams { tried, .. }) => format!("{tried} and more"),
            };
            let protocol = seen.protocol.clone().unwrap_or_else(|| "–".to_owned());
            let facts = [
                ("Round trip", duration_or_dash(seen.round_trip_ms)),
                ("Clocks agree to within", duration_or_dash(seen.clock_error_ms)),
                ("Protocol", protocol),
                ("Streams at once", streams),
            ];
            facts
                .into_iter()
                .map(|(name, value)| view! { <div class="stat"><dt>{name}</dt><dd>{value}</dd></div> })
                .collect_view()
        })
    };
    view! {
        <div class="page-h">
            <div>
                <h1>"What does this path carry?"</h1>
                <p>"From this browser to this server, through whatever lies between: each technique is tried, and what breaks it is named."</p>
            </div>
        </div>
        <section class="card" aria-labelledby="path-h" aria-busy=text(move || is_running.get())>
            <header>
                <h2 id="path-h">"Path check"</h2>
                <div class="prog" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100" aria-valuenow=text(move || fixed(share() * 100.0, 0))>
                    <i style=text(move || format!("transform:scaleX({})", fixed(share(), 3)))></i>
                </div>
                <span class="cap mono" data-testid="path-state">{text(state)}</span>
                <span class="sp"></span>
                <button class="btn pri" data-testid="path-run" disabled=is_running on:click=start><Icon name="play" />"Check the path"</button>
            </header>
            <p class="path-answer" aria-live="polite" data-testid="path-answer">{text(move || seen.with(answer).unwrap_or_default())}</p>
            <dl class="stats path-stats">{part(facts)}</dl>
            <div class="ranks">{cards}</div>
            <p class="cap card-b">"For any other server, and for what a browser can't see, from a terminal: "<code>"fourways check URL"</code></p>
        </section>
    }
}
