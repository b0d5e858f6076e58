//! The connections of this browser: counted over its tabs, shown when they run out, and given back by hidden tabs.

use fourways_model::budget;
use leptos::{ev, prelude::*};

use crate::{
    browser::{clock, page, tabs::Tabs},
    components::{
        change::Change as _,
        dynamic::{part, text},
        icon::Icon,
    },
    delivery,
    streams::health::Health,
};

const EVERY: std::time::Duration = std::time::Duration::from_secs(2);
/// Message that asks the other tabs to report the connections they hold.
const ASK: &str = "?";

/// The app's view of the connections of the browser. Copies share one state, which lives as long as the app.
#[derive(Clone, Copy)]
pub(crate) struct Budget {
    known: RwSignal<budget::Budget>,
    is_hidden: RwSignal<bool>,
    health: Health,
}

impl Budget {
    /// Counts connections for as long as the app lives.
    pub(crate) fn watch(health: Health) -> Self {
        let this = Self {
            known: RwSignal::new(budget::Budget::default()),
            is_hidden: RwSignal::new(page::is_hidden()),
            health,
        };
        let own = page::random_id();
        let said = StoredValue::new(0_u32);
        let tabs = StoredValue::new_local(None::<Tabs>);
        // Message format: id of the tab and connections held, as in `k3x9 2`.
        let say = {
            let own = own.clone();
            move |held: u32| {
                said.set_value(held);
                this.known.change(|known| known.hear(&own, held, clock::now_ms()));
                tabs.with_value(|tabs| tabs.iter().for_each(|tabs| tabs.tell(&format!("{own} {held}"))));
            }
        };
        let answer = say.clone();
        tabs.set_value(Tabs::open("fourways-connections", move |told| {
            if told == ASK {
                answer(delivery::held());
            } else if let Some((tab, held)) =
                told.split_once(' ').and_then(|(tab, held)| Some((tab, held.parse().ok()?)))
            {
                this.known.change(|known| known.hear(tab, held, clock::now_ms()));
            }
        }));
        tabs.with_value(|tabs| tabs.iter().for_each(|tabs| tabs.tell(ASK)));
        let look = say.clone();
        let beat = set_interval_with_handle(move || look(delivery::held()), EVERY);
        let leave = window_event_listener(ev::Custom::<web_sys::Event>::new("pagehide"), move |_| say(0));
        // This event bubbles up to the window.
        let turn =
            window_event_listener(ev::visibilitychange, move |_| this.is_hidden.set(page::is_hidden()));
        on_cleanup(move || {
            leave.remove();
            turn.remove();
            if let Ok(beat) = beat {
                beat.clear();
            }
        });
        this
    }

    /// True if this tab is hidden and no connection is left, so that another tab waits for those that this one holds.
    pub(crate) fn is_wanted_elsewhere(self) -> bool {
        self.is_hidden.get() && self.is_shared_out() && self.known.with(budget::Budget::is_spent)
    }

    /// True while this tab is hidden.
    pub(crate) fn is_hidden(self) -> bool {
        self.is_hidden.get()
    }

    /// True if the number of connections is limited; HTTP/2 and HTTP/3 need one for everything.
    fn is_shared_out(self) -> bool {
        self.health.protocol.with(|protocol| protocol != "h2" && protocol != "h3")
    }
}

/// A banner under the header, shown while few or no connections are left.
#[component]
pub(crate) fn Notice(
    /// Budget of the app.
    budget: Budget,
) -> impl IntoView {
    let words =
        Memo::new(move |_| budget.known.with(budget::Budget::words).filter(|_| budget.is_shared_out()));
    part(move || {
        words.with(Option::is_some).then(|| view! {
            <div class="banner" role="status" data-testid="budget">
                <Icon name="warn" />
                <span><b>{text(move || words.get().unwrap_or_default())}</b>
                    " Over HTTP/1.1 a browser opens six to a server. Close tabs, or serve with "<code>"--tls"</code>": HTTP/2 has no such limit."</span>
            </div>
        })
    })
}
