//! Tasks that end with their page.
//!
//! The signals of a page are disposed when another page replaces it, and a task that then reads one panics and ends the
//! app. Tasks of the whole app, which outlive its pages, are spawned by `wasm_bindgen_futures` instead.

use std::{cell::Cell, future::poll_fn, pin::Pin, task::Poll};

thread_local! {
    static PAGE: Cell<u32> = const { Cell::new(0) };
}

/// Begins another page: tasks of the previous page never run again.
pub(crate) fn turn_page() {
    PAGE.set(PAGE.get().wrapping_add(1));
}

/// Spawns a task that ends when its page is replaced.
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
