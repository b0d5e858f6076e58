//! Glyphs from the sprite in the page: a technique is never told by colour alone.

use fourways_shared::Technique;
use leptos::prelude::*;

use super::dynamic::text;

/// An icon by its name in the sprite; decoration only.
#[component]
pub(crate) fn Icon(
    /// Without the `i-`.
    #[prop(into)]
    name: Signal<&'static str>,
) -> impl IntoView {
    view! { <svg class="icon" aria-hidden="true"><use href=text(move || format!("#i-{}", name.get())) /></svg> }
}

/// A technique's glyph; decoration only.
#[component]
pub(crate) fn Glyph(
    /// Whose.
    technique: Technique,
) -> impl IntoView {
    view! { <svg class="g" aria-hidden="true"><use href=format!("#g-{}", technique.name()) /></svg> }
}

/// Glyph and name.
#[component]
pub(crate) fn Name(
    /// Whose.
    technique: Technique,
) -> impl IntoView {
    view! { <span class="name" data-technique=technique.name()><Glyph technique=technique />{technique.label()}</span> }
}
