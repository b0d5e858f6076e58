//! Tasks of a page: they end with it.
//!
//! A page's signals are gone when another page is there, and a task that reads one of them then ends the app with a panic.
//! Tasks of the whole app, which outlive its pages, are spawned by `wasm_bindgen_futures` instead.

use std::{cell::Cell, future::poll_fn, pin::Pin, task::Poll};

thread_local! {
    static PAGE: Cell<u32> = const { Cell::new(0) };
}

/// Another page begins: tasks of the one before never run again.
pub(crate) fn turn_page() {
    PAGE.set(PAGE.get().wrapping_add(1));
}

/// Runs a task for as long as the page is there.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    let page = PAGE.get();
    let mut task: Option<Pin<Box<dyn Future<Output = ()>>>> = Some(Box::pin(task));
    wasm_bindgen_futures::spawn_local(poll_fn(move |cx| {
        if PAGE.get() != page {
            task = None;
        }
        task.as_mut().map_or(Poll::Ready(()), |task| task.as_mut().poll(cx))
    }));
}
