//! The page around the app: theme, address, focus, storage, clipboard, downloads.

use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;

const THEME_KEY: &str = "fourways-theme";

/// Returns the origin of this page, as in `http://host:port`.
pub(crate) fn origin() -> String {
    web_sys::window().and_then(|window| window.location().origin().ok()).unwrap_or_default()
}

/// True if the dark theme is in force: pinned by the visitor, or else preferred by the system.
pub(crate) fn is_dark() -> bool {
    let pinned = root().and_then(|root| root.get_attribute("data-theme"));
    pinned.map_or_else(|| matches("(prefers-color-scheme: dark)"), |theme| theme == "dark")
}

/// Pins the theme and stores the choice.
pub(crate) fn set_dark(dark: bool) {
    let theme = if dark { "dark" } else { "light" };
    if let Some(root) = root() {
        // Setting a constant attribute can't fail, and without storage the theme lasts as long as the page.
        drop(root.set_attribute("data-theme", theme));
    }
    keep(THEME_KEY, theme);
}

/// True if the element has the keyboard focus.
pub(crate) fn has_focus(element: &web_sys::Element) -> bool {
    let active =
        web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
    active.is_some_and(|active| active == *element)
}

/// Scrolls a list to its end after the pending rendering, unless its reader has scrolled up.
pub(crate) fn follow_end(id: &'static str) {
    const NEAR: i32 = 60;
    let is_near =
        |list: &web_sys::Element| list.scroll_height() - list.scroll_top() - list.client_height() < NEAR;
    let is_followed = element(id).is_none_or(|list| is_near(&list));
    if is_followed {
        wasm_bindgen_futures::spawn_local(async move {
            super::timer::sleep(0.0).await;
            if let Some(list) = element(id) {
                list.set_scroll_top(list.scroll_height());
            }
        });
    }
}

/// Scrolls a list sideways, after the pending rendering, until `entry` is in its middle. Both arguments are CSS
/// selectors.
pub(crate) fn centre(list: &'static str, entry: &'static str) {
    wasm_bindgen_futures::spawn_local(async move {
        super::timer::sleep(0.0).await;
        let found = |css| web_sys::window()?.document()?.query_selector(css).ok()?;
        let (Some(list), Some(entry)) = (found(list), found(entry)) else { return };
        let (seen, own) = (list.get_bounding_client_rect(), entry.get_bounding_client_rect());
        let off = (own.left() + own.width() / 2.0) - (seen.left() + seen.width() / 2.0);
        #[expect(clippy::cast_possible_truncation, reason = "pixels")]
        list.set_scroll_left(list.scroll_left() + off as i32);
    });
}

/// Moves the focus to the first element that matches a CSS selector, after the pending rendering.
pub(crate) fn focus(css: impl Into<String>) {
    let css = css.into();
    wasm_bindgen_futures::spawn_local(async move {
        super::timer::sleep(0.0).await;
        let found = || web_sys::window()?.document()?.query_selector(&css).ok()?;
        let Some(element) = found().and_then(|found| found.dyn_into::<web_sys::HtmlElement>().ok()) else {
            return;
        };
        if !element.has_attribute("tabindex") {
            element.set_tab_index(-1);
        }
        // If the focus cannot be moved, it stays where it is.
        drop(element.focus());
    });
}

/// Returns the position of the pointer in its element, from 0 to 1 in each direction.
pub(crate) fn place_in(event: &web_sys::PointerEvent) -> Option<(f64, f64)> {
    let element = event.current_target()?.dyn_into::<web_sys::Element>().ok()?;
    let place = element.get_bounding_client_rect();
    let share = |at: i32, from: f64, length: f64| ((f64::from(at) - from) / length.max(1.0)).clamp(0.0, 1.0);
    Some((
        share(event.client_x(), place.left(), place.width()),
        share(event.client_y(), place.top(), place.height()),
    ))
}

fn element(id: &str) -> Option<web_sys::Element> {
    web_sys::window()?.document()?.get_element_by_id(id)
}

/// Sets the title of the browser tab.
pub(crate) fn set_title(title: &str) {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        document.set_title(title);
    }
}

/// Returns the width of the page in CSS pixels.
pub(crate) fn width() -> f64 {
    let width = web_sys::window().and_then(|window| window.inner_width().ok()?.as_f64());
    width.unwrap_or(1440.0)
}

/// Returns the query of the page's address, with its question mark.
pub(crate) fn query() -> String {
    web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default()
}

/// Replaces the query in the address bar without adding an entry to the history.
pub(crate) fn replace_query(query: &str) {
    let Some(window) = web_sys::window() else { return };
    let path = window.location().pathname().unwrap_or_default();
    if let Ok(history) = window.history() {
        // A browser that refuses keeps the old address, and the link can still be copied.
        drop(history.replace_state_with_url(
            &wasm_bindgen::JsValue::NULL,
            "",
            Some(&format!("{path}?{query}")),
        ));
    }
}

/// Returns the text stored under a key; `None` if there is none, or no storage.
pub(crate) fn kept(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// Returns the text that [`keep_here`] stored under a key, for this window alone and while it is open.
pub(crate) fn kept_here(key: &str) -> Option<String> {
    own_storage()?.get_item(key).ok()?
}

/// Stores a text under a key for this window alone. Without storage, or when it is full, nothing is stored.
pub(crate) fn keep_here(key: &str, text: &str) {
    if let Some(storage) = own_storage() {
        drop(storage.set_item(key, text));
    }
}

/// Reloads the page from the server.
pub(crate) fn reload() {
    if let Some(window) = web_sys::window() {
        // If the browser refuses, the page stays as it is.
        drop(window.location().reload());
    }
}

/// Stores a text under a key for all windows of this browser. Without storage, or when it is full, nothing is stored.
pub(crate) fn keep(key: &str, text: &str) {
    if let Some(storage) = storage() {
        drop(storage.set_item(key, text));
    }
}

/// Removes the text stored under a key.
pub(crate) fn forget(key: &str) {
    if let Some(storage) = storage() {
        // Fails only if there is nothing to remove.
        drop(storage.remove_item(key));
    }
}

/// Removes and returns all texts stored under keys that begin with `prefix`.
pub(crate) fn take_kept(prefix: &str) -> Vec<String> {
    let Some(storage) = storage() else { return Vec::new() };
    let names = (0..storage.length().unwrap_or_default()).filter_map(|at| storage.key(at).ok().flatten());
    let names: Vec<String> = names.filter(|name| name.starts_with(prefix)).collect();
    let taken = names.iter().filter_map(|name| {
        let text = storage.get_item(name).ok().flatten();
        forget(name);
        text
    });
    taken.collect()
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok()?
}

fn own_storage() -> Option<web_sys::Storage> {
    web_sys::window()?.session_storage().ok()?
}

/// Returns the current value of a CSS variable of the page, such as `--text`.
pub(crate) fn token(name: &str) -> String {
    let style = root().and_then(|root| web_sys::window()?.get_computed_style(&root).ok()?);
    style.and_then(|style| style.get_property_value(name).ok()).unwrap_or_default()
}

/// Calls `look` under the light theme, whichever theme is in force, for output on paper.
pub(crate) fn in_light<T>(look: impl FnOnce() -> T) -> T {
    let Some(root) = root() else { return look() };
    let pinned = root.get_attribute("data-theme");
    // The browser draws nothing before this function returns. Setting and removing a constant attribute can't fail.
    drop(root.set_attribute("data-theme", "light"));
    let found = look();
    drop(match pinned {
        Some(theme) => root.set_attribute("data-theme", &theme),
        None => root.remove_attribute("data-theme"),
    });
    found
}

/// Returns the protocol of the newest recorded load, as in `http/1.1` or `h2` (Resource Timing, `nextHopProtocol`).
pub(crate) fn protocol() -> String {
    let performance = web_sys::window().and_then(|window| window.performance());
    let entries = performance.map(|performance| performance.get_entries_by_type("resource"));
    let entries = entries.into_iter().flat_map(|entries| entries.iter().collect::<Vec<_>>()).rev();
    let mut timings = entries.filter_map(|entry| entry.dyn_into::<web_sys::PerformanceResourceTiming>().ok());
    timings
        .find_map(|timing| Some(timing.next_hop_protocol()).filter(|name| !name.is_empty()))
        .unwrap_or_default()
}

/// Returns the user agent string of the browser.
pub(crate) fn browser() -> String {
    web_sys::window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
}

/// True while another tab is in front of this one.
pub(crate) fn is_hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden())
}

/// True if the visitor's system asks for reduced motion.
pub(crate) fn prefers_reduced_motion() -> bool {
    matches("(prefers-reduced-motion: reduce)")
}

/// Puts a text on the clipboard. Returns false if the browser does not allow it.
pub(crate) async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    let clipboard = js_sys::Reflect::get(&window.navigator(), &"clipboard".into()).ok();
    // Browsers offer no clipboard to pages served over plain HTTP from another host.
    let Some(clipboard) = clipboard.and_then(|value| value.dyn_into::<web_sys::Clipboard>().ok()) else {
        return false;
    };
    JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// Offers a text as a download.
pub(crate) fn save(name: &str, mime: &str, text: &str) {
    let parts = js_sys::Array::of1(&text.into());
    let options = web_sys::BlobPropertyBag::new();
    options.set_type(mime);
    if let Ok(blob) = web_sys::Blob::new_with_str_sequence_and_options(&parts, &options) {
        save_blob(name, &blob);
    }
}

/// Offers a blob as a download.
pub(crate) fn save_blob(name: &str, blob: &web_sys::Blob) {
    let Ok(address) = web_sys::Url::create_object_url_with_blob(blob) else { return };
    let document = web_sys::window().and_then(|window| window.document());
    let link = document.and_then(|document| document.create_element("a").ok());
    if let Some(link) = link.and_then(|link| link.dyn_into::<web_sys::HtmlAnchorElement>().ok()) {
        link.set_href(&address);
        link.set_download(name);
        link.click();
    }
    // The browser is already reading the blob, and revoking an unknown address is no error.
    drop(web_sys::Url::revoke_object_url(&address));
}

/// Returns a random id of eight letters and digits, which keeps the topics and keys of two pages apart.
pub(crate) fn random_id() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 32")]
    let letter = || LETTERS[(js_sys::Math::random() * 32.0) as usize % LETTERS.len()] as char;
    (0..8).map(|_| letter()).collect()
}

/// Returns 16 random bytes that nobody can guess; in a browser without `crypto` they come from `Math.random` and can be
/// guessed.
pub(crate) fn random_bytes() -> [u8; 16] {
    let mut bytes = [0; 16];
    let crypto = web_sys::window().and_then(|window| window.crypto().ok());
    let is_filled = crypto.is_some_and(|crypto| crypto.get_random_values_with_u8_array(&mut bytes).is_ok());
    if !is_filled {
        for byte in &mut bytes {
            *byte = random_seed().to_le_bytes()[0];
        }
    }
    bytes
}

/// Returns a random seed, for jitter and not for secrets.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "any number will do")]
pub(crate) fn random_seed() -> u64 {
    (js_sys::Math::random() * 9e15) as u64
}

fn root() -> Option<web_sys::Element> {
    web_sys::window()?.document()?.document_element()
}

fn matches(query: &str) -> bool {
    web_sys::window()
        .and_then(|window| window.match_media(query).ok().flatten())
        .is_some_and(|list| list.matches())
}

thread_local! {
    static ID: String = random_id();
}

/// Returns the id of this page; two windows of one browser have two ids.
pub(crate) fn id() -> String {
    ID.with(Clone::clone)
}
