//! The few things of JavaScript that both the page and the worker need.

use parlour_proto::ids::UnixMillis;
use wasm_bindgen::{JsCast as _, JsValue};

/// What JavaScript threw, as text for developers.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct JsError(pub String);

impl From<JsValue> for JsError {
    fn from(thrown: JsValue) -> Self {
        if let Some(exception) = thrown.dyn_ref::<web_sys::DomException>() {
            return Self(format!("{}: {}", exception.name(), exception.message()));
        }
        if let Some(error) = thrown.dyn_ref::<js_sys::Error>() {
            return Self(String::from(error.message()));
        }
        // The event of a failed request: its target has the reason.
        if let Some(request) = thrown.dyn_ref::<web_sys::Event>().and_then(web_sys::Event::target)
            && let Ok(error) = js_sys::Reflect::get(&request, &"error".into())
            && let Some(exception) = error.dyn_ref::<web_sys::DomException>()
        {
            return Self(format!("{}: {}", exception.name(), exception.message()));
        }
        Self(format!("{thrown:?}"))
    }
}

/// Calls a method that `web-sys` counts as unstable (Web Locks, durability of transactions), though browsers do not.
///
/// # Errors
/// What it throws, or that the browser does not have it.
pub fn call(object: &JsValue, method: &str, arguments: &[&JsValue]) -> Result<JsValue, JsError> {
    let function: js_sys::Function = js_sys::Reflect::get(object, &method.into())?
        .dyn_into()
        .map_err(|_| JsError(format!("this browser has no {method}")))?;
    let list = js_sys::Array::new();
    for argument in arguments {
        list.push(argument);
    }
    Ok(function.apply(object, &list)?)
}

/// Asks for a Web Lock and, when it is granted (perhaps never), calls `then`; holds it for the life of this page or worker.
///
/// # Errors
/// When the browser has no Web Locks.
pub fn hold_lock(navigator: &JsValue, name: &str, then: impl FnOnce() + 'static) -> Result<(), JsError> {
    let granted = wasm_bindgen::closure::Closure::once_into_js(move |_: JsValue| {
        then();
        // A promise that never ends: so long is the lock held.
        js_sys::Promise::new(&mut |_, _| {})
    });
    let locks = js_sys::Reflect::get(navigator, &"locks".into())?;
    call(&locks, "request", &[&name.into(), &granted]).map(drop)
}

/// The browser's clock.
pub fn now() -> UnixMillis {
    UnixMillis(js_sys::Date::now() as u64)
}

/// A random number that is not 0.
pub fn random_id() -> u64 {
    use rand_core::RngCore as _;
    rand_core::OsRng.next_u64().max(1)
}

/// A panic becomes a line in the console (place and reason; never what a user wrote) before the program traps.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// Bytes of a message event; `None` when it carries something else.
pub fn bytes_of(event: &web_sys::MessageEvent) -> Option<Vec<u8>> {
    let data = event.data();
    if let Some(bytes) = data.dyn_ref::<js_sys::Uint8Array>() {
        return Some(bytes.to_vec());
    }
    data.dyn_ref::<js_sys::ArrayBuffer>().map(|buffer| js_sys::Uint8Array::new(buffer).to_vec())
}
