//! The wire between a browser and the server: everything goes through here and is counted.

use crate::Server;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// So long nothing must come before a page is taken to have loaded all it wants.
const QUIET: Duration = Duration::from_millis(700);

/// A port that leads to the server.
pub struct Wire {
    port: u16,
    received: Arc<AtomicU64>,
}

impl Wire {
    /// Opens one.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn to(server: &Server) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let (port, received) = (listener.local_addr()?.port(), Arc::new(AtomicU64::new(0)));
        let (count, server) = (received.clone(), server.port);
        tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                let count = count.clone();
                tokio::spawn(async move {
                    let server = TcpStream::connect(("127.0.0.1", server)).await?;
                    let ((from_browser, to_browser), (from_server, to_server)) =
                        (browser.into_split(), server.into_split());
                    let up = carry(from_browser, to_server, None);
                    let down = carry(from_server, to_browser, Some(&count));
                    tokio::try_join!(up, down)
                });
            }
        });
        Ok(Self { port, received })
    }

    /// The origin of an app, seen through here.
    pub fn origin(&self, app: &str) -> String {
        format!("http://{app}.localhost:{}", self.port)
    }

    /// Bytes from the server so far, headers and all.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until nothing comes any more; gives the bytes so far.
    pub async fn quiet(&self) -> u64 {
        let (mut bytes, mut since) = (self.received(), Instant::now());
        while since.elapsed() < QUIET {
            tokio::time::sleep(Duration::from_millis(20)).await;
            if self.received() != bytes {
                (bytes, since) = (self.received(), Instant::now());
            }
        }
        bytes
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    count: Option<&AtomicU64>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return to.shutdown().await;
        }
        if let Some(count) = count {
            count.fetch_add(read as u64, Ordering::Relaxed);
        }
        to.write_all(&buffer[..read]).await?;
    }
}
