//! A callback that runs once per animation frame, until its handle is dropped.

use std::{cell::RefCell, rc::Rc};

use wasm_bindgen::{JsCast as _, closure::Closure};

type Callback = Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>;

/// Runs a callback on every animation frame. Dropping the handle ends the calls.
pub(crate) struct Frames {
    callback: Callback,
    request: Rc<RefCell<Option<i32>>>,
}

impl Frames {
    pub(crate) fn start(mut draw: impl FnMut() + 'static) -> Self {
        let callback: Callback = Rc::default();
        let request = Rc::new(RefCell::new(None));
        let (again, next) = (Rc::downgrade(&callback), Rc::clone(&request));
        *callback.borrow_mut() = Some(Closure::new(move |_at| {
            draw();
            let Some(callback) = again.upgrade() else { return };
            *next.borrow_mut() = callback.borrow().as_ref().and_then(ask);
        }));
        *request.borrow_mut() = callback.borrow().as_ref().and_then(ask);
        Self { callback, request }
    }
}

fn ask(callback: &Closure<dyn FnMut(f64)>) -> Option<i32> {
    web_sys::window()?.request_animation_frame(callback.as_ref().unchecked_ref()).ok()
}

impl Drop for Frames {
    fn drop(&mut self) {
        if let (Some(window), Some(request)) = (web_sys::window(), self.request.borrow_mut().take()) {
            // Cancelling a frame that has already run is no error.
            drop(window.cancel_animation_frame(request));
        }
        // The closure is freed with its last handle; if it is running now, it is freed when it returns.
        drop(Rc::clone(&self.callback));
    }
}

#[cfg(all(test, target_arch = "wasm32"))]
mod tests {
    use std::{cell::Cell, rc::Rc};

    use wasm_bindgen_test::{wasm_bindgen_test, wasm_bindgen_test_configure};

    use super::Frames;
    use crate::browser::timer;

    wasm_bindgen_test_configure!(run_in_browser);

    /// Waits until `count` exceeds `than`.
    async fn above(count: &Cell<u32>, than: u32) {
        while count.get() <= than {
            timer::sleep(5.0).await;
        }
    }

    #[wasm_bindgen_test]
    async fn frames_come_until_they_are_dropped() {
        let count = Rc::new(Cell::new(0));
        let counted = Rc::clone(&count);
        let frames = Frames::start(move || counted.set(counted.get() + 1));
        above(&count, 2).await;
        drop(frames);
        assert_eq!(Rc::strong_count(&count), 1, "the closure went with the handle");
        // The frames of another loop prove that time goes on while the dropped loop gets none.
        let (ended_at, other) = (count.get(), Rc::new(Cell::new(0)));
        let counted = Rc::clone(&other);
        let _others = Frames::start(move || counted.set(counted.get() + 1));
        above(&other, 3).await;
        assert_eq!(count.get(), ended_at);
    }

    #[wasm_bindgen_test]
    async fn frames_may_be_dropped_by_their_own_call() {
        let count = Rc::new(Cell::new(0));
        let own = Rc::new(Cell::new(None));
        let (counted, dropped) = (Rc::clone(&count), Rc::clone(&own));
        own.set(Some(Frames::start(move || {
            counted.set(counted.get() + 1);
            drop(dropped.take());
        })));
        above(&count, 0).await;
        timer::sleep(50.0).await;
        assert_eq!(count.get(), 1);
    }
}
