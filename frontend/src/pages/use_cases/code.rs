//! The complete code of a use case, as the server was built with it.

use leptos::prelude::*;
use serde::Deserialize;

use super::UseCase;
use crate::{
    browser::task,
    components::{
        code_card::inked,
        dynamic::{part, text},
    },
    delivery::operate,
};

#[derive(Clone, Deserialize)]
struct Files {
    files: Vec<File>,
}

#[derive(Clone, Deserialize)]
struct File {
    path: String,
    text: String,
}

#[component]
pub(super) fn CodeTab(
    /// Use case whose code is shown.
    use_case: &'static UseCase,
) -> impl IntoView {
    let files = RwSignal::new(Vec::<File>::new());
    let chosen = RwSignal::new(0_usize);
    let said = RwSignal::new("");
    // The code is long, so it is fetched only when the visitor opens it.
    let open = move |_| {
        if !files.with_untracked(Vec::is_empty) {
            return;
        }
        said.set("Reading …");
        task::spawn(async move {
            let found: Result<Files, _> = operate::get(&format!("/v1/lab/code/{}", use_case.name)).await;
            let words = if found.is_ok() {
                ""
            } else {
                "The code could not be read; close and open it to try again."
            };
            let _gone = said.try_set(words);
            let _gone = files.try_set(found.map(|found| found.files).unwrap_or_default());
        });
    };
    let tabs = move || {
        let tab = |(at, file): (usize, &File)| {
            let path = file.path.clone();
            view! { <button type="button" class="chip" aria-pressed=text(move || chosen.get() == at) on:click=move |_| chosen.set(at)>{path}</button> }
        };
        files.with(|files| files.iter().enumerate().map(tab).collect_view())
    };
    let pieces = move || {
        inked(&files.with(|files| files.get(chosen.get()).map(|file| file.text.clone()).unwrap_or_default()))
    };
    view! {
        <details class="card code-tab" on:toggle=open>
            <summary><h2>"Code"</h2><span class="cap">"all of it, both sides, as this server was built"</span></summary>
            <div class="card-b chips">{part(tabs)}<span class="cap" role="status">{text(move || said.get())}</span></div>
            <pre class="code" tabindex="0" aria-label="Code" data-testid="code">{part(pieces)}</pre>
        </details>
    }
}
