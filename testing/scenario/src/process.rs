//! The built binary as a server process: started, killed, started again on the same data and port.

use crate::binary::parlour;
use crate::site::{Site, config};
use anyhow::{Context as _, Result, anyhow, bail};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// A data directory and, while it runs, the server on it. Killed and erased when dropped.
pub struct Server {
    dir: TempDir,
    data: PathBuf,
    site: Option<Site>,
    child: Option<Child>,
    starts: u32,
}

impl Server {
    /// Starts one on a fresh directory.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up() -> Result<Self> {
        Self::up_with(&[])
    }

    /// The same with some limits set.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up_with(limits: &[(&str, u64)]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("data");
        Self::up_in(dir, data, limits)
    }

    /// The same with the data in `data`, which outlives the server.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up_in(dir: TempDir, data: PathBuf, limits: &[(&str, u64)]) -> Result<Self> {
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("parlour.toml"), config(&data, 0, limits))?;
        let mut server = Self { dir, data, site: None, child: None, starts: 0 };
        server.start()?;
        Ok(server)
    }

    /// Starts it (again), on the port it had before.
    ///
    /// # Errors
    /// When it does not start; what it said is in the error.
    pub fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let port = self.site.map_or(0, |site| site.addr.port());
        let mut command = Command::new(parlour()?);
        command.arg("up").arg("--data").arg(&self.data).args(["--port", &port.to_string()]);
        command.env("RUST_LOG", "trace").env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(self.log_of(self.starts))?);
        let mut child = command.spawn().context("starting parlour")?;
        let stdout = child.stdout.take().context("its stdout")?;
        self.child = Some(child);
        let mut lines = BufReader::new(stdout).lines();
        let addr = loop {
            let Some(line) = lines.next() else {
                let said = std::fs::read_to_string(self.log_of(self.starts))?;
                bail!("the server ended before it listened: {said}");
            };
            let line = line?;
            let found = line.split_whitespace().find_map(|word| word.strip_prefix("http://"));
            if let Some(addr) = found {
                break addr.parse().map_err(|_| anyhow!("no address in {line}"))?;
            }
        };
        // Whatever else it prints must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        self.site = Some(Site { addr });
        Ok(())
    }

    /// Ends it as a power cut would.
    ///
    /// # Errors
    /// When it has ended already.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server runs")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Ends it by SIGTERM and gives its exit code.
    ///
    /// # Errors
    /// When it was killed by a signal.
    pub fn stop(&mut self) -> Result<i32> {
        let mut child = self.child.take().context("the server runs")?;
        Command::new("kill").args(["-TERM", &child.id().to_string()]).status().context("kill")?;
        child.wait()?.code().context("it ended by itself")
    }

    /// Whether it has ended without being told to.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(match &mut self.child {
            Some(child) => child.try_wait()?.is_some(),
            None => true,
        })
    }

    /// Where it is.
    ///
    /// # Panics
    /// Never: it has been started once.
    pub fn site(&self) -> Site {
        self.site.expect("a server is made running")
    }

    /// Its data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// A folder beside the data, erased with it.
    pub fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// Resident memory, bytes.
    ///
    /// # Errors
    /// When it does not run.
    pub fn rss_bytes(&self) -> Result<u64> {
        let pid = self.child.as_ref().context("the server runs")?.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
        let kib: u64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
        Ok(kib * 1024)
    }

    /// All that it logged, over all its starts.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self) -> Result<String> {
        let mut all = String::new();
        for start in 1..=self.starts {
            all += &String::from_utf8_lossy(&std::fs::read(self.log_of(start))?);
        }
        Ok(all)
    }

    fn log_of(&self, start: u32) -> PathBuf {
        self.dir.path().join(format!("stderr.{start}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
