//! No two engines on the same rows.
//!
//! The page's lock decides who starts a worker. It is released when the page goes, perhaps a moment before that page's
//! worker has really ended; so the worker itself holds a second one, which the browser takes back only when it is dead.

use crate::js::{self, JsError};
use futures_channel::oneshot;
use wasm_bindgen::JsCast as _;
use web_sys::WorkerGlobalScope;

const LOCK: &str = "parlour-rows";

/// Waits until no other worker has the rows, and keeps them until this worker ends.
pub(super) async fn wait() -> Result<(), JsError> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    let (granted, wait) = oneshot::channel();
    js::hold_lock(&scope.navigator(), LOCK, move || {
        let _ = granted.send(());
    })?;
    wait.await.map_err(|_| JsError("the lock of the rows was refused".to_owned()))
}
