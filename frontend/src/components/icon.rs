//! Glyphs from the SVG sprite of the page. Every technique has a glyph, so techniques never differ by colour alone.

use fourways_shared::Technique;
use leptos::prelude::*;

use super::dynamic::text;

/// An icon of the sprite, by name. Decoration only: hidden from screen readers.
#[component]
pub(crate) fn Icon(
    /// Name of the icon in the sprite, without its `i-` prefix.
    #[prop(into)]
    name: Signal<&'static str>,
) -> impl IntoView {
    view! { <svg class="icon" aria-hidden="true"><use href=text(move || format!("#i-{}", name.get())) /></svg> }
}

/// The glyph of a technique. Decoration only: hidden from screen readers.
#[component]
pub(crate) fn Glyph(
    /// Technique whose glyph is drawn.
    technique: Technique,
) -> impl IntoView {
    view! { <svg class="g" aria-hidden="true"><use href=format!("#g-{}", technique.name()) /></svg> }
}

/// The glyph of a technique, followed by its name.
#[component]
pub(crate) fn Name(
    /// Technique whose glyph is drawn.
    technique: Technique,
) -> impl IntoView {
    view! { <span class="name" data-technique=technique.name()><Glyph technique=technique />{technique.label()}</span> }
}
