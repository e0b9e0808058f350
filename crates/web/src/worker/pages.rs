//! The pages that the worker answers: its own by `postMessage`, those of other tabs over a BroadcastChannel.

use super::work::Incoming;
use crate::bus::{self, FromWorker, Tab, ToWorker};
use crate::js::{self, JsError};
use futures_channel::mpsc;
use js_sys::Uint8Array;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{BroadcastChannel, DedicatedWorkerGlobalScope, MessageEvent};

/// The channel from the worker to other tabs.
pub(crate) const TO_TABS: &str = "parlour-to-tabs";
/// The channel from other tabs to the worker.
pub(crate) const TO_WORKER: &str = "parlour-to-worker";

/// The pages.
pub(super) struct Pages {
    scope: DedicatedWorkerGlobalScope,
    to_tabs: BroadcastChannel,
    to_worker: BroadcastChannel,
    /// The page that started this worker, as soon as it has said something.
    own: Rc<Cell<Option<Tab>>>,
    /// Drawn at start.
    owner: u64,
}

impl Pages {
    /// Starts listening.
    pub(super) fn open(tell: mpsc::UnboundedSender<Incoming>) -> Result<Self, JsError> {
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let to_tabs = BroadcastChannel::new(TO_TABS)?;
        let to_worker = BroadcastChannel::new(TO_WORKER)?;
        let own = Rc::new(Cell::new(None));
        let direct = {
            let (tell, own) = (tell.clone(), own.clone());
            listen(move |tab, message| {
                own.set(Some(tab));
                let _ = tell.unbounded_send(Incoming::Page(tab, message));
            })
        };
        scope.set_onmessage(Some(direct.as_ref().unchecked_ref()));
        direct.forget();
        let others = listen(move |tab, message| {
            let _ = tell.unbounded_send(Incoming::Page(tab, message));
        });
        to_worker.set_onmessage(Some(others.as_ref().unchecked_ref()));
        others.forget();
        Ok(Self { scope, to_tabs, to_worker, own, owner: js::random_id() })
    }

    /// The number of this run of the engine, and which build it is.
    pub(super) fn here(
        &self,
        connections: Vec<(parlour_client::api::IdentityId, parlour_client::api::Connection)>,
    ) -> FromWorker {
        FromWorker::Here { owner: self.owner, build: self.scope.location().pathname(), connections }
    }

    /// Tells the page that started this worker that it can be told to begin.
    pub(super) fn ready(&self) {
        let bytes = Uint8Array::from(bus::encode(Tab::ALL, &FromWorker::Ready).as_slice());
        complain(self.scope.post_message(&bytes));
    }

    /// To one page.
    pub(super) fn tell(&self, tab: Tab, message: &FromWorker) {
        let bytes = Uint8Array::from(bus::encode(tab, message).as_slice());
        let sent = if self.own.get() == Some(tab) {
            self.scope.post_message(&bytes)
        } else {
            self.to_tabs.post_message(&bytes)
        };
        complain(sent);
    }

    /// To every page.
    pub(super) fn tell_all(&self, message: &FromWorker) {
        let bytes = Uint8Array::from(bus::encode(Tab::ALL, message).as_slice());
        complain(self.to_tabs.post_message(&bytes));
        complain(self.scope.post_message(&bytes));
    }

    /// Ends the worker; messages under way still arrive.
    pub(super) fn close(&self) {
        self.to_worker.close();
        self.scope.close();
    }
}

fn complain(sent: Result<(), wasm_bindgen::JsValue>) {
    if let Err(thrown) = sent {
        web_sys::console::error_2(&"a message could not be posted".into(), &thrown);
    }
}

fn listen(heard: impl Fn(Tab, ToWorker) + 'static) -> Closure<dyn FnMut(MessageEvent)> {
    Closure::new(move |event: MessageEvent| {
        if let Some((tab, message)) = js::bytes_of(&event).and_then(|bytes| bus::decode(&bytes)) {
            heard(tab, message);
        }
    })
}
