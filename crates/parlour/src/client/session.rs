//! An open home with a running engine, and how long a command waits for it.

use super::{ask, progress::Progress};
use crate::cli::ClientArgs;
use crate::exit::{Exit, Trouble};
use crate::out::Out;
use parlour_client::api::{Connection, Event, Intent, Reply};
use parlour_proto::ids::UnixMillis;
use parlour_shell::home::Server;
use parlour_shell::{Endpoint, Events, Home, HomeError, Runner, Unlock};
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// How long a command waits for the server to take what it did.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Whoever can be asked for something: a session, or a runner that is shared.
pub(super) trait Ask {
    /// Does something and waits for its end.
    async fn ask(&mut self, intent: Intent) -> Result<Reply, Trouble>;
}

impl Ask for Session {
    async fn ask(&mut self, intent: Intent) -> Result<Reply, Trouble> {
        self.intent(intent).await
    }
}

impl Ask for &Runner {
    async fn ask(&mut self, intent: Intent) -> Result<Reply, Trouble> {
        Ok(self.intent(intent).await?)
    }
}

/// How often the queue is looked at: reports and the like leave it without an event.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What is known before a home is open.
pub(super) struct Door {
    pub(super) out: Out,
    pub(super) path: PathBuf,
    passphrase_file: Option<PathBuf>,
}

impl Door {
    pub(super) fn new(args: &ClientArgs, out: Out) -> Result<Self, Trouble> {
        let path = match &args.home {
            Some(path) => path.clone(),
            None => std::env::home_dir()
                .ok_or_else(|| Trouble::usage("no home directory here: say --home DIR"))?
                .join(".parlour"),
        };
        Ok(Self { out, path, passphrase_file: args.passphrase_file.clone() })
    }

    /// Opens the home and starts its engine.
    pub(super) async fn open(self, command: &str) -> Result<Session, Trouble> {
        let home = self.home(command)?;
        let server = home.server()?.ok_or_else(no_server)?;
        self.start(home, &server).await
    }

    /// Opens the home that is there.
    pub(super) fn home(&self, command: &str) -> Result<Home, Trouble> {
        let unlock = match &self.passphrase_file {
            Some(file) => Unlock::Passphrase(ask::secret_from(file)?),
            None => Unlock::KeyFile,
        };
        match Home::open(&self.path, &unlock, command) {
            Err(HomeError::PassphraseNeeded) => {
                let passphrase = ask::secret("Passphrase of this home: ", "--passphrase-file FILE")?;
                Ok(Home::open(&self.path, &Unlock::Passphrase(passphrase), command)?)
            }
            other => Ok(other?),
        }
    }

    /// Opens the home, making it if there is none.
    pub(super) fn make_home(&self, command: &str, passphrase: bool) -> Result<Home, Trouble> {
        if self.path.join("home").is_file() {
            return self.home(command);
        }
        let unlock = match &self.passphrase_file {
            Some(file) => Unlock::Passphrase(ask::secret_from(file)?),
            None if passphrase => {
                Unlock::Passphrase(ask::new_secret("A passphrase for this home: ", "--passphrase-file FILE")?)
            }
            None => Unlock::KeyFile,
        };
        Ok(Home::open_or_make(&self.path, &unlock, command)?)
    }

    /// Starts the home's engine against a server.
    pub(super) async fn start(self, home: Home, server: &Server) -> Result<Session, Trouble> {
        let endpoint =
            Endpoint::parse(&server.url, server.ca_pem.as_deref()).map_err(|e| Trouble::usage(e.to_string()))?;
        let (runner, events) = Runner::start(&home, endpoint).await?;
        Ok(Session { out: self.out, home, runner, events, connection: Connection::Offline })
    }
}

fn no_server() -> Trouble {
    Trouble::new(Exit::NotSignedIn, "not_signed_in", "this home knows no server yet: sign up or sign in first")
}

/// An open home with a running engine.
pub(super) struct Session {
    pub(super) out: Out,
    pub(super) home: Home,
    pub(super) runner: Runner,
    pub(super) events: Events,
    connection: Connection,
}

impl Session {
    /// Does something; progress is shown meanwhile.
    pub(super) async fn intent(&mut self, intent: Intent) -> Result<Reply, Trouble> {
        self.intent_unless(intent, |_| false).await
    }

    /// The same, but gives up with [`Trouble::offline`] when the first attempt to connect fails.
    pub(super) async fn network_intent(&mut self, intent: Intent) -> Result<Reply, Trouble> {
        self.intent_unless(intent, has_failed).await
    }

    async fn intent_unless(&mut self, intent: Intent, hopeless: fn(Connection) -> bool) -> Result<Reply, Trouble> {
        let mut progress = self.progress();
        let pending = self.runner.submit(intent).await?;
        let id = pending.id;
        let done = pending.done();
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                reply = &mut done => return Ok(reply?),
                Some(event) = self.events.recv() => {
                    progress.note(&event, Some(id));
                    self.connection = connection(&event).unwrap_or(self.connection);
                    if hopeless(self.connection) {
                        return Err(Trouble::offline());
                    }
                }
                () = progress.due() => progress.show(),
            }
        }
    }

    /// Connects and fetches what waits.
    pub(super) async fn sync(&mut self) -> Result<(), Trouble> {
        self.network_intent(Intent::Sync).await.map(drop)
    }

    /// Connects and fetches; without a connection says so on stderr and gives `false`.
    pub(super) async fn sync_if_possible(&mut self) -> Result<bool, Trouble> {
        match self.sync().await {
            Ok(()) => Ok(true),
            Err(trouble) if trouble.exit == Exit::Offline => {
                self.out.remark("No connection to the server: this is what is here.");
                Ok(false)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Waits until the server has all that is queued, but for what is kept until somebody accepts.
    pub(super) async fn settle(&mut self) -> Result<(), Trouble> {
        let mut progress = self.progress();
        let until = Instant::now() + PATIENCE;
        while unsent(self).await? > 0 {
            tokio::select! {
                Some(event) = self.events.recv() => {
                    progress.note(&event, None);
                    self.connection = connection(&event).unwrap_or(self.connection);
                }
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = progress.due() => progress.show(),
            }
            if has_failed(self.connection) || Instant::now() > until {
                return Err(still_queued());
            }
        }
        // Requests are answered in order: with this answer the server has also seen what has no place in the queue.
        match self.network_intent(Intent::Reach).await {
            Err(trouble) if trouble.exit == Exit::Offline => Err(still_queued()),
            Err(trouble) => Err(trouble),
            Ok(_) => Ok(()),
        }
    }

    /// What is being waited for, on stderr.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(self.out)
    }

    /// Ends the engine, once the backup has what is new; the home is free afterwards.
    pub(super) async fn close(self) -> Home {
        drop(self.events);
        // The engine waits some seconds at most.
        let _ = self.runner.intent(Intent::GoOffline).await;
        self.runner.stop().await;
        self.home
    }
}

/// How much waits for the server, and not for somebody's acceptance.
pub(super) async fn unsent(asked: &mut impl Ask) -> Result<u64, Trouble> {
    match asked.ask(Intent::Status).await? {
        Reply::Status(status) => Ok(status.queued.saturating_sub(status.held)),
        other => Err(unexpected(&other)),
    }
}

/// The connection's state, if the event is about it.
pub(super) fn connection(event: &Event) -> Option<Connection> {
    match event {
        Event::Connection { state, .. } => Some(*state),
        _ => None,
    }
}

/// Whether an attempt to connect has failed. Before the first one is over, the next is due at once, at 0.
pub(super) fn has_failed(connection: Connection) -> bool {
    matches!(connection, Connection::Waiting(next) if next > UnixMillis(0))
}

/// A reply that does not belong to the intent: a bug.
pub(super) fn unexpected(reply: &Reply) -> Trouble {
    let kind = format!("{reply:?}");
    let kind: String = kind.chars().take_while(char::is_ascii_alphanumeric).collect();
    Trouble::new(Exit::Failure, "failure", format!("the engine answered with {kind}: please report this"))
}

fn still_queued() -> Trouble {
    Trouble::new(
        Exit::Offline,
        "queued",
        "the server has not taken it yet; it is kept here and sent by the next command that connects",
    )
}
