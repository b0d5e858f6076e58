//! Once per animation frame, until dropped.

use std::{cell::RefCell, rc::Rc};

use wasm_bindgen::{JsCast as _, closure::Closure};

type Callback = Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>;

/// Calls back on every frame. Dropping it ends the calls.
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
            // A frame that is gone already needs no cancelling.
            drop(window.cancel_animation_frame(request));
        }
        // The closure goes with the last handle; when it is the one running now, it goes when it returns.
        drop(Rc::clone(&self.callback));
    }
}
