//! The lab: shows, measures and compares the four techniques on the visitor's own network.
//!
//! Four layers, arrows one way: `delivery` (the only one that opens connections) and `browser` tell facts, `state`
//! (pure) makes records and lanes of them, `components` draw, `pages` put them together. A library, so that the pure
//! parts are tested natively.

#![allow(unreachable_pub, reason = "the component macro writes public items")]
#![allow(clippy::needless_pass_by_value, reason = "a component owns its props")]

mod app;
mod browser;
mod components;
mod delivery;
mod pages;
mod state;

/// Takes over the page's body.
pub fn mount() {
    // What ends the app is told where developers look; index.html tells the visitor.
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
    leptos::mount::mount_to_body(app::App);
}
