//! The width of an element, reported whenever it changes, until dropped.

use wasm_bindgen::{JsCast as _, closure::Closure};

/// Reports the inner width of an element in CSS pixels, at once and on every change. Dropping the handle ends the
/// reports.
pub(crate) struct Widths {
    observer: web_sys::ResizeObserver,
    /// Closure that the browser calls while the observer is connected.
    _callback: Closure<dyn FnMut()>,
}

impl Widths {
    /// Starts reporting the width of `element`, whose height should not follow its width: the browser reports a change
    /// made during the callback again, as an error.
    pub(crate) fn follow(element: &web_sys::Element, tell: impl Fn(f64) + 'static) -> Option<Self> {
        let followed = element.clone();
        let callback = Closure::<dyn FnMut()>::new(move || tell(f64::from(followed.client_width())));
        let observer = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()).ok()?;
        observer.observe(element);
        Some(Self { observer, _callback: callback })
    }
}

impl Drop for Widths {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}
