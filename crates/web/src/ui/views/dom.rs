//! The few things of the browser that have no view: the root element, the address, storage for looks, time.

use js_sys::{Date, Reflect};
use leptos::prelude::*;
use parlour_proto::ids::UnixMillis;
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Element, HtmlElement, HtmlTextAreaElement, Storage, Window};

pub(crate) fn try_window() -> Option<Window> {
    web_sys::window()
}

pub(crate) fn body() -> Option<HtmlElement> {
    try_window()?.document()?.body()
}

fn root() -> Option<Element> {
    try_window()?.document()?.document_element()
}

pub(crate) fn set_root_attribute(name: &str, value: &str) {
    if let Some(root) = root() {
        let _ = root.set_attribute(name, value);
    }
}

/// Size of `1rem`, in CSS pixels.
pub(crate) fn rem() -> f64 {
    let size = || {
        let style = try_window()?.get_computed_style(&root()?).ok()??;
        style.get_property_value("font-size").ok()?.trim_end_matches("px").parse().ok()
    };
    size().unwrap_or(16.0)
}

/// The time, where the engine's clock does not reach: for showing only.
pub(crate) fn now() -> UnixMillis {
    UnixMillis(Date::now() as u64)
}

/// Minutes east of Greenwich at an instant.
pub(crate) fn offset_min(instant: UnixMillis) -> i32 {
    -Date::new(&JsValue::from_f64(instant.0 as f64)).get_timezone_offset() as i32
}

/// Today where the reader is, as days since 1970.
pub(crate) fn today() -> i64 {
    crate::ui::model::when::Local::of(now(), offset_min(now())).day
}

pub(crate) fn hash() -> String {
    try_window().and_then(|window| window.location().hash().ok()).unwrap_or_default()
}

pub(crate) fn set_hash(hash: &str) {
    if let Some(window) = try_window() {
        let _ = window.location().set_hash(hash);
    }
}

/// The same in the place of where one is: nothing leads back there.
pub(crate) fn replace_hash(hash: &str) {
    if let Some(window) = try_window() {
        let _ = window.location().replace(hash);
    }
}

pub(crate) fn origin() -> String {
    try_window().and_then(|window| window.location().origin().ok()).unwrap_or_default()
}

/// The origin of another app of the same server.
pub(crate) fn origin_of(domain: &str) -> String {
    let Some(location) = try_window().map(|window| window.location()) else { return String::new() };
    let (scheme, port) = (location.protocol().unwrap_or_default(), location.port().unwrap_or_default());
    let colon = if port.is_empty() { "" } else { ":" };
    format!("{scheme}//{domain}{colon}{port}")
}

/// Where looks (theme, size, language: nothing about people) are kept, so that the first paint has them.
pub(crate) fn storage() -> Option<Storage> {
    try_window()?.local_storage().ok()?
}

/// The browser's language, two letters.
pub(crate) fn language() -> String {
    let of = || Some(try_window()?.navigator().language()?.chars().take(2).collect());
    of().unwrap_or_else(|| "en".to_owned())
}

pub(crate) fn is_visible() -> bool {
    try_window().and_then(|window| window.document()).is_some_and(|document| !document.hidden())
}

/// Wide enough for two panes (the same as in the style).
pub(crate) fn is_wide() -> bool {
    let width = try_window().and_then(|window| window.inner_width().ok()).and_then(|width| width.as_f64());
    width.is_some_and(|width| width >= 760.0)
}

/// Something that is not touched, hence has a real keyboard: Enter sends, and a focus brings up no keys on the screen.
pub(crate) fn has_keyboard() -> bool {
    let query = || try_window()?.match_media("(pointer: coarse)").ok()?;
    !query().is_some_and(|query| query.matches())
}

pub(crate) fn by_id(id: &str) -> Option<HtmlElement> {
    try_window()?.document()?.get_element_by_id(id)?.dyn_into().ok()
}

/// Focuses something once it has been drawn.
pub(crate) fn focus_soon(id: &'static str) {
    request_animation_frame(move || {
        if let Some(element) = by_id(id) {
            let _ = element.focus();
        }
    });
}

/// Focuses the first button in something once it has been drawn.
pub(crate) fn focus_first(id: &'static str) {
    request_animation_frame(move || {
        let first = by_id(id).and_then(|group| group.query_selector("button").ok()?);
        if let Some(first) = first.and_then(|first| first.dyn_into::<HtmlElement>().ok()) {
            let _ = first.focus();
        }
    });
}

/// What has the focus, if something has.
pub(crate) fn focused() -> Option<HtmlElement> {
    let document = try_window()?.document()?;
    let active: HtmlElement = document.active_element()?.dyn_into().ok()?;
    (Some(&active) != document.body().as_ref()).then_some(active)
}

const FOCUSABLE: &str = "a[href], button, input, select, textarea";

/// Which of all that can have the focus inside something has it; `None` when it is elsewhere.
pub(crate) fn focused_in(id: &str) -> Option<u32> {
    let (inside, focused) = (by_id(id)?.query_selector_all(FOCUSABLE).ok()?, focused()?);
    (0..inside.length()).find(|at| inside.get(*at).as_ref() == Some(focused.as_ref()))
}

/// Gives the focus to the one in the same place once that is drawn anew, unless something else has it.
pub(crate) fn focus_again(id: &'static str, at: u32) {
    request_animation_frame(move || {
        let again = || by_id(id)?.query_selector_all(FOCUSABLE).ok()?.get(at)?.dyn_into::<HtmlElement>().ok();
        if focused().is_none()
            && let Some(again) = again()
        {
            let _ = again.focus();
        }
    });
}

/// Focuses what had the focus before something that is gone now, unless something else has it.
pub(crate) fn give_focus_back(to: HtmlElement) {
    request_animation_frame(move || {
        if focused().is_none() && to.is_connected() {
            let _ = to.focus();
        }
    });
}

/// Whether somebody is in the middle of a text in this field.
pub(crate) fn is_typing_in(id: &str) -> bool {
    let area = focused().filter(|active| active.id() == id).and_then(|active| active.dyn_into().ok());
    area.is_some_and(|area: HtmlTextAreaElement| !area.value().is_empty())
}

/// What the browser says of itself.
pub(crate) fn user_agent() -> String {
    try_window().and_then(|window| window.navigator().user_agent().ok()).unwrap_or_default()
}

pub(crate) fn set_title(title: &str) {
    if let Some(document) = try_window().and_then(|window| window.document()) {
        document.set_title(title);
    }
}

/// The favicon with or without its dot.
pub(crate) fn set_favicon(app: &str, unread: bool) {
    let href = if unread { format!("/icon/{app}-unread.svg") } else { format!("/icon/{app}.svg") };
    if let Some(link) =
        try_window().and_then(|w| w.document()).and_then(|d| d.query_selector("link[rel~=icon]").ok()?)
    {
        if link.get_attribute("href").as_deref() != Some(&href) {
            let _ = link.set_attribute("href", &href);
        }
    }
}

/// Puts a text on the clipboard.
pub(crate) fn copy(text: &str) {
    if let Some(window) = try_window() {
        drop(window.navigator().clipboard().write_text(text));
    }
}

/// Offers a text as a file.
pub(crate) fn save(name: &str, text: &str) {
    let offer = || -> Option<()> {
        let parts = js_sys::Array::of1(&JsValue::from_str(text));
        let blob = web_sys::Blob::new_with_str_sequence(&parts).ok()?;
        let url = web_sys::Url::create_object_url_with_blob(&blob).ok()?;
        let document = try_window()?.document()?;
        let link: HtmlElement = document.create_element("a").ok()?.dyn_into().ok()?;
        link.set_attribute("href", &url).ok()?;
        link.set_attribute("download", name).ok()?;
        link.click();
        web_sys::Url::revoke_object_url(&url).ok()
    };
    let _ = offer();
}

pub(crate) fn print() {
    if let Some(window) = try_window() {
        let _ = window.print();
    }
}

/// Whether the browser has something by this name (`BarcodeDetector`, …).
pub(crate) fn has(name: &str) -> bool {
    try_window().is_some_and(|window| Reflect::has(&window, &name.into()).unwrap_or(false))
}

/// Moves the focus among the buttons and links of a group with the arrow keys; `columns` for a grid.
pub(crate) fn rove(event: &web_sys::KeyboardEvent, columns: i32) {
    let step = match event.key().as_str() {
        "ArrowRight" => 1,
        "ArrowLeft" => -1,
        "ArrowDown" => columns,
        "ArrowUp" => -columns,
        _ => return,
    };
    let go = || -> Option<()> {
        let group: Element = event.current_target()?.dyn_into().ok()?;
        let active = try_window()?.document()?.active_element()?;
        let items = group.query_selector_all("button:not([disabled]), a[href]").ok()?;
        let here =
            (0..items.length()).find(|at| items.item(*at).is_some_and(|item| item.is_same_node(Some(&active))))?;
        let there = (here as i32 + step).clamp(0, items.length() as i32 - 1) as u32;
        let item: HtmlElement = items.item(there)?.dyn_into().ok()?;
        event.prevent_default();
        item.focus().ok()
    };
    let _ = go();
}
