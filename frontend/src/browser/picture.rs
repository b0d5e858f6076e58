//! Rendering of an SVG to a PNG, by the browser.

use wasm_bindgen::{JsCast as _, closure::Closure};
use wasm_bindgen_futures::JsFuture;

/// Size of the PNG relative to the screen, for displays and printers with finer pixels.
const SCALE: f64 = 2.0;

/// Renders an SVG as a PNG; `None` if the browser can't draw it.
pub(crate) async fn png(svg: &str) -> Option<web_sys::Blob> {
    let image = web_sys::HtmlImageElement::new().ok()?;
    image.set_src(&format!("data:image/svg+xml;charset=utf-8,{}", js_sys::encode_uri_component(svg)));
    JsFuture::from(image.decode()).await.ok()?;
    let document = web_sys::window()?.document()?;
    let canvas: web_sys::HtmlCanvasElement = document.create_element("canvas").ok()?.dyn_into().ok()?;
    let context: web_sys::CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
    let (width, height) = (f64::from(image.width()) * SCALE, f64::from(image.height()) * SCALE);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a picture's pixels")]
    {
        canvas.set_width(width as u32);
        canvas.set_height(height as u32);
    }
    context.draw_image_with_html_image_element_and_dw_and_dh(&image, 0.0, 0.0, width, height).ok()?;
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let told = Closure::once_into_js(move |blob: wasm_bindgen::JsValue| {
            // Resolving a promise of our own can't fail.
            drop(resolve.call1(&wasm_bindgen::JsValue::NULL, &blob));
        });
        // A canvas without pixels calls back with null. If `to_blob` fails, the promise stays pending, and only a task
        // that ends with its page waits for it.
        drop(canvas.to_blob(told.unchecked_ref()));
    });
    JsFuture::from(promise).await.ok()?.dyn_into().ok()
}
