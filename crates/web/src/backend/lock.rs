//! Who owns the engine: whoever holds a Web Lock. The browser gives it to the next tab in line when the holder goes.

use crate::js::JsError;
use js_sys::Promise;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};

const LOCK: &str = "parlour-engine";

/// Calls `own` when this tab gets the lock, perhaps never; holds it for the life of the page.
pub(super) fn when_granted(own: impl FnOnce() + 'static) -> Result<(), JsError> {
    let navigator = web_sys::window().ok_or_else(|| JsError("no window".to_owned()))?.navigator();
    let granted = Closure::once_into_js(move |_: JsValue| {
        own();
        // A promise that never ends: the lock is held until the page is gone.
        Promise::new(&mut |_, _| {})
    });
    let _ = navigator.locks().request(LOCK, granted.unchecked_ref());
    Ok(())
}
