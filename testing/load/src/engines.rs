//! Real clients: engines with MLS state in homes on disk, run by the native shell, over the same server. They keep the
//! replayed ciphertext of the synthetic devices honest: what they write is encrypted, decrypted, and compared.

use crate::device;
use crate::process::Server;
use crate::socket::Endpoint;
use anyhow::{Context as _, Result, anyhow, bail, ensure};
use parlour_client::api::{Body, ConversationId, Event, Intent, MessageState, Proof, Reply, Target};
use parlour_proto::frames::AppId;
use parlour_shell::{Events, Home, Runner, Unlock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long anything of a client may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pairs of real clients beside the load, and how often each writes.
const PAIRS: usize = 2;
const PAUSE: Duration = Duration::from_millis(100);

/// One client, signed up and online.
pub(crate) struct Client {
    runner: Runner,
    events: Events,
    /// How others reach it.
    pub(crate) address: String,
}

impl Client {
    /// Makes a home in `path`, signs up on the phone app and waits until it is online. Reports are off: every message
    /// is one message.
    ///
    /// # Errors
    /// When the server or the engine refuses.
    pub(crate) async fn sign_up(to: &Endpoint, url: &str, app: &AppId, path: &Path) -> Result<Self> {
        let Self { runner, events, .. } = Self::start(url, path).await?;
        let handle = device::fresh_number();
        runner.intent(Intent::RequestCode { app: app.clone(), handle: handle.clone() }).await?;
        let code = device::code_for(to, &handle)?;
        let sign_up = Intent::SignUp { app: app.clone(), handle, proof: Proof::Code(code) };
        let Reply::SignedUp { address, .. } = runner.intent(sign_up).await? else {
            bail!("signing up gave no address")
        };
        runner.intent(Intent::SetReports { delivered: false, read: false, typing: false }).await?;
        runner.intent(Intent::Sync).await?;
        Ok(Self { runner, events, address })
    }

    /// Starts a client on an empty home.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) async fn start(url: &str, path: &Path) -> Result<Self> {
        let home = Home::open_or_make(path, &Unlock::KeyFile, "parlour-load")?;
        let (runner, events) = Runner::start(&home, parlour_shell::Endpoint::parse(url, None)?).await?;
        Ok(Self { runner, events, address: String::new() })
    }

    /// For anything else.
    pub(crate) fn runner(&self) -> &Runner {
        &self.runner
    }

    /// Waits until it is in a group.
    ///
    /// # Errors
    /// When that does not come in time.
    pub(crate) async fn group(&mut self, title: &str) -> Result<ConversationId> {
        self.until(|event| match event {
            Event::Conversation(c) => (c.is_group && c.title == title).then_some(c.id),
            _ => None,
        })
        .await
    }

    /// Writes; the conversation it went to.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn send(&self, to: Target, text: String) -> Result<ConversationId> {
        match self.runner.intent(Intent::Send { to, body: Body::Text { text, in_reply_to: None, timer: None } }).await?
        {
            Reply::Queued { conversation, .. } => Ok(conversation),
            other => bail!("sending gave {other:?}"),
        }
    }

    /// Waits for a request; its conversation.
    ///
    /// # Errors
    /// When none comes in time.
    pub(crate) async fn request(&mut self) -> Result<ConversationId> {
        self.until(|event| match event {
            Event::Request(request) => Some(request.id),
            _ => None,
        })
        .await
    }

    /// Waits for a message from somebody else that says `text`.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(crate) async fn message(&mut self, text: &str) -> Result<ConversationId> {
        self.until(|event| match event {
            Event::Message { conversation, message } => {
                (message.state == MessageState::Received && message.text == text).then_some(conversation)
            }
            _ => None,
        })
        .await
    }

    /// Drops the events that wait.
    pub(crate) fn forget_events(&mut self) {
        while self.events.try_recv().is_some() {}
    }

    /// Ends it.
    pub(crate) async fn stop(self) {
        self.runner.stop().await;
    }

    /// Waits for an event.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(Event) -> Option<T>) -> Result<T> {
        let find = async {
            loop {
                let event = self.events.recv().await.context("the client ended")?;
                if let Some(found) = wanted(event) {
                    return Ok(found);
                }
            }
        };
        tokio::time::timeout(PATIENCE, find).await.context("a client waited in vain")?
    }
}

/// A runtime for real clients: one thread.
///
/// # Errors
/// When the system gives none.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// Pairs of real clients that write to each other until told to stop.
pub(crate) struct Sample {
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Sample {
    /// Signs them up and returns when their conversations are open.
    ///
    /// # Errors
    /// When that fails.
    pub(crate) fn start(server: &Server) -> Result<Self> {
        let (read, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (ready, is_ready) = channel();
        let (to, url, homes) = (server.endpoint(), server.url(), server.scratch().join("homes"));
        let (counter, flag) = (read.clone(), stop.clone());
        let body = move || runtime()?.block_on(talk(to, url, homes, counter, flag, ready));
        let thread = std::thread::Builder::new().name("engines".to_owned()).spawn(body)?;
        let sample = Self { read, stop, thread };
        match is_ready.recv() {
            Ok(()) => Ok(sample),
            Err(_) => Err(sample.finish().err().unwrap_or_else(|| anyhow!("the clients did not start"))),
        }
    }

    /// Messages written, decrypted by the other side and found to say what was written.
    pub(crate) fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Stops them; how many messages were read in all.
    ///
    /// # Errors
    /// When a client failed, or a message did not come.
    pub(crate) fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the clients' thread panicked"))?.context("the real clients")?;
        Ok(self.read.load(Ordering::Relaxed))
    }
}

async fn talk(
    to: Endpoint,
    url: String,
    homes: PathBuf,
    read: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    ready: Sender<()>,
) -> Result<()> {
    let app = device::phone_app(&to)?;
    let mut pairs = Vec::new();
    for pair in 0..PAIRS {
        let writer = Client::sign_up(&to, &url, &app, &homes.join(format!("{pair}-writer"))).await?;
        let mut reader = Client::sign_up(&to, &url, &app, &homes.join(format!("{pair}-reader"))).await?;
        let conversation = writer.send(Target::Address(reader.address.clone()), "may I?".to_owned()).await?;
        let request = reader.request().await?;
        reader.runner.intent(Intent::Accept { request }).await?;
        pairs.push((writer, reader, conversation));
    }
    let _ = ready.send(());
    drop(ready);
    for number in 0u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        for (writer, reader, conversation) in &mut pairs {
            let text = format!("message {number}: {}", "x".repeat(280));
            writer.send(Target::Conversation(*conversation), text.clone()).await?;
            reader.message(&text).await?;
            writer.forget_events();
            read.fetch_add(1, Ordering::Relaxed);
        }
    }
    for (writer, reader, _) in pairs {
        let Reply::Status(status) = reader.runner.intent(Intent::Status).await? else { bail!("no status") };
        ensure!(status.unreadable == 0, "a real client could not read {} messages", status.unreadable);
        writer.stop().await;
        reader.stop().await;
    }
    Ok(())
}
