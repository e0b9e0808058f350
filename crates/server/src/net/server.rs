//! The running server: domain modules joined, connections accepted, background work, graceful stop.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parlour_proto::ids::{AccountId, UnixMillis};
use parlour_store::{PartitionId, PartitionKind, RowBatch, Store, StoreError, UnixTime};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::TlsAcceptor;

use super::{
    address::{Addresses, Slot},
    descriptors,
    http::{self, Stay},
    io::Io,
    line::Line,
    socket::{Socket, web_socket},
    tls::{TlsError, acceptor},
};
use crate::{
    accounts::{Accounts, codes::OutboxMessage},
    ambient::{Ambient, Machine, Sleep},
    apps::Apps,
    claims::Claims,
    config::Config,
    error::Refused,
    incarnation::Incarnation,
    keys::Keys,
    limits::{Buckets, Rate},
    mailboxes::{ACK_EVERY_MS, Mailboxes, Notice},
    metrics::Metrics,
    relays::Relays,
    retention::{Fault, Kind, Lifetimes, Setting},
    rooms::{RoomLimits, Rooms},
    web::Site,
};

/// How long a connection may take that gets one answer in HTTP only.
const BRIEF_TIME: Duration = Duration::from_secs(2);
/// How long a TLS handshake may take.
const TLS_TIME: Duration = Duration::from_secs(10);
/// How long sockets may take to go at a stop.
const STOP_TIME: Duration = Duration::from_secs(3);
const SWEEP_EVERY: Duration = Duration::from_secs(3_600);
/// What became due while the server was down does not wait for that: one that is started anew each half hour sweeps, too.
const SWEEP_FIRST: Duration = Duration::from_secs(60);
/// After somebody was deleted: once for all of a minute.
const SWEEP_SOON: Duration = Duration::from_secs(60);
/// How often what is in memory only is gone through.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not usable.
    #[error("cannot listen on {0}")]
    Listen(SocketAddr, #[source] io::Error),
    /// A lifetime is beyond its ceiling.
    #[error("{0}")]
    Retention(Fault),
    /// Certificate or key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The apps for browsers.
    #[error("the apps for browsers in {0} cannot be read")]
    Web(PathBuf, #[source] io::Error),
    /// The keys belong to another database, or were lost.
    #[error("the keys are not those of this database; restore DATA/keys from its backup")]
    WrongKeys,
    /// What is stored could not be read.
    #[error("the stored data could not be read")]
    Stored(#[from] Refused),
}

/// All that a connection needs.
pub(super) struct Server<S> {
    pub(super) ambient: Arc<dyn Ambient>,
    pub(super) store: S,
    pub(super) keys: Arc<Keys>,
    pub(super) apps: Apps,
    pub(super) mailboxes: Arc<Mailboxes<S>>,
    pub(super) accounts: Arc<Accounts<S>>,
    pub(super) claims: Claims<S>,
    pub(super) rooms: Rooms<S>,
    pub(super) new_rooms: Buckets<AccountId>,
    pub(super) relays: Arc<Relays>,
    pub(super) lifetimes: Lifetimes,
    pub(super) metrics: Metrics,
    pub(super) site: Site,
    pub(super) has_tls: bool,
    pub(super) incarnation: Incarnation,
    pub(super) acks_wait: Notify,
    more_metrics: MoreMetrics,
    stopping: AtomicBool,
}

/// Further counters, by Prometheus name: those of the store, which the port does not know.
pub type MoreMetrics = Box<dyn Fn() -> Vec<(&'static str, u64)> + Send + Sync>;

impl<S: Store> Server<S> {
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn metrics_text(&self) -> String {
        let mut more = (self.more_metrics)();
        more.push(("parlour_incarnation", self.incarnation.number));
        more.push(("parlour_restored_backup_seconds", self.incarnation.backup.seconds()));
        more.push(("parlour_rooms_cached", self.rooms.cached() as u64));
        more.push(("parlour_relays_open", self.relays.count() as u64));
        self.metrics.render(&more)
    }
}

/// A server that runs. Dropping it stops accepting; [`stop`](Self::stop) ends it in order.
pub struct RunningServer {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl RunningServer {
    /// Tells the sockets, lets work under way finish, writes what is collected, closes the store.
    pub async fn stop(self) {
        self.stop.notify_one();
        let _ = self.task.await;
    }

    /// Completes if the server ends by itself.
    pub async fn ended(&mut self) {
        let _ = (&mut self.task).await;
    }
}

/// Starts the server on a store. Deliveries and deletions that a crash interrupted are finished before the first connection.
///
/// # Errors
/// [`StartError`].
pub async fn run<S: Store>(
    config: &Config,
    store: S,
    keys: Keys,
    more_metrics: MoreMetrics,
) -> Result<RunningServer, StartError> {
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
    let core = Core::start(config, store, Arc::new(keys), Arc::new(Machine), more_metrics).await?;
    let listener = TcpListener::bind(config.listen).await.map_err(|error| StartError::Listen(config.listen, error))?;
    let addr = listener.local_addr().map_err(|error| StartError::Listen(config.listen, error))?;
    let stop = Arc::new(Notify::new());
    let most = config.limits.connections_per_address;
    let task = tokio::spawn(accept(core, listener, tls, most, stop.clone()));
    tell_service_manager("READY=1");
    tracing::info!(apps = config.apps.len(), tls = config.tls.is_some(), "started");
    Ok(RunningServer { addr, stop, task })
}

/// The server but for what accepts connections: [`run`] puts sockets under it, a simulation lines of its own.
pub struct Core<S>(Arc<Server<S>>);

impl<S> Clone for Core<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Store> Core<S> {
    /// Joins the domain modules over a store, and finishes what a crash interrupted.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        config: &Config,
        store: S,
        keys: Arc<Keys>,
        ambient: Arc<dyn Ambient>,
        more_metrics: MoreMetrics,
    ) -> Result<Self, StartError> {
        let lifetimes =
            config.retention.lifetimes().map_err(|mut faults| StartError::Retention(faults.swap_remove(0)))?;
        check_keys(&store, &keys, ambient.now()).await?;
        let site = site(config)?;
        let server = join(config, store, keys, ambient, more_metrics, site, lifetimes).await?;
        Ok(Self(Arc::new(server)))
    }

    /// Work that goes on beside the connections; none of it ends.
    pub fn background(&self) -> [Sleep; 3] {
        [Box::pin(flush_acks(self.0.clone())), Box::pin(sweep(self.0.clone())), Box::pin(forget(self.0.clone()))]
    }

    /// Serves one connection to its end. `source` is what it is metered by.
    pub async fn serve(&self, role: http::Role, line: impl Line, source: Option<IpAddr>) {
        Socket::run(self.0.clone(), role, line, source).await;
    }

    /// The development outbox; `None` when it is off.
    pub fn outbox(&self) -> Option<Vec<OutboxMessage>> {
        self.0.accounts.codes.outbox(self.0.ambient.now())
    }
}

fn site(config: &Config) -> Result<Site, StartError> {
    let dir = config.web.clone().or_else(Site::default_dir);
    let failed = |error| StartError::Web(dir.clone().unwrap_or_default(), error);
    let site = Site::load(config.app_infos(), dir.as_deref()).map_err(failed)?;
    if !site.is_built() {
        tracing::info!("no apps for browsers here; `cargo xtask web` makes them");
    }
    Ok(site)
}

/// New keys for an old database would find nobody in it: better not to start.
async fn check_keys<S: Store>(store: &S, keys: &Keys, now: UnixMillis) -> Result<(), StartError> {
    let partition = PartitionId::new(PartitionKind::Meta, b"keys");
    if !keys.are_those_of(store).await? {
        return Err(StartError::WrongKeys);
    }
    let kind = Kind::KeyCheck;
    let batch = RowBatch::new(partition).put(
        b"check",
        keys.check().to_vec(),
        kind.row(),
        Lifetimes::default().expires(kind, now),
    );
    // A full disk must not keep the server from starting: reading goes on.
    match store.commit(vec![batch.into()]).await {
        Ok(_) | Err(StoreError::Full) => Ok(()),
        Err(error) => Err(Refused::from(error).into()),
    }
}

async fn join<S: Store>(
    config: &Config,
    store: S,
    keys: Arc<Keys>,
    ambient: Arc<dyn Ambient>,
    more_metrics: MoreMetrics,
    site: Site,
    lifetimes: Lifetimes,
) -> Result<Server<S>, Refused> {
    let apps = Apps::new(config);
    let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await?);
    let accounts =
        Accounts::new(store.clone(), keys.clone(), apps.clone(), mailboxes.clone(), config, lifetimes.clone());
    let accounts = Arc::new(accounts);
    let claims = Claims::new(
        store.clone(),
        keys.clone(),
        apps.clone(),
        accounts.clone(),
        mailboxes.clone(),
        config,
        lifetimes.clone(),
    );
    let incarnation = Incarnation::read(&store).await?;
    let per_s = config.limits.messages_per_room_per_s as f32;
    let limits = RoomLimits {
        sends: Rate { per_s, burst: per_s * 4.0 },
        joins: Rate::per(config.limits.joins_per_hour, 3_600),
        first_sequence: incarnation.first_sequence(),
        lifetimes: lifetimes.clone(),
        ..RoomLimits::default()
    };
    let rooms = Rooms::new(store.clone(), keys.clone(), mailboxes.clone(), limits);
    let resumed = rooms.resume_all(ambient.now()).await?;
    accounts.resume_deletions(ambient.now()).await?;
    if resumed > 0 {
        tracing::info!(resumed, "finished interrupted deliveries");
    }
    Ok(Server {
        incarnation,
        new_rooms: Buckets::new(Rate::per(config.limits.rooms_per_hour, 3_600)),
        relays: Arc::new(Relays::new(lifetimes.ms(Setting::Relay))),
        lifetimes,
        metrics: Metrics::default(),
        site,
        has_tls: config.tls.is_some(),
        acks_wait: Notify::new(),
        more_metrics,
        stopping: AtomicBool::new(false),
        ambient,
        store,
        keys,
        apps,
        mailboxes,
        accounts,
        claims,
        rooms,
    })
}

async fn accept<S: Store>(
    core: Core<S>,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    most: u32,
    stop: Arc<Notify>,
) {
    let addresses = Arc::new(Addresses::default());
    let mut connections = JoinSet::new();
    let room = descriptors::for_connections();
    let mut is_full = false;
    let work = core.background().map(tokio::spawn);
    let server = core.0;
    loop {
        tokio::select! {
            () = stop.notified() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    while connections.try_join_next().is_some() {}
                    let was_full = std::mem::replace(&mut is_full, connections.len() >= room);
                    if is_full && !was_full {
                        tracing::warn!(room, "as many connections as this process has descriptors for");
                    }
                    let stay = if is_full { Stay::Brief } else { Stay::Long };
                    match addresses.enter(peer.ip(), most).filter(|_| connections.len() < room + descriptors::SPARE) {
                        Some(slot) => {
                            connections.spawn(connection(server.clone(), stream, tls.clone(), slot, stay));
                        }
                        None => {
                            server.metrics.refused_connections.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Err(error) => {
                    // The machine's descriptors, not ours, are used up: let some connections end.
                    tracing::warn!(%error, "accepting connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    tell_service_manager("STOPPING=1");
    server.stopping.store(true, Ordering::Relaxed);
    server.mailboxes.notify_all(Notice::Stopping);
    let drained = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(STOP_TIME, drained).await;
    connections.shutdown().await;
    for task in work {
        task.abort();
    }
    if let Err(error) = server.mailboxes.flush_acks().await {
        tracing::warn!(%error, "writing acknowledgements");
    }
    if let Err(error) = server.store.close().await {
        tracing::error!(%error, "closing the store");
    }
    tracing::info!("stopped");
}

async fn connection<S: Store>(
    server: Arc<Server<S>>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    slot: Slot,
    stay: Stay,
) {
    let _ = stream.set_nodelay(true);
    let _open = Count::new(&server.metrics.connections);
    let source = slot.source();
    // Boxed: while a socket lives, its task must not keep room for the handshakes.
    let handshake = Box::pin(handshake(&server, stream, tls, stay));
    let upgraded = match stay {
        Stay::Long => handshake.await,
        Stay::Brief => tokio::time::timeout(BRIEF_TIME, handshake).await.ok().flatten(),
    };
    if let Some((role, io, read)) = upgraded {
        let counter = if role == http::Role::Inbox { &server.metrics.inboxes } else { &server.metrics.outboxes };
        let _counted = Count::new(counter);
        Socket::run(server.clone(), role, web_socket(io, read).await, source).await;
    }
}

async fn handshake<S: Store>(
    server: &Arc<Server<S>>,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    stay: Stay,
) -> Option<(http::Role, Io, bytes::Bytes)> {
    let io = match tls {
        None => Io::Plain(stream),
        Some(tls) => Io::Tls(Box::new(tokio::time::timeout(TLS_TIME, tls.accept(stream)).await.ok()?.ok()?)),
    };
    http::serve(io, server, stay).await
}

/// Counts while it lives.
struct Count<'a>(&'a AtomicU64);

impl<'a> Count<'a> {
    fn new(counter: &'a AtomicU64) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn flush_acks<S: Store>(server: Arc<Server<S>>) {
    loop {
        server.acks_wait.notified().await;
        server.ambient.sleep(Duration::from_millis(ACK_EVERY_MS)).await;
        if let Err(error) = server.mailboxes.flush_acks().await {
            tracing::warn!(%error, "writing acknowledgements");
        }
    }
}

/// Goes through what is in memory only.
async fn forget<S: Store>(server: Arc<Server<S>>) {
    loop {
        server.ambient.sleep(FORGET_EVERY).await;
        let now = server.ambient.now();
        server.accounts.forget(now);
        server.claims.forget(now);
        server.rooms.forget(now);
        server.relays.forget(now);
        server.new_rooms.forget(now);
    }
}

async fn sweep<S: Store>(server: Arc<Server<S>>) {
    let mut rooms_swept = None;
    let mut pause = SWEEP_FIRST;
    loop {
        tokio::select! {
            () = server.ambient.sleep(std::mem::replace(&mut pause, SWEEP_EVERY)) => {}
            () = server.accounts.deleted.notified() => server.ambient.sleep(SWEEP_SOON).await,
        }
        let now = server.ambient.now();
        if let Err(error) = server.keys.rotate(now, &mut server.ambient.rng()) {
            tracing::error!(%error, "rotating keys");
        }
        match server.store.sweep(UnixTime(now.seconds())).await {
            Ok(swept) => tracing::info!(swept.rows, swept.queue_rows, swept.day_keys, "swept"),
            Err(error) => tracing::error!(%error, "sweeping"),
        }
        let today = UnixTime(now.seconds()).day();
        if rooms_swept != Some(today) {
            match server.rooms.tend_tokens(now, &mut server.ambient.rng()).await {
                Ok(_) => rooms_swept = Some(today),
                Err(error) => tracing::error!(%error, "tending tokens"),
            }
        }
        if let Err(error) = server.accounts.close_idle(now).await {
            tracing::warn!(%error, "closing idle mailboxes");
        }
    }
}

/// Tells systemd (`sd_notify`), if it asked for it.
fn tell_service_manager(state: &str) {
    use std::os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    };
    let Ok(path) = std::env::var("NOTIFY_SOCKET") else { return };
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address));
    if let Err(error) = sent {
        tracing::warn!(%error, "telling the service manager");
    }
}

/// The address to meter by: none for loopback.
pub(super) type Source = Option<IpAddr>;
