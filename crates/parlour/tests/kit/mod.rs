//! The built binary, driven as a person or a script would: processes, files, exit codes. States are waited for, never slept.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn parlour() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parlour"));
    command.env_remove("PARLOUR_HOME").env_remove("PARLOUR_PASSPHRASE_FILE").env_remove("RUST_LOG");
    command
}

/// What a command left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The same, if it ended with this code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        self.with_code(0)
    }

    /// The JSON objects on stdout.
    #[track_caller]
    pub(crate) fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
    }

    /// The `ok` of the only result.
    #[track_caller]
    pub(crate) fn result(&self) -> Value {
        let lines = self.lines();
        let results: Vec<_> = lines.iter().filter(|line| line["type"] == "result").collect();
        assert_eq!(results.len(), 1, "{self:#?}");
        results[0]["ok"].clone()
    }

    /// The `error` of the last line.
    #[track_caller]
    pub(crate) fn error(&self) -> Value {
        self.lines().last().map(|line| line["error"].clone()).unwrap_or_default()
    }
}

pub(crate) fn end(mut command: Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    Ended { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// A server as `parlour up` starts it.
pub(crate) struct Server {
    pub(crate) dir: TempDir,
    pub(crate) url: String,
    child: Child,
}

impl Server {
    pub(crate) fn up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (child, url) = start(&dir.path().join("data"), 0);
        Self { dir, url, child }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn port(&self) -> u16 {
        self.url.rsplit(':').next().unwrap().trim_end_matches('/').parse().unwrap()
    }

    /// Asks it to end and waits; gives its exit code.
    pub(crate) fn stop(&mut self) -> i32 {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Starts it again on the same data and port.
    pub(crate) fn start_again(&mut self) {
        let (child, url) = start(&self.data(), self.port());
        assert_eq!(url, self.url);
        self.child = child;
    }

    /// The newest code for a number, from the development outbox.
    pub(crate) fn code(&self, number: &str) -> String {
        let outbox: Value = serde_json::from_str(&self.get("/dev/outbox?format=json")).unwrap();
        let messages = outbox.as_array().or_else(|| outbox["messages"].as_array()).unwrap();
        let newest = messages.iter().rev().find(|message| message["to"] == number);
        newest.unwrap_or_else(|| panic!("no code for {number}"))["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts `up` and reads from what it prints where it is.
fn start(data: &Path, port: u16) -> (Child, String) {
    let mut command = parlour();
    command.arg("up").arg("--data").arg(data).args(["--port", &port.to_string()]);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = loop {
        let line = lines.next().expect("up says where it is before it ends").unwrap();
        let found = line.split_whitespace().find(|word| word.starts_with("http://127.0.0.1:"));
        if let Some(url) = found {
            break url.trim_end_matches('/').to_owned();
        }
    };
    // Whatever else it prints must not fill the pipe.
    std::thread::spawn(move || lines.for_each(drop));
    (child, url)
}

/// Somebody with a home.
pub(crate) struct Person {
    pub(crate) home: PathBuf,
}

impl Person {
    pub(crate) fn new(server: &Server, name: &str) -> Self {
        Self { home: server.dir.path().join("homes").join(name) }
    }

    /// Signs up with a phone number, as a script does: once for the code, once with it.
    pub(crate) fn with_number(server: &Server, name: &str, number: &str) -> Self {
        let person = Self::new(server, name);
        let sign_up = ["sign-up", "--server", &server.url, "--app", "bell", "--handle", number];
        let first = person.run(&sign_up).with_code(3);
        assert!(first.stderr.contains("--code"), "{first:?}");
        let code = server.code(number);
        person.run(&[&sign_up[..], &["--code", &code]].concat()).ok();
        person
    }

    /// Signs up with a password in a file.
    pub(crate) fn with_password(server: &Server, app: &str, name: &str) -> Self {
        let person = Self::new(server, name);
        let file = person.password_file(server, name);
        let sign_up = ["sign-up", "--server", &server.url, "--app", app, "--handle", name, "--password-file", &file];
        person.run(&sign_up).ok();
        person
    }

    pub(crate) fn password_file(&self, server: &Server, name: &str) -> String {
        let file = server.dir.path().join(format!("{name}.password"));
        std::fs::write(&file, format!("password of {name}\n")).unwrap();
        file.to_str().unwrap().to_owned()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = parlour();
        command.args(["client", "--home"]).arg(&self.home).args(args);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        end(self.command(args))
    }

    /// The same with `--json`.
    pub(crate) fn json(&self, args: &[&str]) -> Ended {
        self.run(&[args, &["--json"]].concat())
    }

    /// The address, as `whoami` says it.
    pub(crate) fn address(&self) -> String {
        self.json(&["whoami"]).ok().result()["identities"][0]["address"].as_str().unwrap().to_owned()
    }

    /// Texts of others in the conversation, oldest first.
    pub(crate) fn read(&self, conversation: &str) -> Vec<String> {
        let read = self.json(&["read", conversation]).ok();
        let texts =
            read.lines().into_iter().filter(|line| line["type"] == "message" && !line["message"]["from"].is_null());
        texts.map(|line| line["message"]["text"].as_str().unwrap().to_owned()).collect()
    }

    /// Repeats a command until its output fits.
    #[track_caller]
    pub(crate) fn until<T>(&self, args: &[&str], wanted: impl Fn(&Ended) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        loop {
            let ended = self.json(args).ok();
            if let Some(found) = wanted(&ended) {
                return found;
            }
            assert!(Instant::now() < until, "{args:?} waited in vain: {ended:#?}");
        }
    }

    /// The id of the only request.
    pub(crate) fn request(&self) -> String {
        self.until(&["requests"], |ended| Some(ended.lines().first()?["request"]["id"].as_str()?.to_owned()))
    }

    /// Starts `run --json`.
    pub(crate) fn bot(&self) -> Bot {
        let mut command = self.command(&["run", "--json"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (tell, told) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let Ok(line) = line else { return };
                if tell.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        Bot { stdin: child.stdin.take(), child, told, next: 0 }
    }
}

/// A running `run --json`.
pub(crate) struct Bot {
    child: Child,
    stdin: Option<ChildStdin>,
    told: Receiver<Value>,
    next: u64,
}

impl Bot {
    /// Writes a line.
    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Gives a command and waits for its result; what else comes meanwhile is skipped.
    #[track_caller]
    pub(crate) fn ask(&mut self, mut command: Value) -> Value {
        self.next += 1;
        let id = self.next;
        command["id"] = id.into();
        self.tell(&command.to_string());
        self.until(|line| line["type"] == "result" && line["id"] == id)
    }

    /// Waits for a line.
    #[track_caller]
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.told.recv_timeout(left) {
                Ok(line) if wanted(&line) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("{error}, after {seen:#?}"),
            }
        }
    }

    /// Ends stdin and waits; gives what else it said, and the exit code.
    pub(crate) fn finish(mut self) -> (Vec<Value>, i32) {
        drop(self.stdin.take());
        let rest = self.told.iter().collect();
        (rest, self.child.wait().unwrap().code().unwrap_or(-1))
    }

    /// Ends it as a power cut would.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Bot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
