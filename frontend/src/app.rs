//! The shell: header, banners, links to the pages, and the current page.

use leptos::{ev::MouseEvent, prelude::*};

use crate::{
    browser::page,
    components::{banner::Banner, dynamic::text, header::Header, nav::Nav},
    pages::{
        address::{Address, Page},
        budget::{self, Budget},
        session::{Notice, Session, SignedIn},
    },
    streams::{health, lab::Lab},
};

#[component]
pub(crate) fn App() -> impl IntoView {
    let health = health::watch();
    provide_context(health);
    provide_context(Lab::open());
    let budget = Budget::watch(health);
    provide_context(budget);
    let session = Session::begin();
    provide_context(session);
    let address = Address::follow();
    let path = address.path;
    // The router intercepts clicks on links and does not move the focus.
    let skip = move |event: MouseEvent| {
        event.prevent_default();
        page::focus("#main");
    };
    view! {
        <a class="skip" href="#main" on:click=skip>"Skip to content"</a>
        <header class="top">
            <Header health=health.state><SignedIn session=session /></Header>
            <Nav path=address.path />
            <Banner state=health.state />
            <Notice session=session />
            <budget::Notice budget=budget />
        </header>
        <main id="main" tabindex="-1">
            <Page address=address />
        </main>
        <footer class="foot">
            <span data-testid="provenance">{text(move || provenance(&path.get()))}</span>
            <span>"Latency is corrected by a clock offset known to within " {text(move || health.clock_error())}". "<b class="mono">{text(move || health.protocol.get())}</b></span>
        </footer>
    }
}

/// Returns the sentence that says where the figures of a page come from.
fn provenance(path: &str) -> &'static str {
    match path {
        "/decide" => {
            "Figures on this page are computed from a benchmark of another machine, except those of your own runs and topics."
        }
        "/operate" => "Figures on this page are this server's own counts, asked again every two seconds.",
        "/compare" => "Figures on this page were measured in this browser, in the run that is shown.",
        path if path.starts_with("/use-cases") => {
            "What each technique would have cost is estimated; all other figures are measured in this browser, now."
        }
        _ => "Figures on this page are measured in this browser, on this connection, now.",
    }
}
