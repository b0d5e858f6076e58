//! The page that the address names, kept by `leptos_router`'s history.
//!
//! A few fixed addresses need no patterns. The router's pattern matching, with the asynchronous loading that comes with
//! it, would be a tenth of the app, so its `Router` and `Routes` stay out; its links, history and back button are used
//! as they are.

use fourways_shared::Technique;
use leptos::prelude::*;
use leptos_router::location::{BrowserUrl, LocationProvider as _};

use super::{
    compare::Compare,
    decide::Decide,
    operate::Operate,
    overview::Overview,
    path::PathCheck,
    technique::TechniquePage,
    use_cases::{self, UseCases},
};
use crate::{
    browser::{page, task},
    components::dynamic::part,
};

/// The address of the page, followed as it changes. Clones share the same history.
#[derive(Clone)]
pub(crate) struct Address {
    provider: Option<BrowserUrl>,
    /// Path without a trailing slash; empty for the overview.
    pub(crate) path: Signal<String>,
}

impl Address {
    /// Follows clicks on links and the back button for as long as the calling owner lives.
    pub(crate) fn follow() -> Self {
        // Without an address there is no page to choose; the overview is as good as any.
        let provider = BrowserUrl::new().ok();
        if let Some(provider) = &provider {
            provider.init(None);
        }
        let url = provider.as_ref().map(|provider| provider.as_url().clone());
        let path = move || {
            url.as_ref().map(|url| url.read().path().trim_end_matches('/').to_owned()).unwrap_or_default()
        };
        Self { provider, path: Signal::derive(path) }
    }

    /// Tells the router that the new page is rendered, so that it may change the address bar.
    fn arrived(&self) {
        if let Some(provider) = &self.provider {
            provider.ready_to_complete();
        }
    }
}

/// The page that the address names.
#[component]
pub(crate) fn Page(
    /// Address of the app.
    address: Address,
) -> impl IntoView {
    let path = Memo::new({
        let path = address.path;
        move |_| path.get()
    });
    let has_begun = StoredValue::new(false);
    part(move || {
        let path = path.get();
        task::turn_page();
        address.arrived();
        // Keyboard and screen reader users who follow a link go on at the beginning of the new page.
        if has_begun.get_value() {
            page::focus("#main h1");
        }
        has_begun.set_value(true);
        page::set_title(&format!("{}: Fourways", title(&path)));
        match path.as_str() {
            "" => view! { <Overview /> }.into_any(),
            "/compare" => view! { <Compare /> }.into_any(),
            "/path" => view! { <PathCheck /> }.into_any(),
            "/decide" => view! { <Decide /> }.into_any(),
            "/use-cases" => view! { <UseCases /> }.into_any(),
            "/operate" => view! { <Operate /> }.into_any(),
            other => match Technique::ALL
                .into_iter()
                .find(|technique| other.strip_prefix('/') == Some(technique.slug()))
            {
                Some(technique) => view! { <TechniquePage technique=technique /> }.into_any(),
                None => other
                    .strip_prefix("/use-cases/")
                    .and_then(use_cases::of)
                    .unwrap_or_else(|| view! { <NotFound /> }.into_any()),
            },
        }
    })
}

fn title(path: &str) -> &'static str {
    match path {
        "" => "Overview",
        "/compare" => "Compare",
        "/path" => "Path check",
        "/decide" => "Decide",
        "/use-cases" => "Use cases",
        "/operate" => "Operate",
        other => {
            if let Some(title) = other.strip_prefix("/use-cases/").and_then(use_cases::title) {
                return title;
            }
            let technique = Technique::ALL.into_iter().find(|t| other.strip_prefix('/') == Some(t.slug()));
            technique.map_or("No page", Technique::label)
        }
    }
}

#[component]
fn NotFound() -> impl IntoView {
    view! {
        <section class="card blank">
            <h1>"There is no page here"</h1>
            <p>"The lab has an overview, a page for each technique, a comparison, a path check, a decision, use cases and a page for who operates the server."</p>
            <a class="btn" href="/">"Go to the overview"</a>
        </section>
    }
}
