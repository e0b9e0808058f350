//! Somebody between a client and the server who sees, loses, holds back and reorders whole frames.

use crate::site::Site;
use crate::wire::Role;
use anyhow::{Context as _, Result};
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_proto::frames::{ClientFrame, ServerFrame};
use parlour_proto::wire::{decode_client, decode_server, encode_server};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What becomes of a frame.
pub enum Fate {
    /// It goes on.
    Pass,
    /// These go on instead.
    Instead(Vec<ServerFrame>),
    /// It is lost, and the connection with it.
    Cut,
}

/// Decides the fate of frames.
pub trait Rule: Send + 'static {
    /// A client's frame was passed on to the server.
    fn asked(&mut self, role: Role, frame: &ClientFrame) {
        let _ = (role, frame);
    }

    /// A frame of the server came.
    fn answered(&mut self, role: Role, frame: &ServerFrame) -> Fate;
}

/// A listening meddler; ends with its runtime.
pub struct Meddler<R> {
    /// Where clients find it.
    pub site: Site,
    /// Its rule, to look at and to change.
    pub rule: Arc<Mutex<R>>,
}

impl<R: Rule> Meddler<R> {
    /// Stands between clients and `server`.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn before(server: Site, rule: R) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let site = Site { addr: listener.local_addr()? };
        let rule = Arc::new(Mutex::new(rule));
        let shared = rule.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let rule = shared.clone();
                // How a connection ends is the clients' business.
                tokio::spawn(async move { relay(stream, server, rule).await.ok() });
            }
        });
        Ok(Self { site, rule })
    }

    /// Looks at the rule, or changes it.
    pub fn with<T>(&self, look: impl FnOnce(&mut R) -> T) -> T {
        look(&mut self.rule.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn relay<R: Rule>(stream: TcpStream, server: Site, rule: Arc<Mutex<R>>) -> Result<()> {
    let mut role = Role::Inbox;
    #[expect(clippy::result_large_err, reason = "the signature that tungstenite asks for")]
    let look = |request: &Request, response: Response| {
        if request.uri().path() == Role::Outbox.path() {
            role = Role::Outbox;
        }
        Ok(response)
    };
    let client = tokio_tungstenite::accept_hdr_async(stream, look).await?;
    let upstream = TcpStream::connect(server.addr).await?;
    upstream.set_nodelay(true)?;
    let url = format!("ws://{}{}", server.addr, role.path());
    let (upstream, _) = tokio_tungstenite::client_async(url, upstream).await?;
    let (mut to_client, mut from_client) = client.split();
    let (mut to_server, mut from_server) = upstream.split();
    let rule = |look: &mut dyn FnMut(&mut R) -> Fate| look(&mut rule.lock().unwrap_or_else(PoisonError::into_inner));
    let up = async {
        while let Some(message) = from_client.next().await {
            let message = message?;
            let frame = match &message {
                Message::Binary(bytes) => decode_client(bytes.clone()).ok(),
                _ => None,
            };
            to_server.send(message).await?;
            if let Some(frame) = frame {
                rule(&mut |rule| {
                    rule.asked(role, &frame);
                    Fate::Pass
                });
            }
        }
        anyhow::Ok(())
    };
    let down = async {
        while let Some(message) = from_server.next().await {
            let message = message?;
            let Message::Binary(bytes) = &message else {
                to_client.send(message).await?;
                continue;
            };
            let frame = decode_server(bytes.clone()).context("a frame of the server")?;
            match rule(&mut |rule| rule.answered(role, &frame)) {
                Fate::Pass => to_client.send(message).await?,
                Fate::Instead(frames) => {
                    for frame in frames {
                        to_client.send(Message::Binary(encode_server(&frame))).await?;
                    }
                }
                Fate::Cut => break,
            }
        }
        anyhow::Ok(())
    };
    tokio::select! {
        ended = up => ended,
        ended = down => ended,
    }
}
