//! The shell: header, tabs, the page in between, and whether the server answers.

use leptos::prelude::*;
use leptos_router::{components::Router, hooks::use_location};

use fourways_shared::Technique;

use crate::{
    components::{
        dynamic::{part, text},
        header::Header,
        tabs::Tabs,
    },
    pages::{compare::Compare, health, overview::Overview, technique::TechniquePage},
};

#[component]
pub(crate) fn App() -> impl IntoView {
    let health = health::watch();
    provide_context(health);
    view! {
        <Router>
            <a class="skip" href="#main">"Skip to content"</a>
            <header class="top">
                <Header health=health.state />
                <Tabs />
                <health::Banner health=health />
            </header>
            <main id="main" tabindex="-1">
                <Page />
            </main>
            <footer class="foot">
                <span>"Every number on this page is measured: on this machine, on this connection, now."</span>
                <span>"Latency is corrected by a clock offset known to within " {text(move || health.clock_error())}</span>
            </footer>
        </Router>
    }
}

/// The page of the address. Six fixed addresses need no patterns, and the router's matching of patterns, with the
/// asynchronous loading that comes with it, would be a tenth of the app.
#[component]
fn Page() -> impl IntoView {
    let path = use_location().pathname;
    part(move || match path.get().trim_end_matches('/') {
        "" => view! { <Overview /> }.into_any(),
        "/compare" => view! { <Compare /> }.into_any(),
        other => match Technique::ALL
            .into_iter()
            .find(|technique| other.strip_prefix('/') == Some(technique.slug()))
        {
            Some(technique) => view! { <TechniquePage technique=technique /> }.into_any(),
            None => view! { <NotFound /> }.into_any(),
        },
    })
}

#[component]
fn NotFound() -> impl IntoView {
    view! {
        <section class="card blank">
            <b>"There is no page here"</b>
            <p>"The lab has an overview, a page for each technique, and a comparison."</p>
            <a class="btn" href="/">"Go to the overview"</a>
        </section>
    }
}
