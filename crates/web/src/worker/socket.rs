//! A browser's WebSocket: binary frames in and out.

use super::work::Incoming;
use crate::js::{self, JsError};
use futures_channel::mpsc::UnboundedSender;
use parlour_client::api::{Role, Socket};
use parlour_proto::frames::ClientFrame;
use parlour_proto::wire;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::{BinaryType, Event, MessageEvent, WebSocket, WorkerGlobalScope};

/// What a socket tells.
pub(super) enum Received {
    /// It is open.
    Connected,
    /// A frame, not decoded yet.
    Frame(Vec<u8>),
    /// It is gone, or never opened; nothing follows.
    Gone,
}

/// An open or opening socket; closed when dropped.
pub(super) struct Link {
    socket: WebSocket,
    _listeners: (Closure<dyn FnMut(Event)>, Closure<dyn FnMut(MessageEvent)>, Closure<dyn FnMut(Event)>),
}

impl Link {
    /// Starts connecting to this page's own server. `generation` is repeated with everything the socket tells.
    pub(super) fn open(socket: Socket, generation: u64, tell: UnboundedSender<Incoming>) -> Result<Self, JsError> {
        let web_socket = WebSocket::new(&address(socket.role))?;
        web_socket.set_binary_type(BinaryType::Arraybuffer);
        let told = move |received| {
            let _ = tell.unbounded_send(Incoming::Socket(socket, generation, received));
        };
        let opened = Closure::new({
            let told = told.clone();
            move |_: Event| told(Received::Connected)
        });
        let came = Closure::new({
            let told = told.clone();
            move |event: MessageEvent| {
                if let Some(bytes) = js::bytes_of(&event) {
                    told(Received::Frame(bytes));
                }
            }
        });
        // `error` is always followed by `close`.
        let closed = Closure::new(move |_: Event| told(Received::Gone));
        web_socket.set_onopen(Some(opened.as_ref().unchecked_ref()));
        web_socket.set_onmessage(Some(came.as_ref().unchecked_ref()));
        web_socket.set_onclose(Some(closed.as_ref().unchecked_ref()));
        Ok(Self { socket: web_socket, _listeners: (opened, came, closed) })
    }

    /// Hands a frame over; lost, like any frame in flight, if the socket is about to end.
    pub(super) fn send(&self, frame: &ClientFrame) {
        if let Err(thrown) = self.socket.send_with_u8_array(&wire::encode_client(frame)) {
            web_sys::console::warn_2(&"a frame was not sent".into(), &thrown);
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onclose(None);
        let _ = self.socket.close();
    }
}

fn address(role: Role) -> String {
    let location = js_sys::global().unchecked_into::<WorkerGlobalScope>().location();
    let scheme = if location.protocol() == "http:" { "ws" } else { "wss" };
    let resource = match role {
        Role::Inbox => "inbox",
        Role::Outbox => "outbox",
    };
    format!("{scheme}://{}/v1/{resource}", location.host())
}
