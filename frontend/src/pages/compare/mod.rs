//! Compare: the four techniques on the same feed for a chosen time, with the textbook's claims beside the measurements.

mod kept;
mod measure;
mod results;
mod setup;

use fourways_model::{
    chart::Inks,
    experiment::{
        report::{csv, html},
        run::Run,
        settings::Settings,
    },
};
use fourways_shared::{Technique, lab::LabCommand};
use leptos::prelude::*;

pub(crate) use self::kept::KeptRuns;
use self::{
    kept::Kept,
    measure::measure,
    results::{Claims, Delivery, Lanes, Pictures},
    setup::Setup,
};
use crate::{
    browser::{page, task},
    components::{dynamic::text, icon::Icon},
    streams::{Streams, health::Health},
};

/// Progress of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Progress {
    #[default]
    None,
    Running {
        share: f64,
        counts: [u64; 4],
        words: &'static str,
    },
    Failed(String),
}

/// State shared by the parts of the page. Copies share the signals, which live as long as the page.
#[derive(Clone, Copy)]
pub(crate) struct Bench {
    pub(crate) settings: RwSignal<Settings>,
    pub(crate) progress: RwSignal<Progress>,
    pub(crate) run: RwSignal<Option<Run>>,
    /// Another run, shown beside the first one.
    pub(crate) beside: RwSignal<Option<Run>>,
    pub(crate) is_running: Signal<bool>,
}

#[component]
pub(crate) fn Compare() -> impl IntoView {
    let health = expect_context::<Health>();
    let streams = Streams::new(health.clock, None);
    let kept = KeptRuns::read();
    let progress = RwSignal::new(Progress::None);
    let bench = Bench {
        settings: RwSignal::new(Settings::from_query(&page::query()).unwrap_or_default()),
        progress,
        run: RwSignal::new(kept.newest()),
        beside: RwSignal::new(None),
        is_running: Signal::derive(move || {
            progress.with(|progress| matches!(progress, Progress::Running { .. }))
        }),
    };
    let start = move || {
        if bench.is_running.get_untracked() {
            progress.set(Progress::None);
            return;
        }
        progress.set(Progress::Running { share: 0.0, counts: [0; 4], words: "opening" });
        task::spawn(async move {
            if let Some(run) = measure(streams, health, bench).await {
                kept.add(run);
            }
        });
    };
    // The run's own task ends with the page; the faults that it injected are ended here.
    let lab = streams.lab();
    on_cleanup(move || {
        lab.tell(&LabCommand::Heal(Technique::ALL.to_vec()));
    });
    let copied = RwSignal::new("Share link");
    let share = move |_| {
        let query = bench.settings.with_untracked(Settings::to_query);
        page::replace_query(&query);
        let link = format!("{}/compare?{query}", page::origin());
        task::spawn(async move {
            copied.set(if page::copy(&link).await { "Copied" } else { "In the address bar" });
            crate::browser::timer::sleep(2_000.0).await;
            let _gone = copied.try_set("Share link");
        });
    };
    let save = move |name: &'static str, mime: &'static str, write: fn(&Run) -> String| {
        if let Some(text) = bench.run.with_untracked(|run| run.as_ref().map(write)) {
            page::save(name, mime, &text);
        }
    };
    let nothing = Signal::derive(move || bench.run.with(Option::is_none) || bench.is_running.get());
    view! {
        <div class="page-h">
            <div>
                <h1>"Measure the textbook"</h1>
                <p>"Run the same event stream through all four at once, then read each claim next to what was measured here."</p>
            </div>
            <div class="acts">
                <button class="btn" data-testid="json" disabled=nothing on:click=move |_| save("fourways-run.json", "application/json", Run::to_json)><Icon name="down" />"JSON"</button>
                <button class="btn" data-testid="csv" disabled=nothing on:click=move |_| save("fourways-run.csv", "text/csv", csv)><Icon name="down" />"CSV"</button>
                <button class="btn" data-testid="report" disabled=nothing on:click=move |_| save("fourways-run.html", "text/html", |run| html(run, &page::in_light(inks), &page::origin()))><Icon name="down" />"Report"</button>
                <button class="btn" data-testid="share" on:click=share><Icon name="link" />{text(move || copied.get())}</button>
            </div>
        </div>
        <div class="cmp">
            <div class="col">
                <Setup bench=bench start=start />
                <Kept bench=bench kept=kept />
            </div>
            <div class="col">
                <Claims bench=bench />
                <Lanes streams=streams health=health bench=bench />
                <Pictures bench=bench />
                <Delivery bench=bench />
            </div>
        </div>
    }
}

/// Returns the chart colours of the theme in force.
pub(super) fn inks() -> Inks {
    Inks::read(&page::token)
}
