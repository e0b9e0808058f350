//! HTTP: the routes, and the upgrade to a WebSocket within the connection's own task.

use std::{
    convert::Infallible,
    pin::pin,
    sync::{Arc, Mutex, atomic::Ordering::Relaxed},
    time::Duration,
};

use base64::Engine as _;
use bytes::Bytes;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use parlour_store::Store;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::{io::Io, server::Server};
use crate::{sync::MutexExt as _, web::Ask};

/// How long a connection may stay in HTTP.
const HTTP_TIME: Duration = Duration::from_secs(20);

/// How long a connection may stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// As long as it likes, as a socket.
    Long,
    /// For one answer in HTTP: there is no room for more sockets.
    Brief,
}

/// Which socket was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// One per device, signed in.
    Inbox,
    /// Anonymous.
    Outbox,
}

/// A one-piece body.
type Body = http_body::Full;

mod http_body {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use bytes::Bytes;
    use hyper::body::{Frame, SizeHint};

    /// All of it at once.
    pub(super) struct Full(pub(super) Option<Bytes>);

    impl hyper::body::Body for Full {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
        }

        fn is_end_stream(&self) -> bool {
            self.0.is_none()
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
        }
    }
}

/// Speaks HTTP until the connection ends (`None`) or becomes a WebSocket; then with what was read beyond.
pub(super) async fn serve<S: Store>(io: Io, server: &Arc<Server<S>>, stay: Stay) -> Option<(Role, Io, Bytes)> {
    let role = Mutex::new(None);
    let service = service_fn(|request| {
        let response = route(server, &request, &role, stay);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(10))
        .max_buf_size(16 * 1024)
        .keep_alive(stay == Stay::Long)
        .serve_connection(TokioIo::new(io), service);
    let done = std::future::poll_fn(|cx| connection.poll_without_shutdown(cx));
    tokio::time::timeout(HTTP_TIME, pin!(done)).await.ok()?.ok()?;
    let parts = connection.into_parts();
    let role = role.locked().take()?;
    Some((role, parts.io.into_inner(), parts.read_buf))
}

fn route<S: Store>(
    server: &Arc<Server<S>>,
    request: &Request<Incoming>,
    role: &Mutex<Option<Role>>,
    stay: Stay,
) -> Response<Body> {
    let path = request.uri().path();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return text(StatusCode::METHOD_NOT_ALLOWED, "GET only\n");
    }
    match path {
        "/v1/inbox" | "/v1/outbox" if stay == Stay::Brief => {
            server.metrics.refused_connections.fetch_add(1, Relaxed);
            let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "no room for more connections, try again later\n");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
            response
        }
        "/v1/inbox" => upgrade(request, role, Role::Inbox),
        "/v1/outbox" => upgrade(request, role, Role::Outbox),
        "/health" if server.is_stopping() => text(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
        "/health" => text(StatusCode::OK, "ok\n"),
        "/metrics" => with_type(StatusCode::OK, "text/plain; version=0.0.4", server.metrics_text()),
        "/dev/outbox" | "/dev" => dev(server, request),
        path => app(server, request, path),
    }
}

fn app<S: Store>(server: &Arc<Server<S>>, request: &Request<Incoming>, path: &str) -> Response<Body> {
    let header =
        |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let served = server.site.respond(&Ask {
        host: header(header::HOST),
        path,
        accept_encoding: header(header::ACCEPT_ENCODING),
        if_none_match: header(header::IF_NONE_MATCH),
        secure: server.has_tls,
    });
    let mut response = Response::new(http_body::Full(Some(served.body)));
    *response.status_mut() = StatusCode::from_u16(served.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in served.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn dev<S: Store>(server: &Arc<Server<S>>, request: &Request<Incoming>) -> Response<Body> {
    let Some(messages) = server.accounts.codes.outbox(server.ambient.now()) else {
        return text(StatusCode::NOT_FOUND, "not found\n");
    };
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let query = request.uri().query().unwrap_or_default();
    let page = request.uri().path() == "/dev" || (accept.contains("text/html") && !query.contains("format=json"));
    if !page {
        let json = serde_json::to_string(&messages).unwrap_or_default();
        return with_type(StatusCode::OK, "application/json", json);
    }
    let rows: String = messages
        .iter()
        .rev()
        .map(|m| {
            let cell = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
            format!("<tr><td>{}<td>{}<td><b>{}</b>", cell(&m.app), cell(&m.to), cell(&m.code))
        })
        .collect();
    with_type(StatusCode::OK, "text/html; charset=utf-8", DEV_PAGE.replace("ROWS", &rows))
}

const DEV_PAGE: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=3>\
<meta name=viewport content='width=device-width'><title>Development outbox</title>\
<style>body{font:1rem/1.5 system-ui;max-width:40rem;margin:2rem auto;padding:0 1rem;color:#222}\
p{background:#fe8;border:2px solid #c80;padding:.7rem 1rem;border-radius:.4rem}td,th{text-align:left;padding:.3rem 1.5rem .3rem 0}</style>\
<h1>Development outbox</h1><p><b>Not for people.</b> This server shows one-time codes here instead of sending them by SMS. \
Whoever sees this page can sign in as anybody below.</p><table><tr><th>App<th>Number<th>Code ROWS</table></html>";

fn upgrade(request: &Request<Incoming>, role: &Mutex<Option<Role>>, wanted: Role) -> Response<Body> {
    let headers = request.headers();
    let has = |name: header::HeaderName, wanted: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(wanted))
    };
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
    let valid_key = base64::engine::general_purpose::STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    if !has(header::CONNECTION, "upgrade") || !has(header::UPGRADE, "websocket") || !valid_key {
        return text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket (version 13)\n");
    }
    if !has(header::SEC_WEBSOCKET_VERSION, "13") {
        return text(StatusCode::BAD_REQUEST, "WebSocket version 13 only\n");
    }
    *role.locked() = Some(wanted);
    let mut response = Response::new(http_body::Full(None));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key)) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn text(status: StatusCode, text: &str) -> Response<Body> {
    with_type(status, "text/plain; charset=utf-8", text.to_owned())
}

fn with_type(status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(http_body::Full(Some(Bytes::from(body))));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
