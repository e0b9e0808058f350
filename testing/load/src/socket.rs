//! One WebSocket to the server, plain or TLS: blocking while a device is set up, then driven by [`crate::net::Net`].

use anyhow::{Context as _, Result, anyhow, bail};
use bytes::Bytes;
use parlour_proto::frames::{Answer, ClientFrame, Push, Request, ServerFrame};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use tokio_tungstenite::tungstenite::client::client_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

/// A WebSocket of this generator.
pub(crate) type Ws = WebSocket<Stream>;

/// How to reach a server.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// Loopback address.
    pub(crate) addr: SocketAddr,
    /// Client side of TLS, if the server speaks it.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The address to come from: each has ports of its own.
    pub(crate) source: Option<Ipv4Addr>,
}

impl Endpoint {
    /// The same, from an address.
    pub(crate) fn from(&self, source: Ipv4Addr) -> Self {
        Self { source: Some(source), ..self.clone() }
    }
}

/// Plain or TLS over TCP.
#[expect(
    clippy::large_enum_variant,
    reason = "one per socket, and the TLS state is boxed where it matters: in the server"
)]
pub(crate) enum Stream {
    /// `ws://`
    Plain(TcpStream),
    /// `wss://`
    Tls(StreamOwned<ClientConnection, TcpStream>),
}

impl Stream {
    /// The socket below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.read(buf),
            Stream::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Plain(tcp) => tcp.write(buf),
            Stream::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Stream::Plain(tcp) => tcp.flush(),
            Stream::Tls(tls) => tls.flush(),
        }
    }
}

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// `/v1/inbox`
    Inbox,
    /// `/v1/outbox`
    Outbox,
}

fn tcp(to: &Endpoint) -> std::io::Result<TcpStream> {
    let Some(source) = to.source else { return TcpStream::connect(to.addr) };
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.connect(&to.addr.into())?;
    Ok(socket.into())
}

/// Connects and reads the server's Hello; gives the socket and the nonce to sign.
///
/// # Errors
/// When the server does not answer, or not like that.
pub(crate) fn connect(to: &Endpoint, role: Role) -> Result<(Ws, [u8; 32])> {
    let tcp = tcp(to).context("connecting")?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
    let path = match role {
        Role::Inbox => "/v1/inbox",
        Role::Outbox => "/v1/outbox",
    };
    let stream = match &to.tls {
        None => Stream::Plain(tcp),
        Some(config) => {
            let name = ServerName::try_from("localhost").context("a server name")?;
            Stream::Tls(StreamOwned::new(ClientConnection::new(config.clone(), name)?, tcp))
        }
    };
    let scheme = if to.tls.is_some() { "wss" } else { "ws" };
    // Small buffers: 5,000 of these live beside the server.
    let config = WebSocketConfig::default().read_buffer_size(2048).write_buffer_size(0);
    let (mut ws, _) =
        client_with_config(format!("{scheme}://localhost:{}{path}", to.addr.port()), stream, Some(config))
            .map_err(|e| anyhow!("WebSocket handshake: {e}"))?;
    match receive(&mut ws)? {
        ServerFrame::Push(Push::Hello { nonce, .. }) => Ok((ws, nonce)),
        other => bail!("the first frame is not Hello but {other:?}"),
    }
}

/// Sends a request (with id 1) and reads until its answer; pushes on the way are dropped.
///
/// # Errors
/// When the server refuses or the socket breaks.
pub(crate) fn ask(ws: &mut Ws, request: Request) -> Result<Answer> {
    ws.send(Message::binary(encode(&ClientFrame { id: 1, request })))?;
    loop {
        if let ServerFrame::Answer { id: 1, result } = receive(ws)? {
            return Ok(result?);
        }
    }
}

/// Reads one frame, waiting for it.
///
/// # Errors
/// When the socket breaks or stays silent for twenty seconds.
pub(crate) fn receive(ws: &mut Ws) -> Result<ServerFrame> {
    loop {
        match ws.read().context("reading from the server")? {
            Message::Binary(bytes) => return decode(bytes),
            Message::Close(frame) => bail!("the server closed the socket: {frame:?}"),
            _ => {}
        }
    }
}

/// To the wire.
pub(crate) fn encode(frame: &ClientFrame) -> Bytes {
    parlour_proto::wire::encode_client(frame)
}

/// From the wire.
///
/// # Errors
/// When the bytes are no server frame.
pub(crate) fn decode(bytes: Bytes) -> Result<ServerFrame> {
    Ok(parlour_proto::wire::decode_server(bytes)?)
}
