//! The page around the app: theme, address, preferences.

use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;

const THEME_KEY: &str = "fourways-theme";

/// `http://host:port` of this page.
pub(crate) fn origin() -> String {
    web_sys::window().and_then(|window| window.location().origin().ok()).unwrap_or_default()
}

/// The theme in force: what was pinned, or what the system prefers.
pub(crate) fn is_dark() -> bool {
    let pinned = root().and_then(|root| root.get_attribute("data-theme"));
    pinned.map_or_else(|| matches("(prefers-color-scheme: dark)"), |theme| theme == "dark")
}

/// Pins the theme, and keeps it.
pub(crate) fn set_dark(dark: bool) {
    let theme = if dark { "dark" } else { "light" };
    if let Some(root) = root() {
        // Setting a constant attribute can't fail, and without storage the theme lasts as long as the page.
        drop(root.set_attribute("data-theme", theme));
    }
    keep(THEME_KEY, theme);
}

/// What is typed goes there.
pub(crate) fn has_focus(element: &web_sys::Element) -> bool {
    let active =
        web_sys::window().and_then(|window| window.document()).and_then(|document| document.active_element());
    active.is_some_and(|active| active == *element)
}

/// Keeps the end of a list in sight once what is being drawn is there, unless its reader has gone up in it.
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

/// Scrolls a list sideways, once what is being drawn is there, until the entry of its current page is in its middle.
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

/// Moves the focus to the first element that a selector finds, once what is being drawn is there.
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
        // Focus that can't be moved stays where it is.
        drop(element.focus());
    });
}

/// Where in its element a pointer is, each way from 0 to 1.
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

/// What the browser's tab is called.
pub(crate) fn set_title(title: &str) {
    if let Some(document) = web_sys::window().and_then(|window| window.document()) {
        document.set_title(title);
    }
}

/// The width of the page in pixels.
pub(crate) fn width() -> f64 {
    let width = web_sys::window().and_then(|window| window.inner_width().ok()?.as_f64());
    width.unwrap_or(1440.0)
}

/// The query of this page's address.
pub(crate) fn query() -> String {
    web_sys::window().and_then(|window| window.location().search().ok()).unwrap_or_default()
}

/// Puts a query into the address bar, without a step in the history.
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

/// What was kept under a name; `None` without storage.
pub(crate) fn kept(key: &str) -> Option<String> {
    storage()?.get_item(key).ok()?
}

/// As [`kept`], but by this window alone, for as long as it is open; [`keep_here`] keeps it.
pub(crate) fn kept_here(key: &str) -> Option<String> {
    own_storage()?.get_item(key).ok()?
}

/// As [`keep`], but for this window alone.
pub(crate) fn keep_here(key: &str, text: &str) {
    if let Some(storage) = own_storage() {
        drop(storage.set_item(key, text));
    }
}

/// Loads the page anew.
pub(crate) fn reload() {
    if let Some(window) = web_sys::window() {
        // What can't be loaded anew stays as it is.
        drop(window.location().reload());
    }
}

/// Keeps a text under a name for as long as the browser does; without storage, or when it is full, not at all.
pub(crate) fn keep(key: &str, text: &str) {
    if let Some(storage) = storage() {
        drop(storage.set_item(key, text));
    }
}

/// Forgets what was kept under a name.
pub(crate) fn forget(key: &str) {
    if let Some(storage) = storage() {
        // What can't be removed is not there.
        drop(storage.remove_item(key));
    }
}

/// Everything that was kept under names that begin so; it is not kept any more.
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

/// A CSS variable of the page, such as `--text`, as it is now.
pub(crate) fn token(name: &str) -> String {
    let style = root().and_then(|root| web_sys::window()?.get_computed_style(&root).ok()?);
    style.and_then(|style| style.get_property_value(name).ok()).unwrap_or_default()
}

/// What is found in the light theme, whichever is in force: for paper.
pub(crate) fn in_light<T>(look: impl FnOnce() -> T) -> T {
    let Some(root) = root() else { return look() };
    let pinned = root.get_attribute("data-theme");
    // Nothing is drawn before this returns. Setting and removing a constant attribute can't fail.
    drop(root.set_attribute("data-theme", "light"));
    let found = look();
    drop(match pinned {
        Some(theme) => root.set_attribute("data-theme", &theme),
        None => root.remove_attribute("data-theme"),
    });
    found
}

/// The protocol by which this server was last reached: `http/1.1`, `h2` (Resource Timing, `nextHopProtocol`).
pub(crate) fn protocol() -> String {
    let performance = web_sys::window().and_then(|window| window.performance());
    let entries = performance.map(|performance| performance.get_entries_by_type("resource"));
    let entries = entries.into_iter().flat_map(|entries| entries.iter().collect::<Vec<_>>()).rev();
    let mut timings = entries.filter_map(|entry| entry.dyn_into::<web_sys::PerformanceResourceTiming>().ok());
    timings
        .find_map(|timing| Some(timing.next_hop_protocol()).filter(|name| !name.is_empty()))
        .unwrap_or_default()
}

/// What the browser calls itself.
pub(crate) fn browser() -> String {
    web_sys::window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
}

/// Another tab is in front of this one.
pub(crate) fn is_hidden() -> bool {
    web_sys::window().and_then(|window| window.document()).is_some_and(|document| document.hidden())
}

/// The visitor asked for less motion.
pub(crate) fn prefers_reduced_motion() -> bool {
    matches("(prefers-reduced-motion: reduce)")
}

/// Puts a text on the clipboard; false if the browser doesn't let us.
pub(crate) async fn copy(text: &str) -> bool {
    let Some(window) = web_sys::window() else { return false };
    let clipboard = js_sys::Reflect::get(&window.navigator(), &"clipboard".into()).ok();
    // Browsers offer no clipboard to pages that came over plain HTTP from another host.
    let Some(clipboard) = clipboard.and_then(|value| value.dyn_into::<web_sys::Clipboard>().ok()) else {
        return false;
    };
    JsFuture::from(clipboard.write_text(text)).await.is_ok()
}

/// Offers a text as a file.
pub(crate) fn save(name: &str, mime: &str, text: &str) {
    let parts = js_sys::Array::of1(&text.into());
    let options = web_sys::BlobPropertyBag::new();
    options.set_type(mime);
    if let Ok(blob) = web_sys::Blob::new_with_str_sequence_and_options(&parts, &options) {
        save_blob(name, &blob);
    }
}

/// Offers bytes as a file.
pub(crate) fn save_blob(name: &str, blob: &web_sys::Blob) {
    let Ok(address) = web_sys::Url::create_object_url_with_blob(blob) else { return };
    let document = web_sys::window().and_then(|window| window.document());
    let link = document.and_then(|document| document.create_element("a").ok());
    if let Some(link) = link.and_then(|link| link.dyn_into::<web_sys::HtmlAnchorElement>().ok()) {
        link.set_href(&address);
        link.set_download(name);
        link.click();
    }
    // What was clicked is being read already; an address that is gone needs no revoking.
    drop(web_sys::Url::revoke_object_url(&address));
}

/// A few random letters, so that two pages don't share what is theirs alone.
pub(crate) fn random_id() -> String {
    const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 32")]
    let letter = || LETTERS[(js_sys::Math::random() * 32.0) as usize % LETTERS.len()] as char;
    (0..8).map(|_| letter()).collect()
}

/// Random bytes that nobody can guess.
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

/// A seed for jitter.
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
