//! Drawing on the common axis: the feed and one lane per technique, over one clock.

use fourways_model::axis::Axis;
use leptos::prelude::*;

use crate::{
    browser::{
        canvas::{Palette, Surface},
        clock,
        frame::Frames,
        page,
    },
    components::{
        change::Change as _,
        strip::{draw_feed, draw_lane},
    },
    streams::{Streams, health::Health},
};

pub(crate) const WINDOW_MS: f64 = 10_000.0;

/// Canvas of the feed, and one for each technique in order.
pub(crate) type Canvases = [NodeRef<leptos::html::Canvas>; 5];

/// Drains the streams into the lanes and draws the lanes on every frame, until dropped; counts `tick` on three times a
/// second.
pub(crate) fn frames(
    streams: Streams,
    health: Health,
    is_paused: RwSignal<bool>,
    tick: RwSignal<u32>,
    canvases: Canvases,
) -> Frames {
    let (mut counted_ms, mut drawn_ms, mut styled_ms) = (0.0, 0.0, 0.0);
    let mut palettes: [Palette; 5] = Default::default();
    Frames::start(move || {
        let now_ms = clock::now_ms();
        streams.drain();
        if now_ms - counted_ms > 333.0 {
            counted_ms = now_ms;
            tick.change(|tick| *tick = tick.wrapping_add(1));
        }
        let step_ms = if page::prefers_reduced_motion() { 1000.0 } else { 0.0 };
        if is_paused.try_get_untracked().unwrap_or(true) || now_ms - drawn_ms < step_ms {
            return;
        }
        drawn_ms = now_ms;
        // The theme may change at any time; reading styles on every frame would cost more than drawing.
        let restyle = now_ms - styled_ms > 500.0;
        if restyle {
            styled_ms = now_ms;
        }
        let server_ms = now_ms + health.clock.try_get_untracked().unwrap_or_default().offset_ms;
        streams.view(|lanes, feed| {
            for (at, canvas) in canvases.iter().enumerate() {
                let Some(canvas) = canvas.try_get_untracked().flatten() else { continue };
                if restyle {
                    palettes[at] = Palette::of(&canvas);
                }
                let Some(surface) = Surface::begin(&canvas) else { continue };
                let axis = Axis { now_ms: server_ms, window_ms: WINDOW_MS, width: surface.width };
                match at {
                    0 => draw_feed(&surface, &palettes[0], feed, axis),
                    at => draw_lane(&surface, &palettes[at], &lanes[at - 1], feed, axis),
                }
            }
        });
    })
}
