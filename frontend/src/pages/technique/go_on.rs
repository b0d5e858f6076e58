//! Switching to another technique: the stream's cursor goes along, and the log says whether anything was lost or came
//! twice.

use fourways_model::{
    format::plural,
    journey::{Checked, Journey},
};
use fourways_shared::Technique;
use leptos::prelude::*;

use super::controls::Controls;
use crate::{
    browser::task,
    components::{
        dynamic::{part, text},
        icon::Name,
    },
    delivery::lab,
    streams::{Streams, lab::Lab},
};

/// Number of ticks from one check against the log to the next.
const CHECK_EVERY: u32 = 6;

#[component]
pub(super) fn GoOn(
    /// Technique of the page.
    technique: Technique,
    /// Streams of the page.
    streams: Streams,
    /// Controls of the page.
    controls: Controls,
    /// Counter whose changes redraw the card.
    tick: RwSignal<u32>,
) -> impl IntoView {
    let lab = expect_context::<Lab>();
    let came = lab.journey.get_untracked().filter(|journey| journey.to == technique);
    let before = StoredValue::new(came.clone());
    let checked = RwSignal::new(None::<Checked>);
    // The journey until now, from the first technique on.
    let now = move |to| {
        let rate = controls.rate.get_untracked();
        let topic = controls.topic.get_untracked();
        streams.lane(technique, |lane| Journey::go_on(before.get_value(), lane, topic, rate, to)).flatten()
    };
    let is_checking = StoredValue::new(false);
    Effect::new(move |_| {
        let is_due = tick.get().is_multiple_of(CHECK_EVERY) && before.with_value(Option::is_some);
        if !is_due || is_checking.get_value() {
            return;
        }
        let Some(journey) = now(technique) else { return };
        is_checking.set_value(true);
        task::spawn(async move {
            let log = lab::log(&journey.topic, journey.first).await;
            let _gone = checked.try_set(log.map(|log| journey.check(&log)));
            let _gone = is_checking.try_update_value(|is_checking| *is_checking = false);
        });
    });
    let links = Technique::ALL.into_iter().filter(move |other| *other != technique).map(move |other| {
        view! {
            <a class="btn" href=format!("/{}", other.slug()) data-testid=format!("go-on-{other}") on:click=move |_| lab.journey.set(now(other))>
                <Name technique=other />
            </a>
        }
    });
    let legs = move || {
        tick.track();
        let journey = now(technique)?;
        let legs = journey.legs.iter().map(|(technique, count)| {
            view! { <li data-technique=technique.name()><Name technique=*technique /><b class="mono">{plural(*count, "event", "events")}</b></li> }
        });
        Some(view! { <ol class="legs">{legs.collect_view()}</ol> })
    };
    let verdict = move || match checked.get() {
        None => "comparing with the log …".to_owned(),
        Some(Checked { published, lost, repeated }) => {
            format!("{published} in the log since the first: {lost} lost, {repeated} twice")
        }
    };
    view! {
        <section class="card o6" aria-labelledby="go-on-h">
            <header><h2 id="go-on-h">"Go on by another"</h2></header>
            <div class="card-b ctl">
                <p class="cap">"One cursor serves all four: the stream closes here and goes on there."</p>
                <div class="go-on">{links.collect_view()}</div>
                {came.is_some().then(|| view! {
                    {part(legs)}
                    <p class="mono" aria-live="polite" data-testid="journey">{text(verdict)}</p>
                })}
            </div>
        </section>
    }
}
