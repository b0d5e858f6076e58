//! The feed that a page has published for itself, on a topic of its own.

use fourways_shared::Topic;
use leptos::prelude::*;

use crate::{
    browser::{page, task, timer},
    delivery::lab,
};

/// Interval at which the feed is prolonged, in milliseconds: well before its lease of 30 s ends.
const PROLONG_MS: f64 = 10_000.0;

/// Returns a new topic that only this page publishes to.
pub(crate) fn own_topic() -> Topic {
    let name = format!("lab.{}", page::random_id());
    // The name is made of valid characters; should that ever change, a topic shared with others still works.
    Topic::parse(&name)
        .or_else(|_| Topic::parse("lab"))
        .unwrap_or_else(|_| unreachable!("\"lab\" is a topic"))
}

/// Keeps the page's own feed at the chosen rate for as long as the page is there.
pub(crate) fn keep_feed(topic: Topic, rate: RwSignal<f64>, payload_bytes: u32) {
    Effect::new(move |_| {
        let (topic, rate_now) = (topic.clone(), rate.get());
        task::spawn(async move {
            let mut first = true;
            // Ends when the page is gone, or when another rate is chosen, which has a task of its own.
            while (first || rate_now > 0.0) && rate.try_get_untracked() == Some(rate_now) {
                first = false;
                // If the server is away, the banner says so, and the next round asks again.
                drop(lab::set_feed(&topic, rate_now, payload_bytes, "steady").await);
                timer::sleep(PROLONG_MS).await;
            }
        });
    });
}
