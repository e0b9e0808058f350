//! chromedriver.

use anyhow::{Context as _, Result, bail};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const ATTEMPTS: usize = 5;

/// How long its browsers may take to end.
const SHUTDOWN: Duration = Duration::from_secs(10);

/// A running chromedriver; ended when dropped, with all its browsers.
pub struct Driver {
    /// Its address.
    pub url: String,
    _child: Child,
}

impl Driver {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// When it is not installed (Debian: `chromium-driver`).
    pub async fn start() -> Result<Self> {
        // It wants one and the same port on IPv4 and IPv6, and gives up when the one it was given is taken on the other.
        for _ in 0..ATTEMPTS {
            if let Some(driver) = Self::try_start().await? {
                return Ok(driver);
            }
        }
        bail!("chromedriver ended without a port")
    }

    /// `None` when it ends before it has a port.
    async fn try_start() -> Result<Option<Self>> {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("no chromedriver: on Debian, `apt-get install chromium chromium-driver`")?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        while let Some(line) = lines.next_line().await? {
            if let Some(port) = line.rsplit("started successfully on port ").next().filter(|rest| *rest != line) {
                let port: u16 = port.trim_end_matches('.').parse()?;
                tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
                return Ok(Some(Self { url: format!("http://127.0.0.1:{port}"), _child: child }));
            }
        }
        Ok(None)
    }
}

/// Whoever only kills it leaves its browsers running, and their pages working, for as long as the machine is up.
impl Drop for Driver {
    fn drop(&mut self) {
        let shut_down = || {
            let mut stream = TcpStream::connect(self.url.trim_start_matches("http://"))?;
            stream.set_read_timeout(Some(SHUTDOWN))?;
            stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            stream.read_to_end(&mut Vec::new())
        };
        // If it is gone already, there is nobody to tell.
        let _ = shut_down();
    }
}
