//! The shell: header, tabs, the page in between, and whether the server answers.

use leptos::prelude::*;
use leptos_router::{
    components::{FlatRoutes, Route, Router},
    path,
};

use fourways_shared::Technique;

use crate::{
    components::{dynamic::text, header::Header, tabs::Tabs},
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
                <FlatRoutes fallback=NotFound>
                    <Route path=path!("/") view=Overview />
                    <Route path=path!("/short-polling") view=|| view! { <TechniquePage technique=Technique::ShortPoll /> } />
                    <Route path=path!("/long-polling") view=|| view! { <TechniquePage technique=Technique::LongPoll /> } />
                    <Route path=path!("/sse") view=|| view! { <TechniquePage technique=Technique::Sse /> } />
                    <Route path=path!("/websocket") view=|| view! { <TechniquePage technique=Technique::Websocket /> } />
                    <Route path=path!("/compare") view=Compare />
                </FlatRoutes>
            </main>
            <footer class="foot">
                <span>"Every number on this page is measured: on this machine, on this connection, now."</span>
                <span>"Latency is corrected by a clock offset known to within " {text(move || health.clock_error())}</span>
            </footer>
        </Router>
    }
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
