//! The tabs: links with the keyboard of a tab list (WAI-ARIA APG "tabs", automatic activation).

use fourways_shared::Technique;
use leptos::{ev::KeyboardEvent, prelude::*};
use wasm_bindgen::JsCast as _;

use super::{dynamic::text, icon::Glyph};
use crate::browser::page;

/// Address, label and technique of every page, in order.
fn pages() -> Vec<(String, &'static str, Option<Technique>)> {
    let technique =
        |technique: Technique| (format!("/{}", technique.slug()), technique.label(), Some(technique));
    let mut pages = vec![("/".to_owned(), "Overview", None)];
    pages.extend(Technique::ALL.map(technique));
    pages.push(("/compare".to_owned(), "Compare", None));
    pages.push(("/path".to_owned(), "Path", None));
    pages.push(("/decide".to_owned(), "Decide", None));
    pages.push(("/use-cases".to_owned(), "Use cases", None));
    pages.push(("/operate".to_owned(), "Operate", None));
    pages
}

#[component]
pub(crate) fn Tabs(
    /// Where the page is, without a slash at the end.
    path: Signal<String>,
) -> impl IntoView {
    let turn = move |event: KeyboardEvent| {
        let pages = pages();
        let here = pages
            .iter()
            .position(|(href, ..)| href.trim_end_matches('/') == path.get_untracked())
            .unwrap_or(0);
        let next = match event.key().as_str() {
            "ArrowRight" => (here + 1) % pages.len(),
            "ArrowLeft" => (here + pages.len() - 1) % pages.len(),
            "Home" => 0,
            "End" => pages.len() - 1,
            _ => return,
        };
        event.prevent_default();
        let list = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        let tabs = list.and_then(|list| list.query_selector_all("[role=tab]").ok());
        #[expect(clippy::cast_possible_truncation, reason = "there are a few")]
        let tab = tabs
            .and_then(|tabs| tabs.item(next as u32))
            .and_then(|tab| tab.dyn_into::<web_sys::HtmlElement>().ok());
        if let Some(tab) = tab {
            // Focus that can't be moved stays where it is.
            drop(tab.focus());
            tab.click();
        }
    };
    Effect::new(move |_| {
        path.track();
        page::centre(".tabs-wrap", ".tabs [aria-selected=true]");
    });
    let tabs = pages().into_iter().map(move |(href, label, technique)| {
        let target = href.trim_end_matches('/').to_owned();
        let id = format!("tab-{}", target.strip_prefix('/').unwrap_or("overview"));
        let is_here = Memo::new(move |_| {
            let path = path.get();
            // A use case is a page below its tab.
            path == target
                || (!target.is_empty()
                    && path.strip_prefix(&target).is_some_and(|rest| rest.starts_with('/')))
        });
        view! {
            <a
                role="tab"
                id=id
                href=href
                aria-selected=text(move || is_here.get())
                aria-controls="main"
                tabindex=text(move || if is_here.get() { "0" } else { "-1" })
                data-technique=technique.map(Technique::name)
            >
                {technique.map(|technique| view! { <Glyph technique=technique /> })}
                {label}
            </a>
        }
    });
    let tabs = tabs.collect_view();
    view! {
        <nav class="tabs-wrap" aria-label="Pages">
            <div class="tabs" role="tablist" aria-label="Fourways pages" on:keydown=turn>
                {tabs}
            </div>
        </nav>
    }
}
