//! Somebody without a browser: the binary's own client (`client run --json`, docs/cli.md), for the other side of a
//! conversation.

use crate::{PASSWORD, Person, Server};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::process::{Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const GROUPS_AT_ONCE: usize = 20;

/// How long anything of a native client may take.
const PATIENCE: Duration = Duration::from_secs(240);

/// A client, signed up and connected; killed when dropped.
pub struct Native {
    /// How others reach it.
    pub address: String,
    commands: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    /// Conversations that are open.
    open: HashSet<String>,
    /// Own messages that the server has.
    sent: HashSet<String>,
    /// Others' texts, with the account they came from.
    heard: HashMap<String, String>,
    _home: TempDir,
    _child: Child,
}

impl Native {
    /// Signs up on an app with passwords (`den`, `porch`) and connects.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn sign_up(server: &Server, app: &str, handle: &str) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let password = home.path().join("password");
        tokio::fs::write(&password, PASSWORD).await?;
        let client = || -> Result<Command> {
            let mut command = Command::new(crate::server::binary()?);
            command.args(["client", "--json", "--home"]).arg(home.path().join("home")).kill_on_drop(true);
            Ok(command)
        };
        let url = format!("http://127.0.0.1:{}", server.port);
        let mut sign_up = client()?;
        sign_up.args(["sign-up", "--server", &url, "--app", app, "--handle", handle, "--password-file"]).arg(&password);
        succeeded(&sign_up.output().await?)?;
        let mut child = client()?.arg("run").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let commands = child.stdin.take().context("no input")?;
        let lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let (open, sent, heard) = (HashSet::new(), HashSet::new(), HashMap::new());
        let address = format!("{handle}@{app}");
        let mut native = Self { address, commands, lines, open, sent, heard, _home: home, _child: child };
        native.do_all(vec![json!({ "do": "set_name", "name": handle })]).await?;
        Ok(native)
    }

    /// Writes the first words to somebody, who gets them as a request; gives the conversation.
    ///
    /// # Errors
    /// When there is nobody.
    pub async fn write_first(&mut self, to: &str, text: &str) -> Result<String> {
        let done = self.do_all(vec![json!({ "do": "send", "to": to, "text": text })]).await?;
        Ok(done[0]["conversation"].as_str().context("no conversation")?.to_owned())
    }

    /// Waits until the other side has accepted.
    ///
    /// # Errors
    /// When it does not.
    pub async fn accepted(&mut self, conversation: &str) -> Result<()> {
        let wait = async {
            while !self.open.contains(conversation) {
                self.next().await?;
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, wait).await.context("nobody accepts")?
    }

    /// Waits until somebody writes this; gives their account.
    ///
    /// # Errors
    /// When nobody does.
    pub async fn heard(&mut self, text: &str) -> Result<String> {
        let wait = async {
            loop {
                if let Some(account) = self.heard.get(text) {
                    return Ok(account.clone());
                }
                self.next().await?;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.with_context(|| format!("nobody writes {text:?}"))?
    }

    /// Ned on Den, who talks with her: she has accepted him and is back at her list. Gives the conversation's id on his side.
    ///
    /// # Errors
    /// When a step does not come to its end.
    pub async fn friend_of(server: &Server, her: &Person) -> Result<(Self, String)> {
        let mut ned = Self::sign_up(server, "den", "ned").await?;
        let conversation = ned.write_first(&her.address, "Hello Ana").await?;
        her.accept().await?;
        ned.accepted(&conversation).await?;
        her.go("#/").await?;
        Ok((ned, conversation))
    }

    /// Writes texts into a conversation, as fast as it goes, and waits until the server has all of them.
    ///
    /// # Errors
    /// When one is refused, or the server does not take them in time.
    pub async fn say_all(&mut self, conversation: &str, texts: impl IntoIterator<Item = String>) -> Result<()> {
        let send = |text| json!({ "do": "send", "to": conversation, "text": text });
        self.send_all(texts.into_iter().map(send).collect()).await
    }

    /// Makes groups with somebody who is a contact, and writes one message into each; not all at once, as nobody does.
    ///
    /// # Errors
    /// When the server refuses.
    pub async fn make_groups(&mut self, with: &str, titles: &[String]) -> Result<()> {
        for some in titles.chunks(GROUPS_AT_ONCE) {
            self.make_some_groups(with, some).await?;
        }
        Ok(())
    }

    async fn make_some_groups(&mut self, with: &str, titles: &[String]) -> Result<()> {
        let make = |title: &String| json!({ "do": "group_create", "title": title, "members": [with] });
        self.do_all(titles.iter().map(make).collect()).await?;
        let greet = |title: &String| json!({ "do": "send", "to": title, "text": format!("Welcome to {title}") });
        self.send_all(titles.iter().map(greet).collect()).await
    }

    async fn send_all(&mut self, commands: Vec<Value>) -> Result<()> {
        let done = self.do_all(commands).await?;
        let messages: Vec<&str> = done.iter().filter_map(|ok| ok["message"].as_str()).collect();
        let wait = async {
            for message in &messages {
                while !self.sent.contains(*message) {
                    self.next().await?;
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, wait).await.context("the server has not taken all messages")?
    }

    /// Hands over all commands while it reads what comes; gives their results in order.
    async fn do_all(&mut self, commands: Vec<Value>) -> Result<Vec<Value>> {
        let mut results = vec![None; commands.len()];
        let mut input = Vec::new();
        for (id, mut command) in commands.into_iter().enumerate() {
            command["id"] = json!(id);
            serde_json::to_writer(&mut input, &command)?;
            input.push(b'\n');
        }
        let (mut written, mut missing) = (0, results.len());
        let wait = async {
            while missing > 0 {
                // Whoever only writes would wait for one who only writes, too: both ends have a full pipe then.
                let line = tokio::select! {
                    line = self.lines.next_line() => line?,
                    more = self.commands.write(&input[written..]), if written < input.len() => {
                        written += more?;
                        continue;
                    }
                };
                let told = self.hear(&line.context("the native client ended")?)?;
                if told["type"] == "result" {
                    ensure!(told["error"].is_null(), "the native client failed: {}", told["error"]);
                    let id = told["id"].as_u64().and_then(|id| usize::try_from(id).ok()).context("no number")?;
                    *results.get_mut(id).context("no such command")? = Some(told["ok"].clone());
                    missing -= 1;
                }
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, wait).await.context("the native client takes too long")??;
        results.into_iter().collect::<Option<_>>().context("an answer is missing")
    }

    async fn next(&mut self) -> Result<()> {
        let line = self.lines.next_line().await?.context("the native client ended")?;
        self.hear(&line).map(drop)
    }

    fn hear(&mut self, line: &str) -> Result<Value> {
        let told: Value = serde_json::from_str(line)?;
        let id = |what: &Value| what["id"].as_str().unwrap_or_default().to_owned();
        let (message, conversation) = (&told["message"], &told["conversation"]);
        match told["type"].as_str() {
            Some("message") if message["from"].is_null() && message["state"] != "queued" => {
                self.sent.insert(id(message));
            }
            Some("message") => {
                let from = message["from"].as_str().zip(message["text"].as_str());
                self.heard.extend(from.map(|(from, text)| (text.to_owned(), from.to_owned())));
            }
            Some("conversation") if conversation["state"] == "open" => {
                self.open.insert(id(conversation));
            }
            _ => {}
        }
        Ok(told)
    }
}

fn succeeded(output: &Output) -> Result<()> {
    if !output.status.success() {
        bail!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
