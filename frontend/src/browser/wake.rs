//! Waits that can be cut short: a stream that waits for its next attempt is woken when another stream's attempt
//! succeeds, when the network is back, and when the visitor asks to retry now.

use std::cell::Cell;

use super::{clock, timer};

/// Interval at which a sleeper checks for a call, in milliseconds.
const STEP_MS: f64 = 100.0;

thread_local! {
    static CALLS: Cell<u32> = const { Cell::new(0) };
}

/// Ends every [`sleep`] of this page.
pub(crate) fn call() {
    CALLS.set(CALLS.get().wrapping_add(1));
}

/// Resolves after `ms` milliseconds, or within a tenth of a second of the next [`call`].
pub(crate) async fn sleep(ms: f64) {
    let (until_ms, heard) = (clock::now_ms() + ms, CALLS.get());
    loop {
        let left_ms = until_ms - clock::now_ms();
        if left_ms <= 0.0 || CALLS.get() != heard {
            return;
        }
        timer::sleep(left_ms.min(STEP_MS)).await;
    }
}

#[cfg(all(test, target_arch = "wasm32"))]
mod tests {
    use wasm_bindgen_futures::spawn_local;
    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::{call, sleep};
    use crate::browser::timer;

    wasm_bindgen_test_configure!(run_in_browser);

    #[wasm_bindgen_test]
    async fn a_call_ends_every_wait_and_a_wait_ends_by_itself() {
        spawn_local(async {
            timer::sleep(5.0).await;
            call();
        });
        // Would take eleven days without the call.
        sleep(1e9).await;
        sleep(1.0).await;
    }
}
