//! The server under test: the release binary as a child process, and what `/proc` and `/metrics` say of it.

use crate::socket::{Endpoint, Role, connect};
use crate::tls::TestCertificate;
use crate::{config, http};
use anyhow::{Context as _, Result, bail, ensure};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where and what to start.
#[derive(Debug, Clone)]
pub(crate) struct ServerBin {
    /// The binary `parlour`.
    pub(crate) path: PathBuf,
    /// Where data directories are made: on a real disk.
    pub(crate) data_root: PathBuf,
}

impl ServerBin {
    /// Checks that the data directories will lie on a disk.
    ///
    /// # Errors
    /// When the folder lies in memory: an fsync there costs nothing, and every figure would be a lie.
    pub(crate) fn check(&self) -> Result<()> {
        std::fs::create_dir_all(&self.data_root)?;
        let root = self.data_root.canonicalize()?;
        let mounts = std::fs::read_to_string("/proc/mounts")?;
        let fields = mounts.lines().filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            Some((words.next()?, words.next()?))
        });
        let kind = fields.filter(|(at, _)| root.starts_with(at)).max_by_key(|(at, _)| at.len()).map(|(_, kind)| kind);
        if matches!(kind, Some("tmpfs" | "ramfs")) {
            bail!("{} is in memory ({}): choose another --data-root", root.display(), kind.unwrap_or_default());
        }
        Ok(())
    }
}

/// Plain or with TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// `ws://`
    Plain,
    /// `wss://` with a certificate of our own.
    Tls,
}

/// A data directory and, while it runs, the server on it. Killed and erased when dropped.
pub(crate) struct Server {
    bin: ServerBin,
    dir: TempDir,
    port: u16,
    transport: Transport,
    certificate: TestCertificate,
    child: Option<Child>,
    patience: Duration,
}

impl Server {
    /// A fresh data directory with a configuration whose rate limits are lifted; not started yet.
    ///
    /// # Errors
    /// When the directory cannot be written.
    pub(crate) fn prepare(bin: &ServerBin) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("parlour-load-").tempdir_in(&bin.data_root)?;
        let certificate = TestCertificate::make(dir.path())?;
        // A port that was free a moment ago; loopback only.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Ok(Self {
            bin: bin.clone(),
            dir,
            port,
            transport: Transport::Plain,
            certificate,
            child: None,
            patience: PATIENCE,
        })
    }

    /// Prepares and starts one, plain.
    ///
    /// # Errors
    /// As [`Server::prepare`] and [`Server::start`].
    pub(crate) fn fresh(bin: &ServerBin) -> Result<Self> {
        let mut server = Self::prepare(bin)?;
        server.start(Transport::Plain)?;
        Ok(server)
    }

    /// Lets a start take so long.
    pub(crate) fn be_patient(&mut self, patience: Duration) {
        self.patience = patience;
    }

    /// Starts it; gives the time from spawning to the first frame on the first connection.
    ///
    /// # Errors
    /// When it ends, or accepts nothing within 30 seconds (or what [`Server::be_patient`] says); its last words are in the error.
    pub(crate) fn start(&mut self, transport: Transport) -> Result<Duration> {
        self.stop()?;
        self.transport = transport;
        let data = self.data();
        config::write(&data, self.port, transport, &self.certificate)?;
        let log = std::fs::File::create(self.log())?;
        let started = Instant::now();
        let child = Command::new(&self.bin.path)
            .args(config::arguments(&data, self.port))
            // As `serve` logs.
            .env("RUST_LOG", "info")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("starting {}", self.bin.path.display()))?;
        self.child = Some(child);
        loop {
            if connect(&self.endpoint(), Role::Inbox).is_ok() {
                return Ok(started.elapsed());
            }
            let ended = self.child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || started.elapsed() > self.patience {
                bail!("the server did not come up: {ended:?}\n{}", std::fs::read_to_string(self.log())?);
            }
            std::thread::sleep(Duration::from_micros(200));
        }
    }

    /// Stops it by SIGTERM and waits.
    ///
    /// # Errors
    /// When it does not end within 20 seconds (then it is killed).
    pub(crate) fn stop(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        Command::new("kill").arg(child.id().to_string()).status().context("kill")?;
        let asked = Instant::now();
        while asked.elapsed() < Duration::from_secs(20) {
            if child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.kill()?;
        child.wait()?;
        bail!("the server did not stop within 20 s of SIGTERM")
    }

    /// Lets it stand still, with its sockets open, or go on.
    ///
    /// # Errors
    /// When it is not running.
    pub(crate) fn hold(&self, still: bool) -> Result<()> {
        let signal = if still { "-STOP" } else { "-CONT" };
        let sent = Command::new("kill").args([signal, &self.pid().to_string()]).status().context("kill")?;
        ensure!(sent.success(), "the server is not running");
        Ok(())
    }

    /// How clients reach it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        let tls = (self.transport == Transport::Tls).then(|| self.certificate.client());
        Endpoint { addr: self.addr(), tls, source: None }
    }

    /// As a shell takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// A folder beside the data directory, erased with it.
    pub(crate) fn scratch(&self) -> &Path {
        self.dir.path()
    }

    /// The process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().map_or(0, Child::id)
    }

    /// What it has used up to now.
    ///
    /// # Errors
    /// When it is not running.
    pub(crate) fn usage(&self) -> Result<Usage> {
        let io = std::fs::read_to_string(format!("/proc/{}/io", self.pid()))?;
        let count = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
        };
        Ok(Usage {
            cpu: cpu_of(self.pid())?,
            fsyncs: self.fsyncs(),
            written: count("wchar:"),
            writes: count("syscw:"),
            at: Instant::now(),
        })
    }

    /// Resident memory, bytes.
    ///
    /// # Errors
    /// When it is not running.
    pub(crate) fn rss_bytes(&self) -> Result<u64> {
        let rollup = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid()))?;
        let line = rollup.lines().find(|line| line.starts_with("Rss:")).context("no Rss in smaps_rollup")?;
        let kib: u64 = line.split_whitespace().nth(1).context("no number in Rss")?.parse()?;
        Ok(kib * 1024)
    }

    /// Waits until it does (almost) nothing any more.
    ///
    /// # Errors
    /// When it is not running, or still busy after 30 seconds.
    pub(crate) fn settle(&self) -> Result<()> {
        let from = Instant::now();
        let mut before = cpu_of(self.pid())?;
        while from.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(200));
            let now = cpu_of(self.pid())?;
            if now - before < Duration::from_millis(2) {
                return Ok(());
            }
            before = now;
        }
        bail!("the server was still busy after 30 s")
    }

    /// One value of `/metrics`; `None` if there is no such line (or TLS: nobody asks then).
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = http::get(self.addr(), "/metrics").ok()?;
        let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    fn fsyncs(&self) -> Option<f64> {
        config::FSYNC_METRICS.iter().find_map(|name| self.metric(name))
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The line of its log that says this, if it has said so.
    pub(crate) fn words(&self, says: &str) -> Option<String> {
        let log = std::fs::read_to_string(self.log()).ok()?;
        log.lines().find(|line| line.contains(says)).map(str::to_owned)
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
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

/// A reading of the server's meters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usage {
    cpu: Duration,
    fsyncs: Option<f64>,
    written: u64,
    writes: u64,
    at: Instant,
}

/// The difference of two readings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Used {
    /// User and system time of all the server's threads.
    pub(crate) cpu: Duration,
    /// Group commits, if the server counts them.
    pub(crate) fsyncs: Option<f64>,
    /// Bytes written to files.
    pub(crate) written: u64,
    /// Calls that wrote to files (and the few that wake a thread).
    pub(crate) writes: u64,
    /// Time between the readings.
    pub(crate) wall: Duration,
}

impl Usage {
    /// What was used from `earlier` to this reading.
    pub(crate) fn since(self, earlier: Usage) -> Used {
        Used {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            fsyncs: self.fsyncs.zip(earlier.fsyncs).map(|(now, then)| now - then),
            written: self.written - earlier.written,
            writes: self.writes - earlier.writes,
            wall: self.at - earlier.at,
        }
    }
}

impl Used {
    /// Microseconds of CPU for each of `count`.
    pub(crate) fn cpu_us_per(&self, count: u64) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count as f64
    }

    /// Each of `count`, in words.
    pub(crate) fn describe(&self, count: u64) -> String {
        let per = |value: f64| value / count as f64;
        let fsyncs = self.fsyncs.map_or("unknown".to_owned(), |fsyncs| format!("{:.3}", per(fsyncs)));
        format!(
            "{:.1} us of server CPU each, {:.0}/s, {fsyncs} fsyncs, {:.0} bytes in {:.2} writes each",
            self.cpu_us_per(count),
            count as f64 / self.wall.as_secs_f64(),
            per(self.written as f64),
            per(self.writes as f64)
        )
    }
}

/// User and system time of a process: the scheduler's nanoseconds of all its threads, or, when threads have ended,
/// the kernel's total in ticks of 10 ms, whichever is more.
///
/// # Errors
/// When there is no such process.
pub(crate) fn cpu_of(pid: u32) -> Result<Duration> {
    let mut ns = 0;
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).context("the server is gone")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        ns += text.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    }
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // Fields after the command's name, which may contain anything: utime and stime are the 12th and 13th there.
    let after = stat.rsplit(") ").next().unwrap_or_default();
    let ticks: u64 = after.split(' ').skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Ok(Duration::from_nanos(ns).max(Duration::from_millis(ticks * 10)))
}

/// CPU of this process, for the notes.
///
/// # Errors
/// When `/proc` is not there.
pub(crate) fn own_cpu() -> Result<Duration> {
    cpu_of(std::process::id())
}
