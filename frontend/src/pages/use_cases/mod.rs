//! The use cases: things that people build with push. Each works between browsers, by the technique that fits it
//! and by the other three.

mod chat;
mod code;
mod dashboard;
mod fallback;
mod list;
mod market;
mod notice;
mod order;
mod paper;
mod pointer;
mod price;
mod score;
mod text;
mod trade;
mod upload;
mod visitor;

use fourways_model::{
    format::{bytes, duration_or_dash, grouped},
    lane::Lane,
    record::Link,
};
use fourways_shared::Technique;
use leptos::prelude::*;

use self::{
    code::CodeTab,
    list::{USE_CASES, UseCase},
    price::Price,
};
use crate::{
    browser::page,
    components::{
        dynamic::{part, text},
        icon::{Glyph, Name},
        segments::Segments,
    },
    pages::session::Session,
    streams::{lab::Lab, live::Live},
};

/// The page on which to choose a use case.
#[component]
pub(crate) fn UseCases() -> impl IntoView {
    let cards = USE_CASES.iter().map(|use_case| {
        view! {
            <a class="card use" href=format!("/use-cases/{}", use_case.name)>
                <span class="use-pic" aria-hidden="true" inner_html=use_case.picture></span>
                <span class="use-b">
                    <b>{use_case.title}</b>
                    <span>{use_case.caption}</span>
                    <span class="use-tags">
                        <span class="tag" data-technique=use_case.fits.name()><Glyph technique=use_case.fits />{use_case.fits.label()}</span>
                        {use_case.also.map(|also| view! { <span class="tag">{format!("or {}", also.label())}</span> })}
                    </span>
                </span>
            </a>
        }
    });
    view! {
        <div class="page-h">
            <h1>"What it feels like"</h1>
            <p>"Things that people build with push, all of them real. Open one in two windows, and switch the technique while it runs."</p>
        </div>
        <Off />
        <div class="uses">{cards.collect_view()}</div>
    }
}

/// Returns the page of a use case; `None` if the address names none.
pub(crate) fn of(name: &str) -> Option<AnyView> {
    let use_case = USE_CASES.iter().find(|use_case| use_case.name == name)?;
    Some(view! { <UseCasePage use_case=use_case /> }.into_any())
}

/// Returns the title of a use case's page; `None` if the address names none.
pub(crate) fn title(name: &str) -> Option<&'static str> {
    USE_CASES.iter().find(|use_case| use_case.name == name).map(|use_case| use_case.title)
}

#[component]
fn UseCasePage(
    /// Use case to show.
    use_case: &'static UseCase,
) -> impl IntoView {
    // The link may name a technique, as in `by=sse`.
    let wanted = Technique::ALL.into_iter().find(|by| page::query().contains(&format!("by={}", by.slug())));
    let technique = RwSignal::new(wanted.unwrap_or(use_case.fits));
    let parts = (use_case.open)(technique);
    let others = USE_CASES.iter().map(|other| {
        let is_here = std::ptr::eq(other, use_case);
        view! { <a class="chip" href=format!("/use-cases/{}", other.name) aria-current=is_here.then_some("page")>{other.title}</a> }
    });
    let Parts { live, sends, view } = parts;
    page::centre(".use-nav", ".use-nav [aria-current]");
    view! {
        <nav class="use-nav" aria-label="Use cases">
            <a class="chip" href="/use-cases">"All"</a>
            {others.collect_view()}
        </nav>
        <section class="card demo" aria-labelledby="demo-h" data-technique=text(move || technique.get().name())>
            <header>
                <h1 id="demo-h">{use_case.title}</h1>
                <LinkState live=live />
                <span class="sp"></span>
                <div class="by">
                    <Segments label="By which technique" choices=Technique::ALL.map(Technique::label).to_vec() techniques=true
                        chosen=Signal::derive(move || technique.get().index()) choose=move |at: usize| technique.set(Technique::ALL[at]) />
                </div>
            </header>
            <Off />
            {view}
            <p class="trouble" role="alert">{text(move || sends.outbox.refused.get())}</p>
            <Figures live=live sends=sends />
        </section>
        <Price use_case=use_case live=live />
        <CodeTab use_case=use_case />
    }
}

/// Parts of a use case that its page puts together.
struct Parts {
    live: Live,
    /// Stream that publishes, which may be another one than `live`.
    sends: Live,
    view: AnyView,
}

/// A notice where the server's part of the use cases does not run.
#[component]
fn Off() -> impl IntoView {
    let session = expect_context::<Session>();
    let is_off = move || session.use_cases.get() == Some(false);
    part(move || {
        is_off().then(|| view! {
        <p class="trouble" role="status" data-testid="use-cases-off">"Use cases are off on this server: its own part of them does not run, and what it would do here does not happen. Start it with "<code>"--use-cases on"</code>"."</p>
    })
    })
}

#[component]
fn LinkState(
    /// Stream of the use case.
    live: Live,
) -> impl IntoView {
    let state = move || match live.link.get() {
        Link::Held { .. } | Link::Idle => "live",
        Link::Closed | Link::Opening | Link::Waiting { .. } => "wait",
        Link::Stopped { .. } => "down",
    };
    let words = move || live.link.with(Link::words);
    view! { <span class="conn" data-state=text(state)><i aria-hidden="true"></i><span data-testid="link">{text(words)}</span></span> }
}

/// The cost and the freshness of the stream, measured on this page.
#[component]
fn Figures(
    /// Stream of the use case.
    live: Live,
    /// Stream that publishes.
    sends: Live,
) -> impl IntoView {
    let lab = expect_context::<Lab>();
    let of = move |read: fn(&Lane) -> String| {
        live.tick.track();
        live.lane(live.technique.get(), read).unwrap_or_default()
    };
    let wire = move || {
        let counts = lab.counts.get()[live.technique.get().index()];
        if lab.is_open.get() { bytes(counts.total_up() + counts.total_down()) } else { "–".to_owned() }
    };
    let sent = move || {
        live.tick.track();
        match sends.outbox.unsent.get() {
            0 => grouped(sends.outbox.sent()),
            waits => format!("{} + {waits} waiting", grouped(sends.outbox.sent())),
        }
    };
    view! {
        <dl class="stats" data-testid="figures">
            <div class="stat"><dt>"Delay p50"</dt><dd data-testid="delay">{text(move || of(|lane| duration_or_dash(lane.recent_quantile_ms(0.5))))}</dd></div>
            <div class="stat"><dt>"Delay p99"</dt><dd>{text(move || of(|lane| duration_or_dash(lane.recent_quantile_ms(0.99))))}</dd></div>
            <div class="stat"><dt>"Updates"</dt><dd data-testid="updates">{text(move || of(|lane| grouped(lane.counters.events)))}</dd></div>
            <div class="stat"><dt>"Requests"</dt><dd>{text(move || of(|lane| grouped(lane.counters.requests)))}</dd></div>
            <div class="stat"><dt>"On the wire"</dt><dd>{text(wire)}</dd></div>
            <div class="stat"><dt>"Sent"</dt><dd data-testid="sent">{text(sent)}</dd></div>
        </dl>
    }
}

/// A field in which visitors change their name.
#[component]
fn NameField(
    /// Name of the visitor.
    name: RwSignal<String>,
) -> impl IntoView {
    view! {
        <label class="field name-field"><span>"Your name"</span>
            <input class="input" maxlength="24" autocomplete="nickname" data-testid="name" prop:value=move || name.get()
                on:input=move |event| name.set(event_target_value(&event)) />
        </label>
    }
}

/// Renders the name of a technique with its glyph.
fn by(technique: Technique) -> impl IntoView {
    view! { <Name technique=technique /> }
}

/// Returns a part of the view that is rebuilt with each tick of the stream.
fn following(live: Live, make: impl Fn() -> AnyView + Send + 'static) -> Box<dyn FnMut() -> AnyView + Send> {
    part(move || {
        live.tick.track();
        make()
    })
}
