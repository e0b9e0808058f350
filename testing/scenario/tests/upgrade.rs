//! What an earlier version left on disk, opened by this one: sets of a server's data and of homes, as that version made them, in
//! `fixtures/VERSION.tar.gz`. Each is opened at its own time, by the built binary under a clock that the test sets, so that nothing in it has
//! expired in the year in which the test runs.
//!
//! A new set, when a version is about to be released:
//! `cargo test -p parlour-scenario --test upgrade -- --ignored makes_a_set_of_this_version`

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use parlour_client::api::{ConversationId, Intent, Reply, Target};
use parlour_proto::frames::{PROTOCOL_VERSION, Push, ServerFrame};
use parlour_proto::wire::encode_server;
use parlour_scenario::PATIENCE;
use parlour_scenario::binary::parlour;
use parlour_scenario::person::{Person, Place, befriend, talk};
use parlour_scenario::process::{Circumstances, Clock, Server, copy_dir};
use parlour_scenario::site::config;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::Message;

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;
/// Stands for the data directory in the configuration of a set.
const DATA: &str = "@DATA@";
/// What a set holds of the data directory and of a home; the rest is made anew.
const KEPT: [&str; 9] =
    ["store.db", "store.db-wal", "keys", "home", "key", "server", "rows.db", "rows.db-wal", "rows.page"];
const PEOPLE: [&str; 3] = ["ada", "ben", "dan"];

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

fn sets() -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(fixtures()).context("no sets at all")? {
        all.push(entry?.path());
    }
    all.sort();
    Ok(all)
}

fn tar(how: &[&str], archive: &Path, dir: &Path, what: &[&str]) -> Result<()> {
    let status = Command::new("tar").args(how).arg(archive).arg("-C").arg(dir).args(what).status().context("tar")?;
    ensure!(status.success(), "tar {how:?} {}", archive.display());
    Ok(())
}

/// A copy of a set, its server running on it, at a time after it was made.
struct Opened {
    server: Server,
    clock: Clock,
    told: Value,
}

impl Opened {
    fn at(set: &Path, later_s: i64) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        tar(&["-xzf"], set, dir.path(), &[])?;
        let told: Value = serde_json::from_slice(&std::fs::read(dir.path().join("set.json"))?)?;
        let clock = Clock::make(dir.path())?;
        let made_s = told["made_ms"].as_i64().context("when it was made")? / 1_000;
        clock.set_ahead(made_s + later_s - i64::try_from(parlour_shell::clock::now().seconds())?)?;
        let data = dir.path().join("data");
        let path = data.join("parlour.toml");
        let config = std::fs::read_to_string(&path)?;
        std::fs::write(&path, config.replace(DATA, data.to_str().context("a path")?))?;
        let circumstances = Circumstances { environment: clock.environment().to_vec(), ..Circumstances::default() };
        let server = Server::up_on(dir, data, circumstances)?;
        let opened = Self { server, clock, told };
        for name in PEOPLE {
            std::fs::write(opened.home(name).join("server"), format!("{}\n", opened.server.site().url()))?;
        }
        Ok(opened)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.server.scratch().join("homes").join(name)
    }

    fn parlour(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(parlour()?);
        command.args(args).envs(self.clock.environment()).stdin(Stdio::null());
        Ok(command)
    }

    /// What `parlour client` prints as somebody, and how it ends.
    fn run(&self, name: &str, args: &[&str]) -> Result<(Vec<Value>, i32)> {
        let mut command = self.parlour(&["client", "--json", "--home"])?;
        let output = command.arg(self.home(name)).args(args).output()?;
        let lines = String::from_utf8(output.stdout)?;
        let lines = lines.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>()?;
        Ok((lines, output.status.code().unwrap_or(-1)))
    }

    fn done(&self, name: &str, args: &[&str]) -> Result<Vec<Value>> {
        match self.run(name, args)? {
            (lines, 0) => Ok(lines),
            (lines, code) => bail!("{name} {args:?} ended with {code}: {lines:#?}"),
        }
    }

    fn conversation(&self, name: &str, which: &str) -> Result<&str> {
        self.told["conversations"][name][which].as_str().with_context(|| format!("{which} of {name}"))
    }

    /// All texts of a conversation, own and others', oldest first.
    fn texts(&self, name: &str, conversation: &str) -> Result<Vec<String>> {
        let (lines, _) = self.run(name, &["read", conversation])?;
        let texts = lines.iter().filter_map(|line| line["message"]["text"].as_str());
        Ok(texts.map(str::to_owned).collect())
    }

    /// Reads until a text is there; all of them, each of which must be there once.
    fn until(&self, name: &str, conversation: &str, text: &str) -> Result<Vec<String>> {
        let end = Instant::now() + PATIENCE;
        loop {
            let texts = self.texts(name, conversation)?;
            if texts.iter().any(|there| there == text) {
                let again = texts.iter().enumerate().find(|(at, there)| texts[..*at].contains(there));
                ensure!(again.is_none_or(|(_, there)| there.is_empty()), "{name} sees {again:?} twice: {texts:?}");
                return Ok(texts);
            }
            ensure!(Instant::now() < end, "{name} waits in vain for {text:?}: {texts:?}");
        }
    }

    fn words(&self, of: &str, which: &str) -> Result<Vec<String>> {
        let list = self.told[of][which].as_array().with_context(|| format!("{of} {which}"))?;
        Ok(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
    }
}

#[test]
fn sets_of_earlier_versions_are_read_and_people_write_on() -> Result<()> {
    let sets = sets()?;
    ensure!(!sets.is_empty(), "no set: the test shows nothing");
    for set in sets {
        goes_on(&set).with_context(|| format!("the set {}", set.display()))?;
    }
    Ok(())
}

fn goes_on(set: &Path) -> Result<()> {
    let mut opened = Opened::at(set, HOUR_S)?;
    // Without a server: what was there is there.
    opened.server.kill()?;
    for name in ["ada", "ben"] {
        for which in ["direct", "group"] {
            let texts = opened.texts(name, opened.conversation(name, which)?)?;
            let said = opened.words("said", which)?;
            ensure!(said.iter().all(|text| texts.contains(text)), "{name} reads {texts:?}, not {said:?}");
        }
    }
    opened.server.start()?;

    // What waited at the server comes, what waited in a home goes.
    let waiting = opened.words("waiting", "ada")?;
    for text in &waiting {
        opened.until("ada", opened.conversation("ada", "direct")?, text)?;
    }
    opened.run("ben", &["read", opened.conversation("ben", "direct")?])?;
    for text in opened.words("queued", "ben")? {
        opened.until("ada", opened.conversation("ada", "direct")?, &text)?;
    }

    // The request is accepted, and both write.
    let requests = opened.done("ada", &["requests"])?;
    let request = requests[0]["request"]["id"].as_str().context("a request")?.to_owned();
    ensure!(requests[0]["request"]["text"] == opened.told["request"], "{requests:?}");
    opened.done("ada", &["accept", &request])?;
    opened.done("ada", &["send", &request, "accepted by the new one"])?;
    let dans = opened.conversation("dan", "direct")?.to_owned();
    opened.until("dan", &dans, "accepted by the new one")?;
    opened.done("dan", &["send", &dans, "dan by the new one"])?;
    opened.until("ada", &request, "dan by the new one")?;

    for which in ["direct", "group"] {
        for (from, to) in [("ada", "ben"), ("ben", "ada")] {
            let text = format!("{which} of {from} by the new one");
            opened.done(from, &["send", opened.conversation(from, which)?, &text])?;
            opened.until(to, opened.conversation(to, which)?, &text)?;
        }
    }
    // A group made by the new one, of people with key packages of then.
    let ada = opened.told["addresses"]["ada"].as_str().context("an address")?.to_owned();
    opened.done("ben", &["group", "create", "Made later", &ada])?;
    opened.done("ben", &["send", "Made later", "in a new group"])?;
    opened.until("ada", "Made later", "in a new group")?;

    for name in PEOPLE {
        let status = opened.done(name, &["status"])?;
        let ok = &status.last().context("a status")?["ok"];
        ensure!(ok["unreadable"] == 0 && ok["queued"] == 0, "{name}: {ok}");
    }
    let audit = opened.parlour(&["audit", "--json", "--data"])?.arg(opened.server.data()).output()?;
    ensure!(audit.status.success(), "{}", String::from_utf8_lossy(&audit.stderr));
    ensure!(opened.server.stop()? == 0, "it stops in order");
    let log = opened.server.log()?;
    ensure!(!log.contains("ERROR"), "an ERROR is a bug: {log}");
    Ok(())
}

/// Nothing waits any more, keys of days are destroyed, mailboxes closed; all of it opens all the same.
#[test]
fn sets_that_lay_for_three_years_open() -> Result<()> {
    for set in sets()? {
        let mut opened = Opened::at(&set, 3 * 365 * DAY_S)?;
        for name in PEOPLE {
            let (lines, code) = opened.run(name, &["status"])?;
            ensure!(code == 0, "{name} ended with {code}: {lines:#?}");
            ensure!(lines[0]["ok"]["unreadable"] == 0, "{name}: {lines:#?}");
        }
        // What lived a year is over, and nobody is shown it.
        let texts = opened.texts("ada", opened.conversation("ada", "direct")?)?;
        let said = opened.words("said", "direct")?;
        ensure!(!said.iter().any(|text| texts.contains(text)), "{texts:?}");
        ensure!(opened.server.stop()? == 0, "it stops in order");
        let log = opened.server.log()?;
        ensure!(!log.contains("ERROR"), "an ERROR is a bug: {log}");
    }
    Ok(())
}

/// A server that speaks a newer version says hello, and no more.
async fn newer_server(listener: tokio::net::TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let mut ws = tokio_tungstenite::accept_async(stream).await?;
        let time = parlour_shell::clock::now();
        let hello = Push::Hello { version: PROTOCOL_VERSION + 1, nonce: [7; 32], time };
        ws.send(Message::Binary(encode_server(&ServerFrame::Push(hello)))).await?;
        // Whatever the client says now, it should not have said.
        while let Some(Ok(message)) = ws.next().await {
            ensure!(!message.is_binary(), "a client of another version asks for something");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_older_than_its_server_is_told_to_update() -> Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let newer = tokio::spawn(newer_server(listener));
    let sets = sets()?;
    let opened = Opened::at(sets.last().context("a set")?, HOUR_S)?;
    std::fs::write(opened.home("ada").join("server"), format!("{url}\n"))?;
    let sent = opened.run("ada", &["send", opened.conversation("ada", "direct")?, "to the newer one"])?;
    ensure!(format!("{sent:?}").contains("please update the app"), "{sent:?}");
    ensure!(sent.1 == 6, "{sent:?}");
    ensure!(!newer.is_finished(), "{:?}", newer.await?);
    Ok(())
}

/// Copies what is kept of a directory.
fn keep(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for name in KEPT.iter().filter(|name| from.join(name).exists()) {
        let (from, to) = (from.join(name), to.join(name));
        if from.is_dir() {
            copy_dir(&from, &to)?;
        } else if std::fs::metadata(&from)?.len() > 0 {
            std::fs::copy(from, to)?;
        }
    }
    Ok(())
}

fn text_of(conversation: ConversationId) -> String {
    conversation.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "makes files that are committed, once for each version"]
async fn makes_a_set_of_this_version() -> Result<()> {
    let archive = fixtures().join(format!("{}.tar.gz", env!("CARGO_PKG_VERSION")));
    ensure!(!archive.exists(), "{} is there already, and is kept as it is", archive.display());
    let dir: TempDir = tempfile::tempdir()?;
    let data = dir.path().join("data");
    let mut server = Server::up_under(dir, data, &[], Circumstances::default())?;
    let (scratch, site) = (server.scratch().to_owned(), server.site());
    let place = |name: &str| Place::new(&scratch, name, site);
    let ada = Person::sign_up_small(&place("ada"), "den", "ada", "ada's password").await?;
    let ben = Person::sign_up_small(&place("ben"), "bell", "+493000000001", "").await?;
    let dan = Person::sign_up_small(&place("dan"), "porch", "dan", "dan's password").await?;
    ben.reachable_from("den").await?;
    ada.reachable_from("porch").await?;
    let (ab, ba) = befriend(&ada, &ben).await?;
    talk((&ada, ab), (&ben, ba), "direct").await?;
    let members = vec![Target::Address(ben.address.clone())];
    let made = ada.ask(Intent::CreateGroup { title: "Garden".to_owned(), members }).await?;
    let Reply::Conversation(group) = made else { bail!("{made:?}") };
    let bens_group = ben.until_conversation(|c| c.is_group).await?;
    talk((&ada, group.id), (&ben, bens_group), "group").await?;
    let (da, _) = dan.write(Target::Address(ada.address.clone()), "may I, too?").await?;
    ada.request().await?;
    dan.until_sent().await?;

    let addresses = json!({ "ada": ada.address, "ben": ben.address, "dan": dan.address });
    ada.stop().await;
    ben.say(ba, "waits at the server").await?;
    ben.until_sent().await?;
    ben.go_offline().await?;
    ben.say(ba, "waits in the home").await?;
    ben.stop().await;
    dan.stop().await;
    let made_ms = parlour_shell::clock::now().0;
    ensure!(server.stop()? == 0, "it stops in order");

    let told = json!({
        "made_ms": made_ms,
        "addresses": addresses,
        "conversations": {
            "ada": { "direct": text_of(ab), "group": text_of(group.id) },
            "ben": { "direct": text_of(ba), "group": text_of(bens_group) },
            "dan": { "direct": text_of(da) },
        },
        "said": { "direct": ["may I?", "direct one", "direct other"], "group": ["group one", "group other"] },
        "waiting": { "ada": ["waits at the server"] },
        "queued": { "ben": ["waits in the home"] },
        "request": "may I, too?",
    });
    let set = scratch.join("set");
    keep(server.data(), &set.join("data"))?;
    std::fs::write(set.join("data/parlour.toml"), config(Path::new(DATA), 0, &[]))?;
    for name in PEOPLE {
        keep(&place(name).home, &set.join("homes").join(name))?;
    }
    std::fs::write(set.join("set.json"), format!("{told:#}\n"))?;
    std::fs::create_dir_all(fixtures())?;
    tar(&["--owner=0", "--group=0", "--sort=name", "-czf"], &archive, &set, &["data", "homes", "set.json"])
}
