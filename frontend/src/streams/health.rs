//! The health of the connection: whether the server answers, how far away it is, and what its clock says.

use fourways_model::{format::duration, health::State};
use fourways_shared::{
    backoff::Backoff,
    measure::{ClockOffset, ClockSample},
};
use leptos::{ev, prelude::*};

use crate::{
    browser::{clock, page, timer, wake},
    delivery::lab,
};

/// Number of samples kept for the clock's estimate; the clocks drift away from older ones.
const SAMPLES: usize = 8;
const EVERY_MS: f64 = 5_000.0;

/// State of the connection, which the shell shows and every page measures with. Copies share the signals, which live as
/// long as the app.
#[derive(Clone, Copy)]
pub(crate) struct Health {
    pub(crate) state: RwSignal<State>,
    pub(crate) clock: RwSignal<ClockOffset>,
    /// Protocol of the last request to this server, as in `http/1.1` or `h2`; the figures depend on it.
    pub(crate) protocol: RwSignal<String>,
}

impl Health {
    pub(crate) fn clock_error(&self) -> String {
        let ClockOffset { error_ms, .. } = self.clock.get();
        duration(error_ms)
    }
}

/// Asks the server for its time every few seconds, for as long as the app lives.
pub(crate) fn watch() -> Health {
    let health = Health {
        state: RwSignal::new(State::Asking),
        clock: RwSignal::new(ClockOffset::default()),
        protocol: RwSignal::new(String::new()),
    };
    let back = window_event_listener(ev::online, |_| wake::call());
    on_cleanup(move || back.remove());
    wasm_bindgen_futures::spawn_local(async move {
        let mut samples: Vec<ClockSample> = Vec::new();
        let mut backoff = Backoff::new(page::random_seed());
        loop {
            if let Some(sample) = lab::clock_sample().await {
                backoff.succeeded();
                samples.push(sample);
                if samples.len() > SAMPLES {
                    samples.remove(0);
                }
                health.clock.set(ClockOffset::estimate(&samples).unwrap_or_default());
                let round_trip_ms = sample.received_ms - sample.sent_ms;
                // Streams that wait for the server need not wait any longer.
                if matches!(health.state.get_untracked(), State::Reconnecting { .. }) {
                    wake::call();
                }
                health.state.set(State::Connected { round_trip_ms });
                let protocol = page::protocol();
                if health.protocol.with_untracked(|known| *known != protocol) {
                    health.protocol.set(protocol);
                }
                // A few samples in quick succession at the beginning: a single one may have been unlucky.
                timer::sleep(if samples.len() < 5 { 150.0 } else { EVERY_MS }).await;
            } else {
                // Another server may answer next, with another clock.
                samples.clear();
                let wait_ms = backoff.next(std::time::Duration::from_millis(300)).as_secs_f64() * 1000.0;
                let until_ms = clock::now_ms() + wait_ms;
                health.state.set(State::Reconnecting { attempt: backoff.attempt(), until_ms });
                wake::sleep(wait_ms).await;
            }
        }
    });
    health
}
