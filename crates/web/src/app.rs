//! Which app this origin is: the server tells by host name (`/app.json`); nothing here knows any app by name.

use crate::js::JsError;
use js_sys::Reflect;
use parlour_proto::frames::{AppId, SignIn};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

/// The app that this page is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// Short name, as in addresses.
    pub app: AppId,
    /// Name for people.
    pub name: String,
    /// Provider domain.
    pub domain: String,
    /// How people sign in.
    pub sign_in: SignIn,
}

impl App {
    /// Asks the server; without the network the service worker has the last answer.
    ///
    /// # Errors
    /// When there is no answer, or it is not one.
    pub async fn load() -> Result<Self, JsError> {
        let window = web_sys::window().ok_or_else(|| JsError("no window".to_owned()))?;
        let response: web_sys::Response = JsFuture::from(window.fetch_with_str("/app.json")).await?.unchecked_into();
        if !response.ok() {
            return Err(JsError(format!("the server answered {} for the app", response.status())));
        }
        let answer = JsFuture::from(response.json()?).await?;
        Self::read(&answer).ok_or_else(|| JsError("the server's answer describes no app".to_owned()))
    }

    fn read(answer: &JsValue) -> Option<Self> {
        let text = |name: &str| Reflect::get(answer, &name.into()).ok()?.as_string();
        let sign_in = match text("sign_in")?.as_str() {
            "phone" => SignIn::Phone,
            "username" => SignIn::Username,
            "at_handle" => SignIn::AtHandle,
            _ => return None,
        };
        Some(Self { app: AppId::parse(&text("app")?).ok()?, name: text("name")?, domain: text("domain")?, sign_in })
    }
}
