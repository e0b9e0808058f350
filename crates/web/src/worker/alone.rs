//! No two engines on the same rows.
//!
//! The page's lock decides who starts a worker. It is released when the page goes, perhaps a moment before that page's
//! worker has really ended; so the worker itself holds a second one, which the browser takes back only when it is dead.

use crate::js::JsError;
use js_sys::Promise;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

const LOCK: &str = "parlour-rows";

/// Waits until no other worker has the rows, and keeps them until this worker ends.
pub(super) async fn wait() -> Result<(), JsError> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let granted = Promise::new(&mut |resolve, reject| {
        let hold = Closure::once_into_js(move |_: JsValue| {
            let _ = resolve.call0(&JsValue::UNDEFINED);
            Promise::new(&mut |_, _| {})
        });
        let never = scope.navigator().locks().request(LOCK, hold.unchecked_ref());
        let _ = never.catch(&Closure::once_into_js(move |thrown: JsValue| {
            let _ = reject.call1(&JsValue::UNDEFINED, &thrown);
        }).unchecked_into());
    });
    JsFuture::from(granted).await?;
    Ok(())
}
