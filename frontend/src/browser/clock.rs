//! The page's clock.

/// Milliseconds since the Unix epoch, on the browser's monotonic clock.
pub(crate) fn now_ms() -> f64 {
    performance().map_or_else(js_sys::Date::now, |performance| performance.time_origin() + performance.now())
}

/// An event's own time stamp on the same clock: it was taken before any of our code ran.
pub(crate) fn stamped_ms(time_stamp: f64) -> f64 {
    performance().map_or_else(js_sys::Date::now, |performance| performance.time_origin() + time_stamp)
}

fn performance() -> Option<web_sys::Performance> {
    web_sys::window()?.performance()
}
