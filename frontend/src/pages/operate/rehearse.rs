//! The rehearsal of a deploy: every subscriber is told to reconnect, and the curve of their return is drawn.

use fourways_model::format::{duration, fixed, grouped};
use fourways_shared::operate::Rehearsal;
use leptos::prelude::*;

use super::OperateState;
use crate::{
    browser::task,
    components::{
        confirm::Confirm,
        dynamic::{part, text},
    },
    delivery::operate,
};

#[component]
pub(super) fn RehearseCard(
    /// State of the server, shared by the cards of the page.
    told: OperateState,
) -> impl IntoView {
    let seen = RwSignal::new(None::<Rehearsal>);
    let said = RwSignal::new(String::new());
    let is_on = RwSignal::new(false);
    let question = move || {
        let held = told.connections.with(|known| known.as_ref().map_or(0, |known| known.total));
        format!("All {} of this server's readers reconnect.", grouped(held as u64))
    };
    let rehearse = move |()| {
        if is_on.get_untracked() {
            return;
        }
        is_on.set(true);
        said.set("everybody was told; watching them come back".to_owned());
        task::spawn(async move {
            let words = match operate::rehearse().await {
                Ok(rehearsal) => {
                    let words = sum_up(&rehearsal);
                    let _gone = seen.try_set(Some(rehearsal));
                    words
                }
                Err(refused) => refused.words().to_owned(),
            };
            let _gone = said.try_set(words);
            let _gone = is_on.try_set(false);
        });
    };
    view! {
        <section class="card" aria-labelledby="rehearse-h">
            <header>
                <h2 id="rehearse-h">"Deploy rehearsal"</h2>
                <span class="sp"></span>
                <Confirm label="Rehearse a deploy".to_owned() name="Rehearse a deploy" question=text(question) yes="Rehearse" run=rehearse disabled=is_on testid="rehearse" />
            </header>
            <div class="card-b">
                <p class="cap">"Every stream and socket is told to come back, spread out as when the server ends; it goes on meanwhile. Nobody misses anything: they resume by their cursors."</p>
                <p role="status" data-testid="rehearsed">{text(move || said.get())}</p>
                {part(move || seen.with(|seen| seen.as_ref().map(curve)))}
            </div>
        </section>
    }
}

#[expect(clippy::cast_precision_loss, reason = "times for people")]
fn sum_up(rehearsal: &Rehearsal) -> String {
    let (predicted, measured) = rehearsal.peaks_per_s();
    let back = rehearsal
        .all_back_ms()
        .map_or("not all are back".to_owned(), |ms| format!("all were back after {}", duration(ms as f64)));
    format!(
        "{} were told, {} came back, {back}; at most {} connects/s, {} expected; {} missed events were given",
        grouped(rehearsal.told as u64),
        grouped(rehearsal.came_back),
        fixed(measured, 0),
        fixed(predicted, 0),
        grouped(rehearsal.caught_up),
    )
}

/// Draws a bar for each step of time: the expected connects behind the measured ones.
#[expect(clippy::cast_precision_loss, reason = "connections of a process")]
fn curve(rehearsal: &Rehearsal) -> impl IntoView + use<> {
    let measured: Vec<f64> = rehearsal.measured.iter().map(|count| *count as f64).collect();
    let most = rehearsal.predicted.iter().chain(&measured).copied().fold(1.0, f64::max);
    let share = |value: f64| format!("height:{}%", fixed(value / most * 100.0, 1));
    let bars = rehearsal.predicted.iter().zip(&measured).map(|(expected, came)| {
        view! { <li><i class="expected" style=share(*expected)></i><i class="came" style=share(*came)></i></li> }
    });
    let bars = bars.collect_view();
    let label = format!("Connects in steps of {} ms: expected behind, come before", rehearsal.step_ms);
    view! { <ol class="bars" role="img" aria-label=label>{bars}</ol> }
}
