//! The built `parlour` on a fresh folder.

use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Stdio;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running server; killed when dropped.
pub struct Server {
    /// Where it listens, on loopback.
    pub port: u16,
    dir: TempDir,
    child: Child,
}

/// How much the server lets anybody do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limits {
    /// As it is installed.
    Default,
    /// As much as a test wants: only the configuration differs.
    Raised,
}

/// The three apps as `parlour up` has them, every rate limit lifted.
const RAISED: &str = r#"
dev_outbox = true
[limits]
new_people_per_day = 1000000
new_people_per_day_later = 1000000
codes_per_number_per_hour = 1000000
sign_ins_per_handle_per_hour = 1000000
rooms_per_hour = 1000000
claims_per_door_per_hour = 1000000
joins_per_hour = 1000000
messages_per_room_per_s = 1000000
[[app]]
id = "bell"
name = "Bell"
domain = "bell.localhost"
sign_in = "phone"
reach_same_app = "ask"
[[app]]
id = "den"
name = "Den"
domain = "den.localhost"
sign_in = "username"
reach_same_app = "ask"
[[app]]
id = "porch"
name = "Porch"
domain = "porch.localhost"
sign_in = "at_handle"
reach_same_app = "ask"
"#;

impl Server {
    /// Starts `target/{release,debug}/parlour` (or what `PARLOUR_BIN` names) with the apps of `cargo xtask web`.
    ///
    /// # Errors
    /// When it is not built, or does not start.
    pub async fn start() -> Result<Self> {
        Self::start_with(Limits::Default).await
    }

    /// The same with these limits.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_with(limits: Limits) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        if limits == Limits::Raised {
            let data = serde_json::to_string(dir.path())?;
            let text = format!("listen = \"127.0.0.1:0\"\ndata = {data}\n{RAISED}");
            tokio::fs::write(dir.path().join("parlour.toml"), text).await?;
        }
        let (child, port) = spawn(&dir, 0).await?;
        Ok(Self { port, dir, child })
    }

    /// Kills it and starts it again on the same folder and port.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        (self.child, self.port) = spawn(&self.dir, self.port).await?;
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(&mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// The origin of an app.
    pub fn origin(&self, app: &str) -> String {
        format!("http://{app}.localhost:{}", self.port)
    }

    /// The newest one-time code that was sent to a number.
    ///
    /// # Errors
    /// When there is none.
    pub async fn code_for(&self, number: &str) -> Result<String> {
        let outbox = self.get("localhost", "/dev/outbox?format=json").await?;
        let messages: Vec<serde_json::Value> = serde_json::from_slice(&outbox)?;
        let newest = messages.iter().rev().find(|message| message["to"] == number);
        let code = newest.and_then(|message| message["code"].as_str());
        Ok(code.with_context(|| format!("no code for that number among {} messages", messages.len()))?.to_owned())
    }

    /// The body of a path.
    ///
    /// # Errors
    /// When the answer is not 200.
    pub async fn get(&self, host: &str, path: &str) -> Result<Vec<u8>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}:{}\r\nConnection: close\r\n\r\n", self.port);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no end of headers")?;
        ensure!(answer.starts_with(b"HTTP/1.1 200"), "{path}: {}", String::from_utf8_lossy(&answer[..end]));
        Ok(answer[end + 4..].to_vec())
    }
}

/// The built binary: what `PARLOUR_BIN` names, else the newest.
pub(crate) fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("PARLOUR_BIN") {
        return Ok(path.into());
    }
    ["release", "debug"]
        .map(|profile| crate::target().join(profile).join("parlour"))
        .into_iter()
        .filter(|path| path.is_file())
        .max_by_key(|path| path.metadata().and_then(|found| found.modified()).ok())
        .context("parlour is not built")
}

async fn spawn(dir: &TempDir, port: u16) -> Result<(Child, u16)> {
    let mut child = Command::new(binary()?)
        .args(["up", "--port", &port.to_string(), "--data"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
    while let Some(line) = lines.next_line().await? {
        if let Some(port) = line.split("http://127.0.0.1:").nth(1) {
            let digits: String = port.chars().take_while(char::is_ascii_digit).collect();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return Ok((child, digits.parse()?));
        }
    }
    bail!("the server ended without saying where it listens")
}
