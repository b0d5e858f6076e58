//! Decide: eight answers, one recommendation, every reason with its source; and what it would cost.

mod costs;
mod past;

use fourways_shared::{
    Technique,
    decide::{Advice, Answers, Constants, Effect as Weighs, Question, Ranked, Reason, Source, advise},
};
use leptos::{prelude::*, task::spawn_local};

use self::{costs::Costs, past::PastCosts};
use super::compare::KeptRuns;
use crate::{
    browser::{page, timer},
    components::{
        dynamic::{part, text},
        icon::{Glyph, Icon, Name},
        segments::Segments,
    },
    state::{
        constants::{measured, with_run},
        format::{fixed, grouped},
    },
};

/// Positions of the slider from one client to ten million: 1, 2 and 5 of each power of ten.
const CLIENTS: [u32; 22] = [
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000,
    500_000, 1_000_000, 2_000_000, 5_000_000, 10_000_000,
];

#[component]
pub(crate) fn Decide() -> impl IntoView {
    let answers = RwSignal::new(Answers::from_query(&page::query()));
    let run = KeptRuns::read().newest();
    let with_own = RwSignal::new(false);
    let own = run.clone();
    let constants = Memo::new(move |_| match (&own, with_own.get()) {
        (Some(run), true) => with_run(measured(), run),
        _ => measured(),
    });
    let advice = Memo::new(move |_| constants.with(|constants| advise(&answers.get(), constants)));
    // The address always says what is asked, so that it can be sent as it is.
    Effect::new(move |before: Option<()>| {
        let query = answers.get().to_query();
        if before.is_some() {
            page::replace_query(&query);
        }
    });
    let copied = RwSignal::new("Copy link to these answers");
    let copy = move |_| {
        let link = format!("{}/decide?{}", page::origin(), answers.get_untracked().to_query());
        spawn_local(async move {
            copied.set(if page::copy(&link).await { "Copied" } else { "It is in the address bar" });
            timer::sleep(2_000.0).await;
            let _gone = copied.try_set("Copy link to these answers");
        });
    };
    let questions = Question::ALL.map(|question| view! { <Asked question=question answers=answers /> });
    let cards = move || {
        advice.with(|advice| {
            let best = advice.ranking[0].score;
            let worst = advice.ranking.iter().map(|ranked| ranked.score).fold(f64::INFINITY, f64::min);
            let card = |ranked: &Ranked| ranked_card(ranked, worst.min(0.0), best);
            advice.ranking.iter().map(card).collect_view()
        })
    };
    let flips = move || {
        advice.with(|advice| {
            let words = advice.flips.iter().map(fourways_shared::decide::Flip::sentence);
            words.map(|words| view! { <li>{words}</li> }).collect_view()
        })
    };
    let has_run = run.is_some();
    view! {
        <div class="page-h">
            <div>
                <h1>"Which one should you use?"</h1>
                <p>"Eight answers, one recommendation, every reason shown. What it costs is computed with constants that were measured."</p>
            </div>
            <div class="acts"><button class="btn" on:click=copy><Icon name="link" />{text(move || copied.get())}</button></div>
        </div>
        <div class="dec">
            <section class="card" aria-labelledby="situation-h">
                <header><h2 id="situation-h">"Your situation"</h2></header>
                <div class="asked-all">{questions}</div>
            </section>
            <div class="col">
                {part(move || advice.with(recommendation))}
                <section class="card ranks" aria-label="Reasons for and against each" data-testid="ranking">{part(cards)}</section>
                <section class="card" aria-labelledby="flips-h">
                    <header><h2 id="flips-h">"What would change it"</h2></header>
                    <ul class="flips card-b" data-testid="flips">{part(flips)}</ul>
                </section>
                <Costs advice=advice constants=constants />
                <section class="card" aria-labelledby="from-h">
                    <header><h2 id="from-h">"Where the numbers come from"</h2></header>
                    <div class="card-b ctl">
                        <p>{text(move || constants.with(|constants| format!("Measured on {}: {}.", constants.measured_on, constants.machine)))}</p>
                        <p class="cap">"By "<code>"cargo run --release -p fourways-bench -- constants"</code>", on one core, without TLS; yours differ. The model's formulas and its test against measured runs are in the repository."</p>
                        <label class="check" hidden=!has_run>
                            <input type="checkbox" on:change=move |_| with_own.update(|own| *own = !*own) />
                            <span>"Use the bytes of my last run in Compare"</span>
                        </label>
                    </div>
                </section>
                <PastCosts constants=constants />
            </div>
        </div>
    }
}

#[component]
fn Asked(
    /// Which question.
    question: Question,
    /// All answers.
    answers: RwSignal<Answers>,
) -> impl IntoView {
    if question == Question::Clients {
        let at = move || {
            CLIENTS.iter().position(|clients| *clients >= answers.get().clients).unwrap_or(CLIENTS.len() - 1)
        };
        let slide = move |event| {
            let place = event_target_value(&event).parse::<usize>().ok();
            if let Some(clients) = place.and_then(|place| CLIENTS.get(place).copied()) {
                answers.update(|answers| answers.clients = clients);
            }
        };
        return view! {
            <div class="asked">
                <label class="field">
                    <span>{question.label()}<output>{text(move || grouped(u64::from(answers.get().clients)))}</output></span>
                    <input type="range" min="0" max=CLIENTS.len() - 1 step="1" prop:value=text(at) aria-valuetext=text(move || grouped(u64::from(answers.get().clients)))
                        style=text(move || format!("--v:{}%", at() * 100 / (CLIENTS.len() - 1))) on:input=slide data-testid="clients" />
                </label>
            </div>
        }
        .into_any();
    }
    let labels = question.options().iter().map(|option| option.label).collect();
    let chosen = Signal::derive(move || answers.get().chosen(question).unwrap_or(0));
    view! {
        <div class="asked">
            <p>{question.label()}</p>
            <Segments label=question.label() choices=labels chosen=chosen choose=move |at: usize| answers.update(|answers| *answers = answers.with(question, at)) />
        </div>
    }
    .into_any()
}

fn recommendation(advice: &Advice) -> impl IntoView + use<> {
    let winner = advice.winner();
    let why = advice.ranking[0].reasons.iter().filter(|reason| reason.effect == Weighs::For).take(2);
    let why = why.map(|reason| format!("{}.", reason.text)).collect::<Vec<_>>().join(" ");
    let next = advice.ranking[1].technique;
    view! {
        <section class="card rec" data-technique=winner.name() aria-live="polite" data-testid="recommendation">
            <div>
                <p class="cap">{advice.strength.words()}{format!(", by {} points", fixed(advice.margin, 1))}</p>
                <p class="rec-name"><Glyph technique=winner />{winner.label()}</p>
                <p>{why}</p>
            </div>
            <p class="rec-next"><span class="cap">"Next best"</span><Name technique=next /><a href=format!("/{}", winner.slug())>"Open its lab"</a></p>
        </section>
    }
}

fn ranked_card(ranked: &Ranked, worst: f64, best: f64) -> impl IntoView + use<> {
    let technique: Technique = ranked.technique;
    let share = ((ranked.score - worst) / (best - worst).max(0.001)).clamp(0.02, 1.0);
    let reasons = ranked.reasons.iter().map(reason).collect_view();
    view! {
        <article class="rank" data-technique=technique.name()>
            <h3><Name technique=technique /></h3>
            <div class="gauge"><i style=format!("transform:scaleX({})", fixed(share, 2))></i></div>
            <p class="cap">{if ranked.blocked { "ruled out".to_owned() } else { format!("{} points", fixed(ranked.score, 1)) }}</p>
            <ul>{reasons}</ul>
        </article>
    }
}

fn reason(reason: &Reason) -> impl IntoView + use<> {
    let (icon, word) = match reason.effect {
        Weighs::For => ("check", "For: "),
        Weighs::Against => ("x", "Against: "),
        Weighs::Blocks => ("warn", "Rules it out: "),
    };
    let source = match reason.source {
        Source::Rule { name, url } => {
            view! { <a class="src" href=url rel="noreferrer">{name}</a> }.into_any()
        }
        Source::Measured => view! { <span class="src">"measured"</span> }.into_any(),
        Source::Answers => view! { <span class="src">"your answers"</span> }.into_any(),
    };
    let class = if reason.effect == Weighs::For { "for" } else { "against" };
    view! { <li class=class><Icon name=icon /><span><span class="vh">{word}</span>{reason.text.clone()}" "{source}</span></li> }
}

/// What the parts of the page compute with.
pub(super) type Known = Memo<Constants>;
