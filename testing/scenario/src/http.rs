//! Just enough HTTP to read a page.

use crate::PATIENCE;
use anyhow::{Context as _, Result, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The body of a page.
///
/// # Errors
/// When there is no such page.
pub async fn get(addr: SocketAddr, path: &str) -> Result<String> {
    let read = async {
        let mut stream = TcpStream::connect(addr).await.context("connecting")?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        anyhow::Ok(answer)
    };
    let answer = tokio::time::timeout(PATIENCE, read).await.context("the page does not come")??;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
    Ok(answer.split_once("\r\n\r\n").context("a head and a body")?.1.to_owned())
}
