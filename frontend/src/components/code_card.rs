//! Code samples to paste, one per language.

use fourways_model::{
    highlight::{Ink, highlight},
    snippets::Snippet,
};
use leptos::prelude::*;

use super::{
    dynamic::{part, text},
    segments::Segments,
};
use crate::browser::{page, task};

#[component]
pub(crate) fn CodeCard(
    /// One snippet per language; the number of languages never changes.
    snippets: Signal<Vec<Snippet>>,
) -> impl IntoView {
    let chosen = RwSignal::new(1_usize);
    let copied = RwSignal::new("Copy");
    let languages = snippets.get_untracked().iter().map(|snippet| snippet.language).collect();
    let code = move || snippets.with(|all| all.get(chosen.get()).map(|s| s.code.clone()).unwrap_or_default());
    let copy = move |_| {
        let text = code();
        task::spawn(async move {
            copied.set(if page::copy(&text).await { "Copied" } else { "Press Ctrl+C" });
            crate::browser::timer::sleep(2000.0).await;
            let _gone = copied.try_set("Copy");
        });
    };
    let pieces = move || inked(&code());
    view! {
        <section class="card o4" aria-labelledby="code-h">
            <header>
                <h2 id="code-h">"Code"</h2>
                <span class="cap">"against this server"</span>
                <span class="sp"></span>
                <Segments label="Language" choices=languages chosen=chosen.into() choose=move |at| chosen.set(at) />
                <button class="btn ghost" on:click=copy aria-live="polite">{text(move || copied.get())}</button>
            </header>
            <pre class="code" tabindex="0" aria-label="Code">{part(pieces)}</pre>
        </section>
    }
}

/// Renders code with light syntax colouring.
pub(crate) fn inked(code: &str) -> AnyView {
    let piece = |(ink, words): (Ink, &str)| {
        let words = words.to_owned();
        match ink {
            Ink::Plain => view! { <span>{words}</span> }.into_any(),
            Ink::Comment => view! { <i>{words}</i> }.into_any(),
            Ink::Text => view! { <em>{words}</em> }.into_any(),
            Ink::Keyword => view! { <b>{words}</b> }.into_any(),
        }
    };
    highlight(code).into_iter().map(piece).collect_view().into_any()
}
