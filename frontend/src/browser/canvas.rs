//! A canvas in CSS pixels, sharp on every display, in the colours of the theme.

use wasm_bindgen::JsCast as _;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

/// A cleared canvas that is ready to be drawn on.
pub(crate) struct Surface {
    pub(crate) context: CanvasRenderingContext2d,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// Colours for drawings, read from the computed style of an element, because a canvas knows no CSS variables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Palette {
    /// Colour of the technique, where the element stands for one.
    pub(crate) technique: String,
    pub(crate) text: String,
    pub(crate) caption: String,
    pub(crate) faint: String,
    pub(crate) grid: String,
    pub(crate) border: String,
    pub(crate) danger: String,
}

impl Surface {
    /// Fits the canvas's pixels to its box and clears the canvas; `None` while it has no box.
    pub(crate) fn begin(canvas: &HtmlCanvasElement) -> Option<Self> {
        let context: CanvasRenderingContext2d = canvas.get_context("2d").ok().flatten()?.dyn_into().ok()?;
        let (width, height) = (f64::from(canvas.client_width()), f64::from(canvas.client_height()));
        if width < 1.0 || height < 1.0 {
            return None;
        }
        let ratio = web_sys::window().map_or(1.0, |window| window.device_pixel_ratio()).max(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a display's pixels")]
        let (pixels_x, pixels_y) = ((width * ratio).round() as u32, (height * ratio).round() as u32);
        if canvas.width() != pixels_x || canvas.height() != pixels_y {
            canvas.set_width(pixels_x);
            canvas.set_height(pixels_y);
        }
        context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0).ok()?;
        context.clear_rect(0.0, 0.0, width, height);
        Some(Self { context, width, height })
    }

    pub(crate) fn line(&self, from: (f64, f64), to: (f64, f64), colour: &str, width: f64) {
        self.context.begin_path();
        self.context.set_stroke_style_str(colour);
        self.context.set_line_width(width);
        self.context.move_to(from.0, from.1);
        self.context.line_to(to.0, to.1);
        self.context.stroke();
    }

    /// Sets the dash pattern of the lines that follow; an empty pattern makes them solid.
    pub(crate) fn dash(&self, pattern: &[f64]) {
        let pattern: js_sys::Array = pattern.iter().copied().map(wasm_bindgen::JsValue::from_f64).collect();
        // Fails only for something other than an array of numbers.
        drop(self.context.set_line_dash(&pattern));
    }

    pub(crate) fn text(&self, text: &str, x: f64, y: f64, colour: &str, align: &str) {
        self.context.set_font("11px ui-monospace, \"SF Mono\", Menlo, \"DejaVu Sans Mono\", monospace");
        self.context.set_text_align(align);
        self.context.set_fill_style_str(colour);
        // A failure to draw text could not be shown anywhere.
        drop(self.context.fill_text(text, x, y));
    }
}

impl Surface {
    /// Draws text on a cleared background, so that marks beneath it do not make it unreadable.
    pub(crate) fn label(&self, text: &str, x: f64, y: f64, colour: &str) {
        // All characters of the drawing's font are 7 pixels wide.
        #[expect(clippy::cast_precision_loss, reason = "a word")]
        let width = text.len() as f64 * 7.0;
        self.context.clear_rect(x - 2.0, y - 10.0, width + 4.0, 13.0);
        self.text(text, x, y, colour, "left");
    }
}

impl Surface {
    /// Draws a filled circle.
    pub(crate) fn disc(&self, x: f64, y: f64, radius: f64, colour: &str) {
        self.context.begin_path();
        // `arc` fails only for a negative radius.
        drop(self.context.arc(x, y, radius.max(0.0), 0.0, std::f64::consts::TAU));
        self.context.set_fill_style_str(colour);
        self.context.fill();
    }

    /// Draws a pointer with its tip at the given position.
    pub(crate) fn arrow(&self, x: f64, y: f64, colour: &str) {
        self.context.begin_path();
        self.context.move_to(x, y);
        for (dx, dy) in [(4.0, 17.0), (8.0, 10.5), (15.0, 9.0)] {
            self.context.line_to(x + dx, y + dy);
        }
        self.context.close_path();
        self.context.set_fill_style_str(colour);
        self.context.fill();
    }
}

impl Palette {
    pub(crate) fn of(element: &web_sys::Element) -> Self {
        let style = web_sys::window().and_then(|window| window.get_computed_style(element).ok().flatten());
        let read = |name| {
            let value = style.as_ref().and_then(|style| style.get_property_value(name).ok());
            value.map(|value| value.trim().to_owned()).unwrap_or_default()
        };
        Self {
            technique: read("--c"),
            text: read("--text"),
            caption: read("--text-3"),
            faint: read("--faint"),
            grid: read("--grid"),
            border: read("--border-strong"),
            danger: read("--danger"),
        }
    }
}
