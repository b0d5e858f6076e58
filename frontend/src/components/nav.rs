//! The links to the pages of the app.

use fourways_shared::Technique;
use leptos::prelude::*;

use super::icon::Glyph;
use crate::browser::page;

/// Returns the address, label and technique of every page, in order.
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
pub(crate) fn Nav(
    /// Path of the current page, without a trailing slash.
    path: Signal<String>,
) -> impl IntoView {
    Effect::new(move |_| {
        path.track();
        page::centre(".pages-wrap", ".pages [aria-current]");
    });
    let links = pages().into_iter().map(move |(href, label, technique)| {
        let target = href.trim_end_matches('/').to_owned();
        let id = format!("page-{}", target.strip_prefix('/').unwrap_or("overview"));
        let current = Signal::derive(move || {
            let path = path.get();
            let is_below =
                !target.is_empty() && path.strip_prefix(&target).is_some_and(|rest| rest.starts_with('/'));
            // The page of a use case lies below the linked `/use-cases`.
            (path == target).then_some("page").or(is_below.then_some("true"))
        });
        view! {
            <a id=id href=href aria-current=current data-technique=technique.map(Technique::name)>
                {technique.map(|technique| view! { <Glyph technique=technique /> })}
                {label}
            </a>
        }
    });
    view! {
        <nav class="pages-wrap" aria-label="Pages">
            <div class="pages">{links.collect_view()}</div>
        </nav>
    }
}
