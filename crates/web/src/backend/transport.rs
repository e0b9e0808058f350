//! How bytes get to the worker and back: by `postMessage` in the tab that runs it, over BroadcastChannels in others.

use crate::js::{self, JsError};
use crate::worker::{TO_TABS, TO_WORKER};
use futures_channel::mpsc::UnboundedSender;
use js_sys::Uint8Array;
use std::cell::RefCell;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{BroadcastChannel, ErrorEvent, HtmlMetaElement, MessageEvent, Worker, WorkerOptions, WorkerType};

/// Where `early.js` leaves the worker; `null`: it is not to start one any more.
const EARLY: &str = "parlourEarly";

/// What comes.
pub(super) enum Heard {
    /// A message.
    Bytes(Vec<u8>),
    /// This tab's worker trapped, or could not be loaded.
    Crash(String),
}

/// The ways to the worker.
pub(super) struct Transport {
    /// Where the worker's program is: hashed, so that it also names the build.
    program: String,
    to_tabs: BroadcastChannel,
    to_worker: BroadcastChannel,
    worker: RefCell<Option<Worker>>,
    tell: UnboundedSender<Heard>,
    _from_tabs: Closure<dyn FnMut(MessageEvent)>,
    from_worker: Closure<dyn FnMut(MessageEvent)>,
    crashed: Closure<dyn FnMut(ErrorEvent)>,
}

impl Transport {
    pub(super) fn open(tell: UnboundedSender<Heard>) -> Result<Self, JsError> {
        let (to_tabs, to_worker) = (BroadcastChannel::new(TO_TABS)?, BroadcastChannel::new(TO_WORKER)?);
        let from_tabs = listen(tell.clone());
        to_tabs.set_onmessage(Some(from_tabs.as_ref().unchecked_ref()));
        let crash = tell.clone();
        let crashed = Closure::new(move |event: ErrorEvent| {
            let _ = crash.unbounded_send(Heard::Crash(event.message()));
        });
        Ok(Self {
            program: program()?,
            to_tabs,
            to_worker,
            worker: RefCell::new(None),
            from_worker: listen(tell.clone()),
            tell,
            _from_tabs: from_tabs,
            crashed,
        })
    }

    /// The path of the worker's program.
    pub(super) fn build(&self) -> &str {
        &self.program
    }

    /// Starts the worker: this tab owns the engine from now on.
    pub(super) fn start_worker(&self) {
        // What the own worker tells all tabs comes from it directly.
        self.to_tabs.set_onmessage(None);
        let worker = match early() {
            Some(early) => Ok(early),
            None => {
                let options = WorkerOptions::new();
                options.set_type(WorkerType::Module);
                Worker::new_with_options(&self.program, &options)
            }
        };
        match worker {
            Ok(worker) => {
                worker.set_onmessage(Some(self.from_worker.as_ref().unchecked_ref()));
                worker.set_onerror(Some(self.crashed.as_ref().unchecked_ref()));
                self.worker.replace(Some(worker));
            }
            Err(thrown) => drop(self.tell.unbounded_send(Heard::Crash(JsError::from(thrown).0))),
        }
    }

    /// Ends what was started early, if nobody has taken it: another tab has the engine.
    pub(super) fn drop_early(&self) {
        if let Some(early) = early() {
            early.terminate();
        }
    }

    /// Ends the worker of this tab, if it is here, and starts another one.
    pub(super) fn restart(&self) {
        let old = self.worker.take();
        if let Some(old) = old {
            old.terminate();
            self.start_worker();
        }
    }

    /// To the worker, wherever it is.
    pub(super) fn send(&self, bytes: &[u8]) {
        let bytes = Uint8Array::from(bytes);
        let sent = match &*self.worker.borrow() {
            Some(worker) => worker.post_message(&bytes),
            None => self.to_worker.post_message(&bytes),
        };
        if let Err(thrown) = sent {
            let _ = self.tell.unbounded_send(Heard::Crash(JsError::from(thrown).0));
        }
    }
}

fn listen(tell: UnboundedSender<Heard>) -> Closure<dyn FnMut(MessageEvent)> {
    Closure::new(move |event: MessageEvent| {
        if let Some(bytes) = js::bytes_of(&event) {
            let _ = tell.unbounded_send(Heard::Bytes(bytes));
        }
    })
}

/// The worker that was started while this program was loading (`early.js`), for once; from now on none is started so.
fn early() -> Option<Worker> {
    let global = js_sys::global();
    let early = js_sys::Reflect::get(&global, &EARLY.into()).ok();
    let _ = js_sys::Reflect::set(&global, &EARLY.into(), &wasm_bindgen::JsValue::NULL);
    early?.dyn_into().ok()
}

/// The page's head names the worker's program (`<meta name="parlour-worker">`).
fn program() -> Result<String, JsError> {
    let document = web_sys::window().and_then(|window| window.document());
    let meta = document.and_then(|document| document.query_selector("meta[name=parlour-worker]").ok().flatten());
    let meta: Option<HtmlMetaElement> = meta.and_then(|meta| meta.dyn_into().ok());
    meta.map(|meta| meta.content()).ok_or_else(|| JsError("the page does not name its worker".to_owned()))
}
