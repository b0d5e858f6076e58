//! The lab: shows, measures and compares the four techniques on the visitor's own network.
//!
//! Dependencies point one way: `delivery` (the only module that opens connections) and `browser` report facts, the
//! crate `fourways_model` (pure) turns them into records and lanes, `streams` keep both up to date, `components` draw, and
//! `pages` put them together.
//! The crate is a library, so that its pure parts are tested natively.

#![allow(unreachable_pub, reason = "the component macro writes public items")]
#![allow(clippy::needless_pass_by_value, reason = "a component owns its props")]

mod app;
mod browser;
mod components;
mod delivery;
mod pages;
mod streams;

/// Mounts the app on the body of the page.
pub fn mount() {
    // A panic is written to the console for developers; `index.html` tells the visitor.
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    leptos::mount::mount_to_body(app::App);
}
