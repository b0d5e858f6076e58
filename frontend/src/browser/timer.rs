//! Waiting in a task whose owner may be gone meanwhile.

use wasm_bindgen_futures::JsFuture;

/// Resolves after `ms` milliseconds. The caller must then check whether its work is still wanted.
pub(crate) async fn sleep(ms: f64) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        if let Some(window) = web_sys::window() {
            #[expect(clippy::cast_possible_truncation, reason = "clamped to what setTimeout takes")]
            let outcome = window
                .set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms.clamp(0.0, 2e9) as i32);
            drop(outcome);
        }
    });
    // The promise never rejects.
    drop(JsFuture::from(promise).await);
}
