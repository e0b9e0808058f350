//! A client that dies between any two writes: what it said was stored arrives once, and nothing arrives twice.
//!
//! Real engines and sockets; the server runs in this process on a store in memory. Each round lets the sender's rows fail at
//! one transaction: before it is written (the process died earlier) or just after (it died before sending or telling).
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use parlour_client::api::{Body, Changes, Event, Intent, Proof, Reply, Status, Target};
use parlour_proto::frames::AppId;
use parlour_server::config::Config;
use parlour_server::keys::Keys;
use parlour_server::net::{self, RunningServer};
use parlour_shell::rows::{MemoryRows, Row};
use parlour_shell::{Endpoint, Events, Rows, RowsError, Runner};
use parlour_store::{MemoryStore, UnixTime};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use zeroize::Zeroizing;

const PATIENCE: Duration = Duration::from_secs(60);

/// When rows fail: at which commit from now, and whether that one is still written.
#[derive(Clone, Copy)]
struct Death {
    at: usize,
    written: bool,
}

/// Rows that fail once, and from then on.
#[derive(Clone)]
struct Mortal {
    rows: MemoryRows,
    left: Arc<Mutex<Option<Death>>>,
}

impl Mortal {
    fn new(rows: &MemoryRows, death: Option<Death>) -> Self {
        Self { rows: rows.clone(), left: Arc::new(Mutex::new(death)) }
    }
}

impl Rows for Mortal {
    fn load(&mut self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        self.rows.load(prefix)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        match &mut *self.left.lock().unwrap() {
            None => self.rows.commit(changes),
            Some(death) if death.at > 0 => {
                death.at -= 1;
                self.rows.commit(changes)
            }
            Some(Death { written, .. }) => {
                if *written {
                    self.rows.commit(changes)?;
                }
                Err(RowsError::Crashed)
            }
        }
    }
}

struct World {
    server: RunningServer,
    endpoint: Endpoint,
}

impl World {
    async fn new() -> Self {
        let config = Config::parse(
            "listen = '127.0.0.1:0'\ndata = 'nowhere'\n[limits]\nnew_people_per_day = 1000\n\
             [[app]]\nid = 'den'\nname = 'Den'\ndomain = 'den.localhost'\nsign_in = 'username'\n",
        )
        .unwrap();
        let store = MemoryStore::new(Arc::new(|| UnixTime(net::now().seconds())));
        let keys = Keys::in_memory(net::now(), &mut parlour_server::fresh_rng());
        let server = net::run(&config, store, keys, Box::new(Vec::new)).await.unwrap();
        let endpoint = Endpoint::parse(&format!("ws://{}", server.addr), None).unwrap();
        Self { server, endpoint }
    }

    async fn start(&self, rows: &MemoryRows, death: Option<Death>) -> (Runner, Events) {
        Runner::start_on(Box::new(Mortal::new(rows, death)), self.endpoint.clone()).await.unwrap()
    }

    /// Somebody who has signed up and gone away again.
    async fn person(&self, name: &str) -> MemoryRows {
        let rows = MemoryRows::new();
        let (runner, _events) = self.start(&rows, None).await;
        let proof = Proof::Password(Zeroizing::new(format!("password of {name}")));
        let app = AppId::parse("den").unwrap();
        runner.intent(Intent::SignUp { app, handle: name.to_owned(), proof }).await.unwrap();
        runner.stop().await;
        rows
    }

    /// Sends with rows that die; then lives again until everything is sent. Gives whether it died, and whether the message
    /// had been promised before.
    async fn send_and_die(&self, rows: &MemoryRows, text: &str, death: Death) -> (bool, bool) {
        let (runner, mut events) = self.start(rows, Some(death)).await;
        let _sync = runner.submit(Intent::Sync).await;
        let promised = runner.intent(send(text)).await.is_ok();
        let sent = async {
            while let Some(event) = events.recv().await {
                if matches!(&event, Event::Message { message, .. } if message.text == text && message.order < 1 << 62) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, sent).await.expect("it is sent, or the rows die");
        let died = runner.intent(Intent::Status).await.is_err();
        runner.stop().await;

        let (runner, events) = self.start(rows, None).await;
        drop(events);
        runner.intent(Intent::Sync).await.unwrap();
        until(async || status(&runner).await.queued == 0).await;
        runner.stop().await;
        (died, promised)
    }
}

fn send(text: &str) -> Intent {
    let body = Body::Text { text: text.to_owned(), in_reply_to: None, timer: None };
    Intent::Send { to: Target::Address("ben@den".to_owned()), body }
}

async fn status(runner: &Runner) -> Status {
    match runner.intent(Intent::Status).await.unwrap() {
        Reply::Status(status) => status,
        other => panic!("{other:?}"),
    }
}

async fn until(wanted: impl AsyncFn() -> bool) {
    let look = async {
        while !wanted().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, look).await.expect("it comes to pass");
}

/// How often each text stands in all conversations.
async fn texts(runner: &Runner) -> BTreeMap<String, usize> {
    let mut texts = BTreeMap::new();
    let Reply::Conversations(all) = runner.intent(Intent::Conversations).await.unwrap() else { panic!() };
    for conversation in all {
        let messages = Intent::Messages { conversation: conversation.id, before: None, limit: u32::MAX };
        let Reply::Messages(messages) = runner.intent(messages).await.unwrap() else { panic!() };
        for message in messages {
            *texts.entry(message.text).or_default() += 1;
        }
    }
    texts
}

async fn accept_all(runner: &Runner) {
    let Reply::Requests(requests) = runner.intent(Intent::Requests).await.unwrap() else { panic!() };
    for request in requests {
        runner.intent(Intent::Accept { request: request.id }).await.unwrap();
    }
}

/// What was promised is there once; what was not, at most once.
fn judge(texts: &BTreeMap<String, usize>, rounds: &[(String, bool)]) {
    for (text, promised) in rounds {
        let count = texts.get(text).copied().unwrap_or(0);
        assert!(count <= 1, "{text} came {count} times");
        assert!(count == 1 || !promised, "{text} was promised and lost");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_an_open_conversation_a_death_at_any_write_loses_and_repeats_nothing() {
    let world = World::new().await;
    let (ana, ben) = (world.person("ana").await, world.person("ben").await);
    let (ben, ben_events) = world.start(&ben, None).await;
    drop(ben_events);
    ben.intent(Intent::Sync).await.unwrap();
    world.send_and_die(&ana, "Hello", Death { at: usize::MAX, written: true }).await;
    until(async || status(&ben).await.requests == 1).await;
    accept_all(&ben).await;
    until(async || status(&ben).await.queued == 0).await;

    let mut rounds = vec![("Hello".to_owned(), true)];
    for written in [false, true] {
        for at in 0.. {
            let text = format!("death at {at}, written: {written}");
            let (died, promised) = world.send_and_die(&ana, &text, Death { at, written }).await;
            rounds.push((text, promised));
            if !died {
                assert!(at >= 2, "a message takes at least two transactions");
                break;
            }
        }
    }
    let wanted = rounds.iter().filter(|(_, promised)| *promised).count();
    until(async || texts(&ben).await.len() >= wanted).await;
    judge(&texts(&ben).await, &rounds);
    assert_eq!(status(&ben).await.unreadable, 0);
    ben.stop().await;
    world.server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_first_contact_a_death_at_any_write_loses_and_repeats_nothing() {
    let world = World::new().await;
    let ben = world.person("ben").await;
    let (ben, ben_events) = world.start(&ben, None).await;
    drop(ben_events);
    ben.intent(Intent::Sync).await.unwrap();
    let mut rounds = Vec::new();
    for written in [false, true] {
        for at in 0.. {
            let name = format!("ana{at}{}", if written { "w" } else { "" });
            let ana = world.person(&name).await;
            let text = format!("first word of {name}");
            let (died, promised) = world.send_and_die(&ana, &text, Death { at, written }).await;
            rounds.push((text, promised));
            if !died {
                break;
            }
        }
    }
    let wanted = rounds.iter().filter(|(_, promised)| *promised).count() as u64;
    until(async || status(&ben).await.requests >= wanted).await;
    accept_all(&ben).await;
    judge(&texts(&ben).await, &rounds);
    assert_eq!(status(&ben).await.unreadable, 0);
    ben.stop().await;
    world.server.stop().await;
}
