//! The engine's one timer.

use super::work::Incoming;
use crate::js;
use futures_channel::mpsc::UnboundedSender;
use parlour_proto::ids::UnixMillis;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::WorkerGlobalScope;

/// The clock is looked at least this often: it may be set, the machine may sleep.
const LONGEST_SLEEP_MS: u64 = 30_000;

/// A timer that can be set again; it rings with [`Incoming::Tick`].
pub(super) struct Timer {
    scope: WorkerGlobalScope,
    ring: Closure<dyn FnMut()>,
    set: Option<i32>,
}

impl Timer {
    pub(super) fn new(tell: UnboundedSender<Incoming>) -> Self {
        let ring = Closure::new(move || {
            let _ = tell.unbounded_send(Incoming::Tick);
        });
        Self { scope: js_sys::global().unchecked_into(), ring, set: None }
    }

    /// Rings at `instant` or up to half a minute before, instead of at an earlier wish.
    pub(super) fn set(&mut self, instant: UnixMillis) {
        if let Some(old) = self.set.take() {
            self.scope.clear_timeout_with_handle(old);
        }
        let wait = instant.since(js::now()).min(LONGEST_SLEEP_MS) as i32;
        let ring = self.ring.as_ref().unchecked_ref();
        self.set = self.scope.set_timeout_with_callback_and_timeout_and_arguments_0(ring, wait).ok();
    }
}
