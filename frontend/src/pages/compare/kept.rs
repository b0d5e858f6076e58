//! Kept runs: named, shown again, put beside each other, imported.

use fourways_model::experiment::run::Run;
use leptos::prelude::*;
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;

use super::Bench;
use crate::{
    browser::{page, task},
    components::{
        change::Change as _,
        dynamic::{part, text},
    },
};

const KEY: &str = "fourways-runs";
/// Number of runs kept at most; the oldest are forgotten.
const MOST: usize = 12;

/// The runs stored in this browser, newest first. Copies share the list that their `read` has made.
#[derive(Clone, Copy)]
pub(crate) struct KeptRuns(RwSignal<Vec<Run>>);

impl KeptRuns {
    pub(crate) fn read() -> Self {
        let lines = page::kept(KEY).unwrap_or_default();
        Self(RwSignal::new(lines.lines().filter_map(|line| Run::from_file(line).ok()).collect()))
    }

    pub(crate) fn newest(self) -> Option<Run> {
        self.0.with_untracked(|runs| runs.first().cloned())
    }

    pub(super) fn add(self, run: Run) {
        self.change(|runs| {
            runs.insert(0, run);
            runs.truncate(MOST);
        });
    }

    fn change(self, change: impl FnOnce(&mut Vec<Run>)) {
        if self.0.changed(change) {
            let lines: Vec<_> = self.0.with_untracked(|runs| runs.iter().map(Run::to_json).collect());
            page::keep(KEY, &lines.join("\n"));
        }
    }
}

#[component]
pub(super) fn Kept(
    /// State shared by the parts of the page.
    bench: Bench,
    /// Runs stored in this browser.
    kept: KeptRuns,
) -> impl IntoView {
    let Bench { run, beside, is_running, settings, .. } = bench;
    let failed = RwSignal::new(None::<String>);
    let import = move |event: leptos::ev::Event| {
        let input = event.target().and_then(|target| target.dyn_into::<web_sys::HtmlInputElement>().ok());
        let Some(file) = input.as_ref().and_then(|input| input.files()?.get(0)) else { return };
        task::spawn(async move {
            let text = JsFuture::from(file.text()).await.ok().and_then(|text| text.as_string());
            match Run::from_file(&text.unwrap_or_default()) {
                Ok(read) => {
                    failed.set(None);
                    run.set(Some(read.clone()));
                    kept.add(read);
                }
                Err(why) => failed.set(Some(why)),
            }
        });
    };
    let rows = move || {
        let runs = kept.0.get().into_iter().enumerate();
        let row = |(at, known): (usize, Run)| {
            let (shown, other) = (known.clone(), known.clone());
            let (is_shown, is_beside) = (known.clone(), known.clone());
            let name = known.name.clone();
            let rename = move |event| {
                let name: String = event_target_value(&event).chars().take(80).collect();
                kept.change(|runs| runs[at].name.clone_from(&name));
                run.change(|run| {
                    if let Some(run) = run.as_mut().filter(|run| run.began_ms == known.began_ms) {
                        run.name = name;
                    }
                });
            };
            view! {
                <li>
                    <input class="input" aria-label="Name of the run" maxlength="80" prop:value=name disabled=is_running on:change=rename />
                    <span class="kept-acts">
                        <button class="btn ghost" disabled=is_running aria-pressed=text(move || run.with(|run| run.as_ref() == Some(&is_shown)))
                            on:click=move |_| { settings.set(shown.settings.clone()); run.set(Some(shown.clone())); }>"Show"</button>
                        <button class="btn ghost" disabled=is_running aria-pressed=text(move || beside.with(|run| run.as_ref() == Some(&is_beside)))
                            on:click=move |_| beside.change(|beside| *beside = if beside.as_ref() == Some(&other) { None } else { Some(other.clone()) })>"Beside"</button>
                        <button class="btn ghost" disabled=is_running on:click=move |_| kept.change(|runs| drop(runs.remove(at)))>"Forget"</button>
                    </span>
                </li>
            }
        };
        runs.map(row).collect_view()
    };
    view! {
        <section class="card" aria-labelledby="kept-h">
            <header><h2 id="kept-h">"Kept runs"</h2><span class="sp"></span><span class="cap">"in this browser"</span></header>
            <div class="card-b ctl">
                {part(move || kept.0.with(Vec::is_empty).then(|| view! { <p class="cap">"Runs stay here, to be looked at again and put beside each other."</p> }))}
                <ul class="kept" data-testid="kept">{part(rows)}</ul>
                <label class="btn import">"Import a run"<input type="file" accept="application/json,text/html,.json,.html" class="vh" data-testid="import" on:change=import /></label>
                {part(move || failed.get().map(|why| view! { <p class="bad-n" role="alert">{why}</p> }))}
            </div>
        </section>
    }
}
