//! One socket that speaks single frames, and says everything that comes back.

use crate::PATIENCE;
use crate::site::Site;
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_proto::frames::{Answer, ClientFrame, Push, Request, Row, ServerFrame};
use parlour_proto::problem::{Code, Problem};
use parlour_proto::wire::{decode_server, encode_client};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// Which socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `/v1/inbox`
    Inbox,
    /// `/v1/outbox`
    Outbox,
}

impl Role {
    /// Its path.
    pub fn path(self) -> &'static str {
        match self {
            Role::Inbox => "/v1/inbox",
            Role::Outbox => "/v1/outbox",
        }
    }
}

/// How a socket is opened.
#[derive(Debug, Clone, Copy)]
pub struct From<'a> {
    /// The address it comes from.
    pub source: IpAddr,
    /// What it calls itself.
    pub user_agent: &'a str,
}

impl Default for From<'_> {
    fn default() -> Self {
        Self { source: Ipv4Addr::LOCALHOST.into(), user_agent: "scenario" }
    }
}

/// An open socket.
pub struct Wire {
    ws: WebSocketStream<TcpStream>,
    /// Of the server's hello: what signing in signs.
    pub nonce: [u8; 32],
    next: u64,
    pushes: VecDeque<Push>,
}

impl Wire {
    /// Connects and reads the server's hello.
    ///
    /// # Errors
    /// When the server does not answer, or not like that.
    pub async fn connect(site: Site, role: Role) -> Result<Self> {
        Self::connect_from(site, role, From::default()).await
    }

    /// The same, from somewhere.
    ///
    /// # Errors
    /// As [`Wire::connect`].
    pub async fn connect_from(site: Site, role: Role, from: From<'_>) -> Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from.source, 0))?;
        let stream = socket.connect(site.addr).await.context("connecting")?;
        stream.set_nodelay(true)?;
        let mut request = format!("ws://{}{}", site.addr, role.path()).into_client_request()?;
        request.headers_mut().insert("user-agent", from.user_agent.parse()?);
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let (ws, _) = tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await?;
        let mut wire = Self { ws, nonce: [0; 32], next: 0, pushes: VecDeque::new() };
        match wire.receive().await? {
            ServerFrame::Push(Push::Hello { nonce, .. }) => wire.nonce = nonce,
            other => bail!("the first frame is not hello but {other:?}"),
        }
        Ok(wire)
    }

    /// Sends a request without waiting; gives its id.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, request: Request) -> Result<u64> {
        self.next += 1;
        let frame = encode_client(&ClientFrame { id: self.next, request });
        self.send_raw(Message::Binary(frame)).await?;
        Ok(self.next)
    }

    /// Sends anything.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_raw(&mut self, message: Message) -> Result<()> {
        Ok(tokio::time::timeout(PATIENCE, self.ws.send(message)).await.context("the server does not read")??)
    }

    /// Sends a request and waits for its answer; pushes on the way are kept.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn ask(&mut self, request: Request) -> Result<Result<Answer, Problem>> {
        let id = self.send(request).await?;
        self.answer(id).await
    }

    /// The same for a request that must be granted.
    ///
    /// # Errors
    /// The problem.
    pub async fn granted(&mut self, request: Request) -> Result<Answer> {
        Ok(self.ask(request).await??)
    }

    /// The same for one that must be refused: the code.
    ///
    /// # Errors
    /// When it is granted.
    pub async fn refused(&mut self, request: Request) -> Result<Code> {
        match self.ask(request).await? {
            Err(problem) => Ok(problem.code),
            Ok(answer) => bail!("granted: {answer:?}"),
        }
    }

    /// Waits for the answer to a request.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn answer(&mut self, wanted: u64) -> Result<Result<Answer, Problem>> {
        loop {
            match self.receive().await? {
                ServerFrame::Answer { id, result } if id == wanted => return Ok(result),
                ServerFrame::Answer { id, result } => bail!("an answer to {id}: {result:?}"),
                ServerFrame::Push(push) => self.pushes.push_back(push),
            }
        }
    }

    /// The next frame, whatever it is.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn receive(&mut self) -> Result<ServerFrame> {
        loop {
            match self.receive_raw().await? {
                Message::Binary(frame) => return Ok(decode_server(frame)?),
                Message::Close(frame) => bail!("the server closed the socket: {frame:?}"),
                _ => {}
            }
        }
    }

    /// The next message, whatever it is.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn receive_raw(&mut self) -> Result<Message> {
        let next = tokio::time::timeout(PATIENCE, self.ws.next()).await.context("the server is silent")?;
        Ok(next.context("the socket ended")??)
    }

    /// The next push.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn push(&mut self) -> Result<Push> {
        if let Some(push) = self.pushes.pop_front() {
            return Ok(push);
        }
        match self.receive().await? {
            ServerFrame::Push(push) => Ok(push),
            answer => bail!("an answer to nothing: {answer:?}"),
        }
    }

    /// All rows up to [`Push::CaughtUp`].
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn waiting_rows(&mut self) -> Result<Vec<Row>> {
        let mut all = Vec::new();
        loop {
            match self.push().await? {
                Push::Rows(rows) => all.extend(rows),
                Push::CaughtUp => return Ok(all),
                Push::Closing(problem) => bail!("closing: {problem}"),
                _ => {}
            }
        }
    }

    /// Reads until the server has closed the socket; the problem that it told, if any.
    ///
    /// # Errors
    /// When it stays open.
    pub async fn closed(&mut self) -> Result<Option<Code>> {
        let mut told = None;
        loop {
            let next = tokio::time::timeout(PATIENCE, self.ws.next()).await.context("the socket stays open")?;
            match next {
                None | Some(Err(_) | Ok(Message::Close(_))) => return Ok(told),
                Some(Ok(Message::Binary(frame))) => match decode_server(frame)? {
                    ServerFrame::Push(Push::Closing(problem)) => told = Some(problem.code),
                    ServerFrame::Answer { result: Err(problem), .. } => told = told.or(Some(problem.code)),
                    _ => {}
                },
                Some(Ok(_)) => {}
            }
        }
    }

    /// Acknowledges rows.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn ack(&mut self, seq: u64) -> Result<()> {
        self.send_raw(Message::Binary(encode_client(&ClientFrame { id: 0, request: Request::Ack { seq } }))).await
    }
}

/// A request's bytes with an id of one's own.
pub fn frame(id: u64, request: Request) -> Bytes {
    encode_client(&ClientFrame { id, request })
}
