//! Decide: eight questions, one recommendation, every reason with its source, and the costs of each technique.

mod costs;
mod past;

use fourways_model::{
    constants::{measured, with_run},
    format::{fixed, grouped},
};
use fourways_shared::{
    Technique,
    decide::{Advice, Answers, Constants, Effect as Weighs, Question, Ranked, Reason, Sends, Source, advise},
};
use leptos::prelude::*;

use self::{costs::Costs, past::PastCosts};
use super::compare::KeptRuns;
use crate::{
    browser::{page, task, timer},
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::{Glyph, Icon, Name},
        segments::Segments,
        slider::Slider,
    },
};

/// Stops of the slider from one client to ten million: 1, 2 and 5 of each power of ten.
const CLIENTS: &[f64] = &[
    1.0, 2.0, 5.0, 1e1, 2e1, 5e1, 1e2, 2e2, 5e2, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5, 1e6, 2e6, 5e6,
    1e7,
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
    // The address always holds the answers, so that it can be shared as it is.
    Effect::new(move |before: Option<()>| {
        let query = answers.get().to_query();
        if before.is_some() {
            page::replace_query(&query);
        }
    });
    let copied = RwSignal::new("Copy link to these answers");
    let copy = move |_| {
        let link = format!("{}/decide?{}", page::origin(), answers.get_untracked().to_query());
        task::spawn(async move {
            copied.set(if page::copy(&link).await { "Copied" } else { "It is in the address bar" });
            timer::sleep(2_000.0).await;
            let _gone = copied.try_set("Copy link to these answers");
        });
    };
    let questions = Question::ALL.map(|question| view! { <Asked question=question answers=answers /> });
    let cards = move || {
        advice.with(|advice| {
            let best = advice.ranking[0].score;
            let possible = advice.ranking.iter().filter(|ranked| !ranked.blocked);
            let worst = possible.map(|ranked| ranked.score).fold(f64::INFINITY, f64::min);
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
                <p>"Eight answers, one recommendation, every reason shown. Costs are computed with constants of a benchmark on another machine, named below."</p>
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
                            <input type="checkbox" on:change=move |_| with_own.change(|own| *own = !*own) />
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
    /// Question to show.
    question: Question,
    /// All answers of the visitor.
    answers: RwSignal<Answers>,
) -> impl IntoView {
    if question == Question::Clients {
        let clients = Signal::derive(move || f64::from(answers.get().clients));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10 million")]
        let slide = move |clients: f64| answers.change(|answers| answers.clients = clients as u32);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 10 million")]
        let show = |clients: f64| grouped(clients as u64);
        return view! {
            <div class="asked">
                <Slider label=question.label() stops=CLIENTS value=clients change=slide show=show live=true testid="clients" />
            </div>
        }
        .into_any();
    }
    let labels = question.options().iter().map(|option| option.label).collect();
    let chosen = Signal::derive(move || answers.get().chosen(question).unwrap_or(0));
    view! {
        <div class="asked" hidden=Signal::derive(move || question == Question::SendRate && answers.get().sends == Sends::Never)>
            <p>{question.label()}</p>
            <Segments label=question.label() choices=labels chosen=chosen choose=move |at: usize| answers.change(|answers| *answers = answers.with(question, at)) />
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
                <p><a href=format!("/{}", winner.slug()) data-testid="winner-lab">{format!("See {} on the wire", winner.label())}</a></p>
            </div>
            <p class="rec-next"><span class="cap">"Next best"</span><Name technique=next /><a href=format!("/{}", next.slug())>"Open its lab"</a></p>
        </section>
    }
}

fn ranked_card(ranked: &Ranked, worst: f64, best: f64) -> impl IntoView + use<> {
    let technique: Technique = ranked.technique;
    // A technique that is ruled out has no length to compare.
    let share = if ranked.blocked {
        0.0
    } else {
        ((ranked.score - worst) / (best - worst).max(0.001)).clamp(0.02, 1.0)
    };
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
        Source::Measured => view! { <span class="src">"benchmark, see below"</span> }.into_any(),
        Source::Answers => view! { <span class="src">"your answers"</span> }.into_any(),
    };
    let class = if reason.effect == Weighs::For { "for" } else { "against" };
    view! { <li class=class><Icon name=icon /><span><span class="vh">{word}</span>{reason.text.clone()}" "{source}</span></li> }
}

/// Constants that the parts of the page compute with.
pub(super) type Known = Memo<Constants>;
