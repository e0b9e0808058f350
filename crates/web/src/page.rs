//! The page's program: which app, the engine, the screens; then what makes it installable.

use crate::app::App;
use crate::backend::{Backend, CallError, EngineState, Told};
use crate::bus::Call;
use crate::js::{self, JsError};
use crate::ui;
use crate::ui::port::{Answer, Engine, Fault, Happening, Page};
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use std::rc::Rc;
use wasm_bindgen_futures::{JsFuture, spawn_local};

/// Starts the page.
pub fn main() {
    js::report_panics();
    spawn_local(async {
        if let Err(error) = run().await {
            web_sys::console::error_1(&error.to_string().into());
        }
    });
}

async fn run() -> Result<(), JsError> {
    // The worker loads while the server is asked which app this is.
    let backend = Backend::start()?;
    let App { app, name, sign_in, .. } = App::load().await?;
    let happenings = happenings(&backend);
    ui::mount(Page { app, name, sign_in, engine: Rc::new(backend), happenings });
    install().await
}

impl Engine for Backend {
    fn call(&self, call: Call) -> Answer {
        let backend = self.clone();
        Box::pin(async move {
            backend.call(call).await.map_err(|error| match error {
                CallError::Failed(failure) => Fault::Failed(failure),
                CallError::Interrupted | CallError::Unexpected => Fault::Interrupted,
            })
        })
    }
}

fn happenings(backend: &Backend) -> mpsc::UnboundedReceiver<Happening> {
    let (tell, happenings) = mpsc::unbounded();
    let mut told = backend.listen();
    spawn_local(async move {
        while let Some(told) = told.next().await {
            let happening = match told {
                Told::Event(event) => Happening::Event(event),
                Told::Engine(EngineState::Starting) => continue,
                Told::Engine(EngineState::Here) => Happening::Here,
                Told::Engine(EngineState::OtherBuild) => Happening::OtherBuild,
                Told::Engine(EngineState::Broken(why)) => Happening::Broken(why),
                Told::Engine(EngineState::Wiped) => Happening::Wiped,
            };
            if tell.unbounded_send(happening).is_err() {
                return;
            }
        }
    });
    happenings
}

/// The service worker (opens without the network), and the wish that the browser does not clear this origin by itself.
async fn install() -> Result<(), JsError> {
    let Some(window) = web_sys::window() else { return Ok(()) };
    let navigator = window.navigator();
    JsFuture::from(navigator.service_worker().register("/sw.js")).await?;
    JsFuture::from(navigator.storage().persist()?).await?;
    Ok(())
}
