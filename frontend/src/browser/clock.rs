//! The clock of the page.

/// Returns the milliseconds since the Unix epoch, on the browser's monotonic clock.
pub(crate) fn now_ms() -> f64 {
    performance().map_or_else(js_sys::Date::now, |performance| performance.time_origin() + performance.now())
}

/// Converts the time stamp of a DOM event to the clock of [`now_ms`]. The browser takes the stamp before any code of
/// the app runs.
pub(crate) fn stamped_ms(time_stamp: f64) -> f64 {
    performance().map_or_else(js_sys::Date::now, |performance| performance.time_origin() + time_stamp)
}

fn performance() -> Option<web_sys::Performance> {
    web_sys::window()?.performance()
}
