//! One socket: a task that connects, decodes what comes, encodes what goes, and says when it is over. It never tries
//! again by itself; the engine decides that.

use super::Endpoint;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_client::api::{Role, Socket};
use parlour_proto::frames::{ClientFrame, MAX_FRAME_BYTES, ServerFrame};
use parlour_proto::wire;
use rustls::pki_types::ServerName;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// How long TCP, TLS and the opening handshake may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// How often a quiet socket is tried with a ping.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a socket may be silent before it counts as dead.
const SILENCE: Duration = Duration::from_secs(75);

/// What a socket's task tells.
#[derive(Debug)]
pub(crate) enum Received {
    /// The socket is open.
    Connected,
    /// A frame came.
    Frame(ServerFrame),
    /// The socket is gone, or never opened; nothing follows.
    Gone,
}

/// A running socket; closed when dropped.
pub(crate) struct Link {
    outgoing: mpsc::UnboundedSender<ClientFrame>,
    task: AbortHandle,
}

impl Link {
    /// Starts connecting. `generation` is repeated with everything the task tells.
    pub(crate) fn open(
        runtime: &tokio::runtime::Handle,
        endpoint: Endpoint,
        socket: Socket,
        generation: u64,
        tell: mpsc::Sender<(Socket, u64, Received)>,
    ) -> Self {
        let (outgoing, frames) = mpsc::unbounded_channel();
        let task = runtime.spawn(async move {
            if let Err(error) = run(&endpoint, socket, generation, frames, &tell).await {
                tracing::debug!(role = ?socket.role, %error, "socket ended");
            }
            let _ = tell.send((socket, generation, Received::Gone)).await;
        });
        Self { outgoing, task: task.abort_handle() }
    }

    /// Hands a frame over; lost, like any frame in flight, if the socket is about to end.
    pub(crate) fn send(&self, frame: ClientFrame) {
        let _ = self.outgoing.send(frame);
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type WebSocket = WebSocketStream<Box<dyn Stream>>;

async fn run(
    endpoint: &Endpoint,
    socket: Socket,
    generation: u64,
    frames: mpsc::UnboundedReceiver<ClientFrame>,
    tell: &mpsc::Sender<(Socket, u64, Received)>,
) -> Result<(), LinkError> {
    let resource = match socket.role {
        Role::Inbox => "/v1/inbox",
        Role::Outbox => "/v1/outbox",
    };
    let web_socket = timeout(CONNECT_TIMEOUT, connect(endpoint, resource)).await.map_err(|_| LinkError::Silent)??;
    let (sink, stream) = web_socket.split();
    let told = |received| async move { tell.send((socket, generation, received)).await.map_err(|_| LinkError::Over) };
    told(Received::Connected).await?;
    tokio::select! {
        ended = write(sink, frames) => ended,
        ended = read(stream, told) => ended,
    }
}

async fn connect(endpoint: &Endpoint, resource: &str) -> Result<WebSocket, LinkError> {
    let tcp = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
    tcp.set_nodelay(true)?;
    let stream: Box<dyn Stream> = match &endpoint.tls {
        None => Box::new(tcp),
        Some(config) => {
            let name = ServerName::try_from(endpoint.host.clone()).map_err(io::Error::other)?;
            Box::new(tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await?)
        }
    };
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_FRAME_BYTES))
        .max_frame_size(Some(MAX_FRAME_BYTES));
    let (web_socket, _) =
        tokio_tungstenite::client_async_with_config(endpoint.url(resource), stream, Some(limits)).await?;
    Ok(web_socket)
}

/// Writes frames as they come, together where several wait; pings when nothing was written for a while.
async fn write(
    mut sink: SplitSink<WebSocket, Message>,
    mut frames: mpsc::UnboundedReceiver<ClientFrame>,
) -> Result<(), LinkError> {
    loop {
        match timeout(PING_EVERY, frames.recv()).await {
            Ok(Some(frame)) => sink.feed(encode(&frame)).await?,
            Ok(None) => return Err(LinkError::Over),
            Err(_) => sink.feed(Message::Ping(Bytes::new())).await?,
        }
        while let Ok(frame) = frames.try_recv() {
            sink.feed(encode(&frame)).await?;
        }
        sink.flush().await?;
    }
}

fn encode(frame: &ClientFrame) -> Message {
    Message::Binary(wire::encode_client(frame))
}

/// Reads and decodes until the end. A frame that this version does not understand is skipped: a newer server may say
/// more than an old client knows.
async fn read<F>(mut stream: SplitStream<WebSocket>, told: impl Fn(Received) -> F) -> Result<(), LinkError>
where
    F: Future<Output = Result<(), LinkError>>,
{
    let mut heard = Instant::now();
    loop {
        let message = tokio::time::timeout_at(heard + SILENCE, stream.next()).await.map_err(|_| LinkError::Silent)?;
        let message = message.ok_or(LinkError::Over)??;
        heard = Instant::now();
        match message {
            Message::Binary(bytes) => match wire::decode_server(bytes) {
                Ok(frame) => told(Received::Frame(frame)).await?,
                Err(problem) => tracing::warn!(code = ?problem.code, "a frame from the server was not understood"),
            },
            Message::Close(_) => return Err(LinkError::Over),
            _ => {}
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("no answer in time")]
    Silent,
    #[error("closed")]
    Over,
    #[error("network: {0}")]
    Network(#[from] io::Error),
    #[error("websocket: {0}")]
    WebSocket(#[from] tokio_tungstenite::tungstenite::Error),
}
