//! Reading a QR code with the camera, where the browser can (`BarcodeDetector`; pictures never leave this function).

use super::dialog::modal;
use super::dom;
use crate::ui::strings::t;
use js_sys::{Array, Function, Object, Promise, Reflect};
use leptos::html;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Whether this browser can.
pub(super) fn can_scan() -> bool {
    let camera = || Reflect::get(&dom::try_window()?.navigator(), &"mediaDevices".into()).ok();
    dom::has("BarcodeDetector") && camera().is_some_and(|devices| !devices.is_undefined())
}

/// Looks for a code until there is one; `hold` and `no_camera` say what to do, and what if there is no camera.
pub(super) fn scan(
    hold: &'static str,
    no_camera: &'static str,
    found: impl Fn(String) + Copy + 'static,
    close: impl Fn() + Copy + 'static,
) -> impl IntoView {
    let video = NodeRef::<html::Video>::new();
    let problem = RwSignal::new(false);
    let stream = StoredValue::new_local(None::<JsValue>);
    Effect::new(move |_| {
        let Some(video) = video.get() else { return };
        spawn_local(async move {
            match look(&video, stream).await {
                Ok(Some(text)) => found(text),
                Ok(None) => {}
                Err(_) => {
                    problem.try_set(true);
                }
            }
        });
    });
    on_cleanup(move || {
        if let Some(stream) = stream.try_update_value(Option::take).flatten() {
            stop(&stream);
        }
    });
    modal(t().scan, close, move || {
        view! {
            <div class="camera"><video node_ref=video autoplay playsinline muted></video></div>
            <p role="status">{move || if problem.get() { no_camera } else { hold }}</p>
            <div class="answers"><button class="button" on:click=move |_| close()>{t().cancel}</button></div>
        }
        .into_any()
    })
}

/// Shows the camera and asks the detector about five times a second; `None` when the dialog was closed.
async fn look(
    video: &web_sys::HtmlVideoElement,
    kept: StoredValue<Option<JsValue>, LocalStorage>,
) -> Result<Option<String>, JsValue> {
    let window = dom::try_window().ok_or(JsValue::NULL)?;
    let devices = Reflect::get(&window.navigator(), &"mediaDevices".into())?;
    let wanted = Object::new();
    let facing = Object::new();
    Reflect::set(&facing, &"facingMode".into(), &"environment".into())?;
    Reflect::set(&wanted, &"video".into(), &facing)?;
    let stream = JsFuture::from(call(&devices, "getUserMedia", &wanted)?).await?;
    if kept.try_update_value(|kept| *kept = Some(stream.clone())).is_none() {
        stop(&stream);
        return Ok(None);
    }
    Reflect::set(video, &"srcObject".into(), &stream)?;
    let detector: Function = Reflect::get(&window, &"BarcodeDetector".into())?.dyn_into()?;
    let detector = Reflect::construct(&detector, &Array::new())?;
    loop {
        pause().await;
        if kept.try_with_value(Option::is_some) != Some(true) {
            return Ok(None);
        }
        // A frame that cannot be read (the camera is starting) is not the end.
        let Ok(codes) = JsFuture::from(call(&detector, "detect", video)?).await else { continue };
        let first = Array::from(&codes).get(0);
        if let Some(text) = Reflect::get(&first, &"rawValue".into()).ok().and_then(|text| text.as_string()) {
            return Ok(Some(text));
        }
    }
}

fn call(on: &JsValue, name: &str, with: &JsValue) -> Result<Promise, JsValue> {
    let function: Function = Reflect::get(on, &name.into())?.dyn_into()?;
    function.call1(on, with)?.dyn_into()
}

fn stop(stream: &JsValue) {
    let tracks = || -> Result<(), JsValue> {
        let get: Function = Reflect::get(stream, &"getTracks".into())?.dyn_into()?;
        for track in Array::from(&get.call0(stream)?).iter() {
            let stop: Function = Reflect::get(&track, &"stop".into())?.dyn_into()?;
            stop.call0(&track)?;
        }
        Ok(())
    };
    let _ = tracks();
}

async fn pause() {
    let (tell, told) = futures_channel::oneshot::channel::<()>();
    set_timeout(
        move || {
            let _ = tell.send(());
        },
        std::time::Duration::from_millis(200),
    );
    let _ = told.await;
}
