//! The fault card: choose a breakage, predict its effect, break the stream, and compare the result with a twin that was
//! spared.

mod run;

use fourways_model::{
    breakage::{Breakage, Effect, FaultResult, about, mechanism},
    format::{duration, plain, plural},
};
use fourways_shared::{Technique, lab::FaultKind};
use leptos::prelude::*;

use self::run::{FaultReport, Running, run};
use super::controls::Controls;
use crate::{
    browser::task,
    components::{
        change::Change as _,
        dynamic::{part, text},
        segments::Segments,
        slider::Slider,
    },
    streams::{Streams, health::Health, lab::Lab},
};

const SECONDS: &[f64] = &[1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Number of results that stay on the page.
const KEPT: usize = 4;

#[component]
pub(super) fn Faults(
    /// Technique of the page.
    technique: Technique,
    /// Streams of the page.
    streams: Streams,
    /// Controls of the page.
    controls: Controls,
    /// Health of the connection, shared by the whole app.
    health: Health,
    /// Counter whose changes redraw the state.
    tick: RwSignal<u32>,
) -> impl IntoView {
    let lab = expect_context::<Lab>();
    let chosen = RwSignal::new(None::<Breakage>);
    let guess = RwSignal::new(None::<Effect>);
    let seconds = RwSignal::new(3.0_f64);
    let running = RwSignal::new(None::<Running>);
    let results = RwSignal::new(Vec::<FaultReport>::new());
    let failed = RwSignal::new(None::<String>);
    let is_running = Signal::derive(move || running.with(Option::is_some));
    let start = move |_| {
        let (Some(breakage), Some(guess)) = (chosen.get_untracked(), guess.get_untracked()) else { return };
        failed.set(None);
        running.set(Some(Running { breakage, words: "getting ready" }));
        let ms = if breakage.is_timed() { seconds.get_untracked() * 1000.0 } else { 0.0 };
        controls.may_give_back.set(false);
        task::spawn(async move {
            let came = run(technique, streams, controls, health, lab, (breakage, ms), running).await;
            streams.close_twin();
            match came {
                Ok(Some(result)) => {
                    results.change(|results| {
                        results.insert(0, FaultReport { guess, ..result });
                        results.truncate(KEPT);
                    });
                }
                Ok(None) => {}
                Err(why) => drop(failed.try_set(Some(why))),
            }
            let _gone = running.try_set(None);
            let _gone = controls.may_give_back.try_set(true);
        });
    };
    on_cleanup(move || streams.close_twin());
    let buttons = Breakage::ALL.map(|breakage| {
        view! {
            <button type="button" class="btn" data-testid=format!("fault-{}", breakage.code()) disabled=is_running
                aria-pressed=text(move || chosen.get() == Some(breakage))
                on:click=move |_| { chosen.set(Some(breakage)); guess.set(None); }
            >{breakage.name()}</button>
        }
    });
    let is_shared =
        move || technique != Technique::Websocket && health.protocol.with(|protocol| protocol == "h2");
    let question = move || {
        let breakage = chosen.get()?;
        let about = about(breakage);
        let labels = Effect::ALL.map(Effect::label).to_vec();
        let guessed = Signal::derive(move || {
            guess
                .get()
                .and_then(|guess| Effect::ALL.iter().position(|effect| *effect == guess))
                .unwrap_or(usize::MAX)
        });
        Some(view! {
            <div class="fault-about">
                <p>{about.models}</p>
                <p class="cap">"In real life: " {about.causes} " " <a href=about.source.1 rel="noreferrer">{about.source.0}</a></p>
                {breakage.is_timed().then(|| view! {
                    <Slider label="For" stops=SECONDS value=seconds.into() change=move |value| seconds.set(value) show=show_seconds />
                })}
                <p class="q">"What will this client notice?"</p>
                <Segments label="Your prediction" choices=labels chosen=guessed choose=move |at: usize| guess.set(Some(Effect::ALL[at])) />
                <button class="btn pri" data-testid="break" disabled=Signal::derive(move || is_running.get() || guess.with(Option::is_none)) on:click=start>
                    {text(move || if is_running.get() { "Breaking" } else { "Break it" })}
                </button>
            </div>
        })
    };
    let state = move || {
        tick.track();
        running.get().map_or("none active".to_owned(), |running| {
            format!("{}: {}", running.breakage.name(), running.words)
        })
    };
    view! {
        <section class="card o2" aria-labelledby="faults-h">
            <header><h2 id="faults-h">"Break it"</h2><span class="sp"></span><span class="cap" data-testid="fault-state">{text(state)}</span></header>
            <div class="card-b ctl">
                {part(move || is_shared().then(|| view! { <p class="cap">"Over HTTP/2 this stream shares one connection with everything else of this server, so the server's faults leave it alone. Open the lab over plain HTTP to break it; “Go offline” works here too."</p> }))}
                <div class="faults">{buttons.collect_view()}</div>
                {part(question)}
                {part(move || failed.get().map(|why| view! { <p class="bad-n" role="alert">{why}</p> }))}
                <div aria-live="polite" data-testid="fault-results">
                    {part(move || results.get().into_iter().map(|result| outcome(technique, result)).collect_view())}
                </div>
            </div>
        </section>
    }
}

fn outcome(technique: Technique, result: FaultReport) -> impl IntoView {
    let FaultReport { breakage, ms, guess, mine, twin } = result;
    let effect = mine.effect();
    let verdict = if effect == guess {
        format!("As you said: {}.", effect.label())
    } else {
        format!("You said “{}”; measured: {}.", guess.label(), effect.label())
    };
    let title =
        if ms > 0.0 { format!("{}, {}", breakage.name(), duration(ms)) } else { breakage.name().to_owned() };
    let bad = |count: u64| if count > 0 { "bad-n" } else { "" };
    let row = |name: &'static str, outcome: FaultResult| {
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td class=bad(outcome.lost)>{outcome.lost.to_string()}</td>
                <td>{outcome.late.to_string()}</td>
                <td class=bad(outcome.repeated)>{outcome.repeated.to_string()}</td>
                <td>{outcome.recovery()}</td>
            </tr>
        }
    };
    let twin_name =
        if breakage == Breakage::Background { "its twin, hidden too" } else { "its twin, spared" };
    let cuts = plural(mine.cuts, "cut", "cuts");
    view! {
        <article class="fault-result" data-testid="fault-result" data-fault=breakage.code() data-effect=format!("{effect:?}").to_lowercase()>
            <h3>{title}</h3>
            <table class="loss">
                <thead><tr><th scope="col"><span class="vh">"Stream"</span></th><th scope="col">"Missed"</th><th scope="col">"Recovered"</th><th scope="col">"Twice"</th><th scope="col">"Fresh after"</th></tr></thead>
                <tbody>{row("this stream", mine)}{row(twin_name, twin)}</tbody>
            </table>
            <p><b>{verdict}</b>" "{mechanism(breakage, technique, &mine)}</p>
            <p class="cap">{format!("{} published meanwhile, {cuts}, the slowest took {}; {} for the twin.", plural(mine.published, "event", "events"), duration(mine.worst_ms), duration(twin.worst_ms))}</p>
        </article>
    }
}

fn show_seconds(value: f64) -> String {
    plain(value) + " s"
}

/// Returns the usual jitter of a server fault, in milliseconds: 200 for a delay, none for the others.
pub(super) const fn jitter_ms(kind: FaultKind) -> u32 {
    if matches!(kind, FaultKind::Delay) { 200 } else { 0 }
}
