//! An element's width, told whenever it changes, until dropped.

use wasm_bindgen::{JsCast as _, closure::Closure};

/// Tells an element's inner width in CSS pixels, at once and on every change. Dropping it ends that.
pub(crate) struct Widths {
    observer: web_sys::ResizeObserver,
    /// What the browser calls as long as the observer is connected.
    _callback: Closure<dyn FnMut()>,
}

impl Widths {
    /// `element`'s height should not follow its width: a change made while the browser tells is told again, as an error.
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
