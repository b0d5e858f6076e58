//! The shell: header, tabs, the page in between, and whether the server answers.

use leptos::prelude::*;

use crate::{
    components::{dynamic::text, header::Header, tabs::Tabs},
    pages::{
        address::{Address, Page},
        health,
        lab::Lab,
    },
};

#[component]
pub(crate) fn App() -> impl IntoView {
    let health = health::watch();
    provide_context(health);
    provide_context(Lab::open());
    let address = Address::follow();
    view! {
        <a class="skip" href="#main">"Skip to content"</a>
        <header class="top">
            <Header health=health.state />
            <Tabs path=address.path />
            <health::Banner health=health />
        </header>
        <main id="main" tabindex="-1">
            <Page address=address />
        </main>
        <footer class="foot">
            <span>"Every number on this page is measured: on this machine, on this connection, now."</span>
            <span>"Latency is corrected by a clock offset known to within " {text(move || health.clock_error())}". "<b class="mono">{text(move || health.protocol.get())}</b></span>
        </footer>
    }
}
