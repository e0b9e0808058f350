//! The built binary as a server process: started, killed, started again on the same data and port.

use crate::binary::parlour;
use crate::site::{Site, config};
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Who watches what is written, and what of it has reached the disk (`power/power.c`).
struct Power {
    library: PathBuf,
    image: PathBuf,
}

impl Power {
    fn watching(scratch: &Path, data: &Path) -> Result<Self> {
        let power = Self { library: preloaded(scratch, "power")?, image: scratch.join("image") };
        copy_dir(data, &power.image)?;
        Ok(power)
    }
}

/// Compiles one of `power/*.c` for preloading.
fn preloaded(scratch: &Path, name: &str) -> Result<PathBuf> {
    let library = scratch.join(format!("{name}.so"));
    let source = format!("{}/power/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut compiled = Command::new("cc");
    compiled.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source);
    ensure!(compiled.args(["-ldl", "-lpthread"]).status().context("cc")?.success(), "{name}.c does not compile");
    Ok(library)
}

/// Two numbers that preloaded code looks at: the test sets it while the process runs.
struct Dial {
    library: PathBuf,
    variable: &'static str,
    path: PathBuf,
    file: File,
}

impl Dial {
    fn make(scratch: &Path, name: &str, variable: &'static str) -> Result<Self> {
        std::fs::create_dir_all(scratch)?;
        let library = preloaded(scratch, name)?;
        let path = scratch.join(format!("{name}.dial"));
        let file = File::create(&path)?;
        let dial = Self { library, variable, path, file };
        dial.set(0, 0)?;
        dial.set(1, 0)?;
        Ok(dial)
    }

    fn set(&self, place: u64, value: i64) -> Result<()> {
        Ok(self.file.write_all_at(&value.to_ne_bytes(), 8 * place)?)
    }

    fn preload(&self) -> [(&'static str, OsString); 2] {
        [("LD_PRELOAD", self.library.clone().into()), (self.variable, self.path.clone().into())]
    }
}

/// The time of processes: the machine's, moved by a test (`power/clock.c`).
pub struct Clock(Dial);

impl Clock {
    /// A clock that shows the machine's time; its files are in `scratch`.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub fn make(scratch: &Path) -> Result<Self> {
        Ok(Self(Dial::make(scratch, "clock", "PARLOUR_CLOCK")?))
    }

    /// Sets the time of day so many seconds ahead of the machine's (behind, if negative), for processes that run, too; timers
    /// do not see it.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set_ahead(&self, seconds: i64) -> Result<()> {
        self.0.set(0, seconds)
    }

    /// Lets so much time pass, since it was made: for the time of day, and for timers.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn pass(&self, seconds: i64) -> Result<()> {
        self.0.set(1, seconds)?;
        self.0.set(0, seconds)
    }

    /// What makes a command live by it.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        self.0.preload()
    }
}

/// A disk whose syncs take longer (`power/slow.c`).
pub struct SlowDisk(Dial);

impl SlowDisk {
    /// One as fast as it is; its files are in `scratch`.
    ///
    /// # Errors
    /// When there is no C compiler.
    pub fn make(scratch: &Path) -> Result<Self> {
        Ok(Self(Dial::make(scratch, "slow", "PARLOUR_SLOW")?))
    }

    /// Lets each sync take so many milliseconds more.
    ///
    /// # Errors
    /// When its file cannot be written.
    pub fn set_late(&self, milliseconds: i64) -> Result<()> {
        self.0.set(0, milliseconds)
    }

    /// What makes a command write to it.
    pub fn environment(&self) -> [(&'static str, OsString); 2] {
        self.0.preload()
    }
}

/// Under what a server runs, beside its configuration.
#[derive(Default)]
pub struct Circumstances {
    /// Environment variables.
    pub environment: Vec<(&'static str, OsString)>,
    /// How many descriptors it may have open.
    pub descriptors: Option<u64>,
    /// Its log level instead of `trace`, which takes its time and its room.
    pub log: Option<&'static str>,
}

/// Copies a directory with all that is in it.
///
/// # Errors
/// When it cannot be read or written.
pub fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// A data directory and, while it runs, the server on it. Killed and erased when dropped.
pub struct Server {
    dir: TempDir,
    data: PathBuf,
    site: Option<Site>,
    child: Option<Child>,
    starts: u32,
    power: Option<Power>,
    circumstances: Circumstances,
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
        Self::up_under(dir, data, limits, Circumstances::default())
    }

    /// The same under circumstances.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up_under(dir: TempDir, data: PathBuf, limits: &[(&str, u64)], circumstances: Circumstances) -> Result<Self> {
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("parlour.toml"), config(&data, 0, limits))?;
        Self::up_on(dir, data, circumstances)
    }

    /// One on a data directory that is there, with its configuration.
    ///
    /// # Errors
    /// When it does not start.
    pub fn up_on(dir: TempDir, data: PathBuf, circumstances: Circumstances) -> Result<Self> {
        let mut server = Self { dir, data, site: None, child: None, starts: 0, power: None, circumstances };
        server.start()?;
        Ok(server)
    }

    /// One whose power can be cut: what it writes is watched, and what was not synced is lost ([`Self::cut_power`]).
    ///
    /// # Errors
    /// When it does not start, or there is no C compiler.
    pub fn up_on_power() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let data = dir.path().join("data");
        std::fs::create_dir_all(&data)?;
        std::fs::write(data.join("parlour.toml"), config(&data, 0, &[]))?;
        let power = Some(Power::watching(dir.path(), &data)?);
        let mut server =
            Self { dir, data, site: None, child: None, starts: 0, power, circumstances: Circumstances::default() };
        server.start()?;
        Ok(server)
    }

    /// Ends it as a power cut would: on the disk is what was synced, and nothing else.
    ///
    /// # Errors
    /// When it has ended already, or nobody watched what it wrote.
    pub fn cut_power(&mut self) -> Result<()> {
        self.kill()?;
        let power = self.power.as_ref().context("a server whose writing is watched")?;
        std::fs::remove_dir_all(&self.data)?;
        copy_dir(&power.image, &self.data)
    }

    /// Starts it (again), on the port it had before.
    ///
    /// # Errors
    /// When it does not start; what it said is in the error.
    pub fn start(&mut self) -> Result<()> {
        self.starts += 1;
        let port = self.site.map_or(0, |site| site.addr.port());
        let mut command = match self.circumstances.descriptors {
            None => Command::new(parlour()?),
            Some(most) => {
                // Of the limits of a child process the standard library knows nothing; a shell does.
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]).arg(parlour()?);
                shell
            }
        };
        command.arg("up").arg("--data").arg(&self.data).args(["--port", &port.to_string()]);
        command.env("RUST_LOG", self.circumstances.log.unwrap_or("trace")).env("NO_COLOR", "1");
        command.envs(self.circumstances.environment.iter().cloned());
        if let Some(power) = &self.power {
            command.env("LD_PRELOAD", &power.library);
            command.env("PARLOUR_POWER_FROM", &self.data).env("PARLOUR_POWER_TO", &power.image);
        }
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

    /// Ends it by SIGKILL: what it wrote is there, synced or not.
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

    /// How long it has worked: user and system time of all its threads.
    ///
    /// # Errors
    /// When it does not run.
    pub fn cpu(&self) -> Result<Duration> {
        let pid = self.child.as_ref().context("the server runs")?.id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // Behind the command's name, which may contain anything, utime and stime are the 12th and 13th; ticks of 10 ms.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        let ticks = after.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
        Ok(Duration::from_millis(ticks * 10))
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
