//! Notifications while nobody looks: that there is something, never what or from whom.

use super::desk::Desk;
use super::dom;
use crate::ui::strings::t;
use js_sys::{Array, Function, Object, Promise, Reflect};
use leptos::prelude::*;
use std::cell::RefCell;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Whether this browser has them.
pub(super) fn can_notify() -> bool {
    dom::has("Notification")
}

fn class() -> Option<Function> {
    Reflect::get(&dom::try_window()?.into(), &"Notification".into()).ok()?.dyn_into().ok()
}

fn is_granted() -> bool {
    let permission = class().and_then(|class| Reflect::get(&class, &"permission".into()).ok());
    permission.and_then(|permission| permission.as_string()).as_deref() == Some("granted")
}

/// Whether they were wanted, and still are allowed.
pub(super) fn is_on() -> bool {
    let wanted = dom::storage().and_then(|storage| storage.get_item("notify").ok()?);
    wanted.as_deref() == Some("1") && can_notify() && is_granted()
}

/// Switches them; asks the browser first.
pub(super) fn choose(desk: Desk, on: bool) {
    leptos::task::spawn_local(async move {
        let allowed = on && (is_granted() || ask().await);
        if on && !allowed {
            desk.complain_text(t().notify_refused);
        }
        if let Some(storage) = dom::storage() {
            let _ = storage.set_item("notify", if allowed { "1" } else { "0" });
        }
        // Twice, so that a switch which was refused moves back.
        desk.notifies.set(on);
        desk.notifies.set(allowed);
    });
}

async fn ask() -> bool {
    let asked = || -> Option<Promise> {
        let class = class()?;
        let ask: Function = Reflect::get(&class, &"requestPermission".into()).ok()?.dyn_into().ok()?;
        ask.call0(&class).ok()?.dyn_into().ok()
    };
    match asked() {
        Some(asked) => JsFuture::from(asked).await.is_ok() && is_granted(),
        None => false,
    }
}

thread_local! {
    /// The note that was shown last.
    static NOTE: RefCell<Option<JsValue>> = const { RefCell::new(None) };
}

/// Takes back what was told, where the browser still shows it: there is nothing any more.
pub(super) fn take_back() {
    let note = NOTE.with_borrow_mut(Option::take);
    let close = note.as_ref().and_then(|note| Reflect::get(note, &"close".into()).ok()?.dyn_into::<Function>().ok());
    if let (Some(note), Some(close)) = (note, close) {
        let _ = close.call0(&note);
    }
}

/// Tells that there is something; one note for all of it.
pub(super) fn notify(desk: Desk) {
    let options = Object::new();
    let icon = desk.app.with_value(|app| format!("/icon/{app}.svg"));
    for (key, value) in [("body", t().notify_body), ("tag", "parlour"), ("icon", icon.as_str())] {
        let _ = Reflect::set(&options, &key.into(), &value.into());
    }
    if let Some(class) = class() {
        let note = Reflect::construct(&class, &Array::of2(&JsValue::from_str(&desk.app_name()), &options)).ok();
        NOTE.set(note);
    }
}
