//! A server in memory, after the comments in `frames.rs` and DESIGN §6: rooms with compare-and-set, entries, mailboxes,
//! claims. It checks signatures and grants as the real one must. Nothing is ever lost but what it is told to lose.

pub mod faults;
mod relays;
mod rooms;

use bytes::Bytes;
use ed25519_dalek::{Signature, VerifyingKey};
use parlour_proto::device_list::DeviceList;
use parlour_proto::frames::*;
use parlour_proto::handle::Handle;
use parlour_proto::ids::*;
use parlour_proto::opaque::{PasswordFile, ServerLogin, ServerSetup};
use parlour_proto::problem::{Code, Problem};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use relays::Relays;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// One socket of one client.
pub type SocketKey = (usize, bool);

#[derive(Default)]
struct Session {
    nonce: [u8; 32],
    device: Option<(AccountRef, DeviceId)>,
    registering: Option<(AppId, String)>,
    login: Option<(AppId, String, ServerLogin)>,
}

#[derive(Clone)]
struct Device {
    mailbox: MailboxId,
    pools: [VecDeque<KeyPackageUpload>; 2],
    last_resort: Option<KeyPackageUpload>,
    last_resort_used: bool,
}

#[derive(Clone)]
struct Account {
    root: [u8; 32],
    links: Vec<Bytes>,
    devices: BTreeMap<DeviceId, Device>,
    doors: BTreeSet<Digest>,
    blocked: BTreeSet<AccountRef>,
    /// Uses left, and whether it reaches from apps that are off.
    invites: HashMap<Digest, (u32, bool)>,
    reach: BTreeMap<AppId, ReachRule>,
}

#[derive(Clone)]
struct Entry {
    mailbox: MailboxId,
    asked: bool,
    spent: bool,
    rights: Rights,
}

#[derive(Clone)]
struct Grant {
    room: RoomId,
    member_key: MemberKey,
    mailbox: MailboxId,
    asked: bool,
}

#[derive(Clone)]
struct Room {
    head: u64,
    seq: u64,
    keys: Vec<(Digest, UnixMillis)>,
    entries: BTreeMap<MemberKey, Entry>,
    log: Vec<Row>,
    done: HashMap<MessageId, Answer>,
    undo: BTreeMap<u64, (BTreeMap<MemberKey, Entry>, BTreeSet<MemberKey>)>,
    successor: Option<RoomId>,
}

pub struct Server {
    pub now: UnixMillis,
    rng: ChaCha20Rng,
    opaque: ServerSetup,
    passwords: HashMap<(AppId, String), PasswordFile>,
    handles: HashMap<(AppId, String), AccountRef>,
    accounts: BTreeMap<AccountRef, Account>,
    tickets: HashMap<[u8; 32], (AppId, String, Option<PasswordFile>)>,
    rooms: HashMap<RoomId, Room>,
    grants: HashMap<Bytes, Grant>,
    mailboxes: BTreeMap<MailboxId, (u64, VecDeque<Row>)>,
    sessions: HashMap<SocketKey, Session>,
    online: HashMap<MailboxId, SocketKey>,
    /// Chunks of backups.
    pub backups: BTreeMap<AccountRef, BTreeMap<[u8; 16], Bytes>>,
    /// More chunks than this are refused.
    pub most_chunks: Option<usize>,
    /// Whoever fetches a backup is given chunks without end.
    pub endless_backup: bool,
    /// So many bytes of chunks came.
    pub backup_bytes: u64,
    relays: Relays,
    /// What goes out behind the answer under way.
    after: Vec<(SocketKey, Push)>,
    /// Frames on their way to sockets.
    pub out: VecDeque<(SocketKey, ServerFrame)>,
    /// A malicious server: key packages of this account's devices are given out instead of the claimed ones.
    pub swap_packages_with: Option<AccountRef>,
    pub commits: u64,
    pub refused_commits: u64,
    pub log_fetches: u64,
    pub knocks: u64,
    pub successors: u64,
    pub whispers: u64,
    /// What it says to speak.
    pub version: u32,
    /// Which life of the data this is, and of which backup.
    pub incarnation: u64,
    pub backup_made: UnixMillis,
}

fn no(code: Code) -> Problem {
    Problem::new(code, format!("{code:?}"))
}

fn app(name: &str) -> AppId {
    AppId::parse(name).unwrap()
}

fn check(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> Result<(), Problem> {
    VerifyingKey::from_bytes(key)
        .and_then(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)))
        .map_err(|_| no(Code::BadSignature))
}

impl Server {
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Server {
            now: UnixMillis(1_800_000_000_000),
            opaque: ServerSetup::new(&mut rng),
            rng,
            passwords: HashMap::new(),
            handles: HashMap::new(),
            accounts: BTreeMap::new(),
            tickets: HashMap::new(),
            rooms: HashMap::new(),
            grants: HashMap::new(),
            mailboxes: BTreeMap::new(),
            sessions: HashMap::new(),
            online: HashMap::new(),
            backups: BTreeMap::new(),
            most_chunks: None,
            endless_backup: false,
            backup_bytes: 0,
            relays: Relays::default(),
            after: Vec::new(),
            out: VecDeque::new(),
            swap_packages_with: None,
            commits: 0,
            refused_commits: 0,
            log_fetches: 0,
            knocks: 0,
            successors: 0,
            whispers: 0,
            version: PROTOCOL_VERSION,
            incarnation: 1,
            backup_made: UnixMillis(0),
        }
    }

    pub fn apps() -> Vec<AppInfo> {
        let info = |name: &str, sign_in| AppInfo {
            app: app(name),
            name: name.to_owned(),
            domain: format!("{name}.example.org"),
            sign_in,
            expiry_s: if name == "porch" { 30 * 86_400 } else { 365 * 86_400 },
            expiry_least_s: 3_600,
            expiry_most_s: None,
        };
        vec![info("bell", SignIn::Phone), info("den", SignIn::Username), info("porch", SignIn::AtHandle)]
    }

    /// The same server with all sockets gone.
    pub fn fork(&self) -> Self {
        Server {
            now: self.now,
            rng: self.rng.clone(),
            opaque: ServerSetup::from_bytes(&self.opaque.to_bytes()).unwrap(),
            passwords: self.passwords.clone(),
            handles: self.handles.clone(),
            accounts: self.accounts.clone(),
            tickets: self.tickets.clone(),
            rooms: self.rooms.clone(),
            grants: self.grants.clone(),
            mailboxes: self.mailboxes.clone(),
            sessions: HashMap::new(),
            online: HashMap::new(),
            backups: self.backups.clone(),
            most_chunks: self.most_chunks,
            endless_backup: self.endless_backup,
            backup_bytes: self.backup_bytes,
            relays: Relays::default(),
            after: Vec::new(),
            out: VecDeque::new(),
            swap_packages_with: self.swap_packages_with.clone(),
            commits: self.commits,
            refused_commits: self.refused_commits,
            log_fetches: self.log_fetches,
            knocks: self.knocks,
            successors: self.successors,
            whispers: self.whispers,
            version: self.version,
            incarnation: self.incarnation,
            backup_made: self.backup_made,
        }
    }

    // ---- sockets

    pub fn connect(&mut self, key: SocketKey) {
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        self.sessions.insert(key, Session { nonce, ..Session::default() });
        let hello = Push::Hello { version: self.version, nonce, time: self.now };
        self.out.push_back((key, ServerFrame::Push(hello)));
    }

    pub fn disconnect(&mut self, key: SocketKey) {
        let other = self.relays.leave(key);
        self.tell_relay_closed(other);
        self.sessions.remove(&key);
        self.online.retain(|_, socket| *socket != key);
        self.out.retain(|(socket, _)| *socket != key);
    }

    pub fn request(&mut self, key: SocketKey, frame: ClientFrame) {
        let id = frame.id;
        if let Request::Ack { seq } = frame.request {
            if let Some((account, device)) = self.sessions.get(&key).and_then(|s| s.device.clone()) {
                let mailbox = self.accounts[&account].devices[&device].mailbox;
                self.mailboxes.get_mut(&mailbox).unwrap().1.retain(|row| row.seq > seq);
            }
            return;
        }
        let signs_in = matches!(
            frame.request,
            Request::Authenticate { .. } | Request::Register { .. } | Request::AddDevice { .. }
        );
        let result = self.answer(key, frame.request);
        let signed_in = signs_in && result.is_ok();
        self.out.push_back((key, ServerFrame::Answer { id, result }));
        for (to, push) in std::mem::take(&mut self.after) {
            self.out.push_back((to, ServerFrame::Push(push)));
        }
        if signed_in {
            self.go_online(key);
        }
    }

    /// Lets the clock go on.
    pub fn tick(&mut self, now: UnixMillis) {
        self.now = now;
        let over = self.relays.overdue(now);
        self.tell_relay_closed(over);
    }

    fn tell_relay_closed(&mut self, to: impl IntoIterator<Item = SocketKey>) {
        self.out.extend(to.into_iter().map(|key| (key, ServerFrame::Push(Push::RelayClosed))));
    }

    fn go_online(&mut self, key: SocketKey) {
        let (account, device) = self.sessions[&key].device.clone().unwrap();
        let mailbox = self.accounts[&account].devices[&device].mailbox;
        self.online.insert(mailbox, key);
        let rows: Vec<Row> = self.mailboxes[&mailbox].1.iter().cloned().collect();
        for chunk in rows.chunks(7) {
            self.out.push_back((key, ServerFrame::Push(Push::Rows(chunk.to_vec()))));
        }
        self.out.push_back((key, ServerFrame::Push(Push::CaughtUp)));
    }

    fn deliver(&mut self, mailbox: MailboxId, mut row: Row) {
        let Some((next, rows)) = self.mailboxes.get_mut(&mailbox) else { return };
        *next += 1;
        row.seq = *next;
        rows.push_back(row.clone());
        if let Some(key) = self.online.get(&mailbox) {
            self.out.push_back((*key, ServerFrame::Push(Push::Rows(vec![row]))));
        }
    }

    fn answer(&mut self, key: SocketKey, request: Request) -> Result<Answer, Problem> {
        match request {
            Request::Apps => Ok(Answer::Apps(Self::apps())),
            Request::RequestCode { .. } => Ok(Answer::Done),
            Request::ProveCode { app, handle, code } => {
                if code != "123456" {
                    return Err(no(Code::NotAuthenticated));
                }
                self.ticket(app, handle, None)
            }
            Request::OpaqueRegister { app, handle, message } => {
                let parsed = Handle::parse(SignIn::Username, &handle).map_err(Problem::from)?;
                if self.handles.contains_key(&(app.clone(), handle.clone())) {
                    return Err(no(Code::HandleTaken));
                }
                let answer = self.opaque.register(&app, &parsed, &message).map_err(|_| no(Code::Malformed))?;
                self.session(key).registering = Some((app, handle));
                Ok(Answer::Opaque { message: answer })
            }
            Request::OpaqueRegisterFinish { message } => {
                let (app, handle) = self.session(key).registering.take().ok_or(no(Code::OutOfPlace))?;
                let file = PasswordFile::from_upload(&message).map_err(|_| no(Code::Malformed))?;
                self.ticket(app, handle, Some(file))
            }
            Request::OpaqueLogin { app, handle, message } => {
                let parsed = Handle::parse(SignIn::Username, &handle).map_err(Problem::from)?;
                let file = self.passwords.get(&(app.clone(), handle.clone()));
                let (login, message) = self
                    .opaque
                    .login(&app, &parsed, file, &message, &mut self.rng)
                    .map_err(|_| no(Code::NotAuthenticated))?;
                self.session(key).login = Some((app, handle, login));
                Ok(Answer::Opaque { message })
            }
            Request::OpaqueLoginFinish { message } => {
                let (app, handle, login) = self.session(key).login.take().ok_or(no(Code::OutOfPlace))?;
                login.finish(&message).map_err(|_| no(Code::NotAuthenticated))?;
                self.ticket(app, handle, None)
            }
            Request::Register { ticket, account, root_key, links, device } => {
                let (app, handle, password) = self.tickets.remove(&ticket.0).ok_or(no(Code::Expired))?;
                if self.handles.contains_key(&(app.clone(), handle.clone())) {
                    return Err(no(Code::HandleTaken));
                }
                let list = DeviceList::verify(account, &root_key, &links).map_err(Problem::from)?;
                list.device(&device).ok_or(no(Code::NotADevice))?;
                let account = AccountRef { app: app.clone(), account };
                if let Some(password) = password {
                    self.passwords.insert((app.clone(), handle.clone()), password);
                }
                self.handles.insert((app, handle), account.clone());
                self.accounts.insert(
                    account.clone(),
                    Account {
                        root: root_key,
                        links,
                        devices: BTreeMap::new(),
                        doors: BTreeSet::new(),
                        blocked: BTreeSet::new(),
                        invites: HashMap::new(),
                        reach: BTreeMap::new(),
                    },
                );
                self.add_device(key, account, device)
            }
            Request::AccountOfTicket { ticket } => {
                let (app, handle, _) = self.tickets.get(&ticket.0).cloned().ok_or(no(Code::Expired))?;
                let account = self.handles.get(&(app, handle)).cloned().ok_or(no(Code::NotAuthenticated))?;
                Ok(Answer::Account(self.view(&account)))
            }
            Request::AddDevice { ticket, link, device } => {
                let (app, handle, _) = self.tickets.remove(&ticket.0).ok_or(no(Code::Expired))?;
                let account = self.handles.get(&(app, handle)).cloned().ok_or(no(Code::NotAuthenticated))?;
                let known = self.accounts.get_mut(&account).unwrap();
                let mut list = DeviceList::verify(account.account, &known.root, &known.links).map_err(Problem::from)?;
                list.append(link.clone()).map_err(Problem::from)?;
                list.device(&device).filter(|_| !known.devices.contains_key(&device)).ok_or(no(Code::BadDeviceList))?;
                known.links.push(link);
                let answer = self.add_device(key, account.clone(), device);
                self.tell_list(key, &account);
                answer
            }
            Request::Authenticate { .. } if self.session(key).device.is_some() => Err(no(Code::OutOfPlace)),
            Request::Authenticate { device, signature } => {
                let nonce = self.session(key).nonce;
                let found = self.accounts.iter().find(|(_, a)| a.devices.contains_key(&device));
                let (account, known) = found.ok_or(no(Code::NotADevice))?;
                let list = DeviceList::verify(account.account, &known.root, &known.links).map_err(Problem::from)?;
                let signing = list.device(&device).ok_or(no(Code::NotADevice))?.signing_key;
                check(&signing, &sign_in_bytes(&nonce, &device), &signature)?;
                let account = account.clone();
                self.session(key).device = Some((account.clone(), device));
                Ok(Answer::SignedIn(self.signed_in(&account, &device)))
            }
            Request::JoinRelay { .. } | Request::Relay { .. } | Request::CloseRelay if key.1 => {
                Err(no(Code::OutOfPlace))
            }
            Request::JoinRelay { .. } if self.session(key).device.is_some() => Err(no(Code::OutOfPlace)),
            Request::JoinRelay { slot } => {
                let other = self.relays.join(key, slot)?;
                self.tell_relay_closed(other);
                Ok(Answer::Done)
            }
            Request::Relay { payload } => {
                match self.relays.hand_on(key, payload.len())? {
                    Some(to) => self.out.push_back((to, ServerFrame::Push(Push::Relay { payload }))),
                    None => {
                        let other = self.relays.leave(key);
                        self.tell_relay_closed(other.into_iter().chain([key]));
                        return Err(no(Code::Expired));
                    }
                }
                Ok(Answer::Done)
            }
            Request::CloseRelay => {
                let other = self.relays.leave(key);
                self.tell_relay_closed(other);
                Ok(Answer::Done)
            }
            Request::Send { room, message_id, send_key, tag, payload }
            | Request::SignedSend { room, message_id, send_key, tag, payload, .. } => {
                self.send(room, message_id, &send_key, tag, payload)
            }
            Request::Commit(commit) => {
                let entry = self.room(&commit.room)?.entries.get(&commit.member_key).cloned();
                if let Some(answer) = self.room(&commit.room)?.done.get(&commit.commit_id) {
                    return Ok(answer.clone());
                }
                // The entry of a revoked device is as good as gone.
                let entry = entry.filter(|entry| self.mailboxes.contains_key(&entry.mailbox));
                let entry = entry.ok_or(no(Code::NoSuchRoom))?;
                check(&commit.member_key.0, &commit_bytes(&commit), &commit.signature)?;
                if entry.asked || !entry.rights.allow(Rights::COMMIT) {
                    return Err(no(Code::NoRight));
                }
                self.apply_commit(*commit)
            }
            Request::DoorClaim { account, door, room } => {
                assert!(key.1, "door claims are anonymous");
                let known = self.accounts.get(&account).ok_or(no(Code::NotReachable))?;
                if !known.doors.contains(&door.digest()) {
                    return Err(no(Code::NotReachable));
                }
                Ok(Answer::Claimed(self.claimed(&account, room, 0, |_| true)))
            }
            Request::OpenEntry { room, proof } => {
                self.prove(&room, &proof, "open", &[])?;
                self.rooms.get_mut(&room).unwrap().entries.get_mut(&proof.member_key).unwrap().asked = false;
                Ok(Answer::Done)
            }
            Request::LeaveEntry { room, proof } => {
                if self.prove(&room, &proof, "leave", &[]).is_ok() {
                    self.rooms.get_mut(&room).unwrap().entries.remove(&proof.member_key);
                }
                Ok(Answer::Done)
            }
            Request::FetchLog { room, after, proof } => {
                self.log_fetches += 1;
                self.prove(&room, &proof, "log", &after.to_be_bytes())?;
                let r = &self.rooms[&room];
                if r.entries[&proof.member_key].asked {
                    return Err(no(Code::NoRight));
                }
                let rows = r.log.iter().filter(|row| row.room_seq > after).cloned().collect();
                Ok(Answer::Log(Log { head: r.head, rows, more: false, successor: r.successor }))
            }
            Request::Knock { room, knock_id, payload, proof } => {
                self.knocks += 1;
                let detail = [&knock_id.0[..], &Digest::of(&payload).0].concat();
                self.prove(&room, &proof, "knock", &detail)?;
                let body = RowBody::Knock { knock_id, member_key: proof.member_key, payload };
                self.append(room, body, Some(proof.member_key))
            }
            Request::SetSuccessor { room, successor, proof } => {
                self.prove(&room, &proof, "successor", &successor.0)?;
                let r = self.rooms.get_mut(&room).unwrap();
                match r.successor {
                    Some(winner) if winner != successor => {
                        let mut problem = no(Code::Succeeded);
                        problem.successor = Some(winner);
                        return Err(problem);
                    }
                    Some(_) => return Ok(Answer::Done),
                    None => r.successor = Some(successor),
                }
                self.successors += 1;
                self.append(room, RowBody::Successor { successor, member_key: proof.member_key }, None)?;
                Ok(Answer::Done)
            }
            Request::Whisper { room, send_key, payload } => {
                assert!(key.1, "whispers are anonymous");
                self.whisper(room, &send_key, payload)
            }
            Request::Ack { .. } => unreachable!(),
            signed_in => self.answer_signed_in(key, signed_in),
        }
    }

    fn answer_signed_in(&mut self, key: SocketKey, request: Request) -> Result<Answer, Problem> {
        let (account, device) = self.session(key).device.clone().ok_or(no(Code::OutOfPlace))?;
        let mailbox = self.accounts[&account].devices[&device].mailbox;
        let me = self.accounts.get_mut(&account).unwrap();
        match request {
            Request::OpenRelay => {
                let (slot, other) = self.relays.open(key, self.now, &mut self.rng);
                self.tell_relay_closed(other);
                Ok(Answer::Relay { slot })
            }
            Request::PutBackup { name, chunk } => {
                let there = self.backups.entry(account.clone()).or_default();
                if !there.contains_key(&name) && self.most_chunks.is_some_and(|most| there.len() >= most) {
                    return Err(no(Code::Full));
                }
                self.backup_bytes += chunk.len() as u64;
                self.backups.entry(account.clone()).or_default().insert(name, chunk);
                Ok(Answer::Done)
            }
            Request::DropBackup { name } => {
                self.backups.entry(account.clone()).or_default().remove(&name);
                Ok(Answer::Done)
            }
            Request::Backup { after } if self.endless_backup => {
                let mut next = u128::from_be_bytes(after.unwrap_or_default());
                let chunks = (0..32).map(|_| {
                    next += 1 << 100;
                    (next.to_be_bytes(), Bytes::from_static(b"rubbish"))
                });
                let page = self.backups.get(&account).and_then(|all| all.get(&[0; 16])).cloned();
                let page = page.filter(|_| after.is_none()).map(|page| ([0; 16], page));
                Ok(Answer::Backup { chunks: page.into_iter().chain(chunks).take(32).collect(), more: true })
            }
            Request::Backup { after } => {
                let all = self.backups.get(&account).into_iter().flatten();
                let mut rest = all.filter(|(name, _)| after.is_none_or(|after| **name > after));
                let chunks = rest.by_ref().take(4).map(|(name, chunk)| (*name, chunk.clone())).collect();
                Ok(Answer::Backup { chunks, more: rest.next().is_some() })
            }
            Request::OwnAccount => Ok(Answer::Account(self.view(&account))),
            Request::ClaimOwn { device: other, room } => {
                if other == device || !me.devices.contains_key(&other) {
                    return Err(no(Code::NotReachable));
                }
                let claimed = self.claimed(&account, room, 0, |listed| *listed == other);
                if claimed.devices.is_empty() { Err(no(Code::NotReachable)) } else { Ok(Answer::Claimed(claimed)) }
            }
            Request::AppendDeviceList { link } => {
                let mut list = DeviceList::verify(account.account, &me.root, &me.links).map_err(Problem::from)?;
                let draft = parlour_proto::device_list::Link::read(&link).map_err(Problem::from)?.draft;
                if list.notice(&draft, self.now).is_some() {
                    return Err(no(Code::SlowDown));
                }
                list.append(link.clone()).map_err(Problem::from)?;
                if list.devices().len() == 0 {
                    return Err(no(Code::BadDeviceList));
                }
                me.links.push(link);
                let known: Vec<DeviceId> = me.devices.keys().copied().collect();
                for added in list.devices().filter(|listed| !known.contains(&listed.id)) {
                    self.make_device(&account, added.id);
                }
                self.tell_list(key, &account);
                for removed in known.iter().filter(|device| list.device(device).is_none()) {
                    self.revoke(&account, removed);
                }
                Ok(Answer::Done)
            }
            Request::PublishKeyPackages { pool, packages } => {
                let known = me.devices.get_mut(&device).unwrap();
                match pool {
                    Pool::Door => known.pools[0].extend(packages),
                    Pool::Stranger => known.pools[1].extend(packages),
                    Pool::LastResort => {
                        known.last_resort = packages.into_iter().next();
                        known.last_resort_used = false;
                    }
                }
                Ok(self.pools(&account, &device))
            }
            Request::DropKeyPackages => {
                let known = me.devices.get_mut(&device).unwrap();
                known.pools = Default::default();
                (known.last_resort, known.last_resort_used) = (None, true);
                Ok(self.pools(&account, &device))
            }
            Request::Claim { who, room } => {
                // The strictest rule that lets them pass.
                let mut invited = ReachRule::Ask;
                let target = match who {
                    Who::Address { app, handle } => {
                        let info =
                            Self::apps().into_iter().find(|info| info.app == app).ok_or(no(Code::NotReachable))?;
                        let handle = Handle::parse(info.sign_in, &handle).map_err(|_| no(Code::NotReachable))?;
                        self.handles.get(&(app, handle.canonical().to_owned())).cloned()
                    }
                    Who::Account(account) => Some(account),
                    Who::Invite(token) => {
                        let digest = token.digest();
                        let found =
                            self.accounts.iter_mut().find(|(_, a)| a.invites.get(&digest).is_some_and(|(n, _)| *n > 0));
                        found.map(|(account, a)| {
                            let (uses, everywhere) = a.invites.get_mut(&digest).unwrap();
                            *uses -= 1;
                            invited = if *everywhere { ReachRule::Nobody } else { ReachRule::Invite };
                            account.clone()
                        })
                    }
                };
                let target = target.ok_or(no(Code::NotReachable))?;
                let known = self.accounts.get(&target).filter(|_| target != account).ok_or(no(Code::NotReachable))?;
                let rule = known.reach.get(&account.app).copied().unwrap_or(ReachRule::Ask);
                if known.blocked.contains(&account) || rule as u32 > invited as u32 {
                    return Err(no(Code::NotReachable));
                }
                Ok(Answer::Claimed(self.claimed(&target, room, 1, |_| true)))
            }
            Request::OwnGrant { room, member_key } => {
                Ok(Answer::Grant { grant: self.grant(Grant { room, member_key, mailbox, asked: false }) })
            }
            Request::CreateRoom { room, member_key, send_key } => {
                if self.rooms.contains_key(&room) {
                    return Err(no(Code::RoomExists));
                }
                let entry = Entry { mailbox, asked: false, spent: false, rights: Rights::ALL };
                self.rooms.insert(
                    room,
                    Room {
                        head: 0,
                        seq: 0,
                        keys: vec![(send_key, UnixMillis(u64::MAX))],
                        entries: [(member_key, entry)].into(),
                        log: Vec::new(),
                        done: HashMap::new(),
                        undo: BTreeMap::new(),
                        successor: None,
                    },
                );
                Ok(Answer::Done)
            }
            Request::Reach => Ok(Answer::Reach(me.reach.clone().into_iter().collect())),
            Request::SetReach { from, rule } => {
                me.reach.insert(from, rule);
                Ok(Answer::Reach(me.reach.clone().into_iter().collect()))
            }
            Request::CreateInvite { digest, uses, everywhere, .. } => {
                me.invites.insert(digest, (uses, everywhere));
                Ok(Answer::Done)
            }
            Request::RevokeInvite { digest } => {
                me.invites.retain(|known, _| digest.is_some_and(|gone| gone != *known));
                Ok(Answer::Done)
            }
            Request::PutDoor { digest } => {
                me.doors.insert(digest);
                Ok(Answer::Done)
            }
            Request::DropDoor { digest } => {
                me.doors.remove(&digest);
                Ok(Answer::Done)
            }
            Request::Block { account: other } => {
                me.blocked.insert(other);
                Ok(Answer::Done)
            }
            Request::Unblock { account: other } => {
                me.blocked.remove(&other);
                Ok(Answer::Done)
            }
            Request::DeleteAccount { signature } => {
                let list = DeviceList::verify(account.account, &me.root, &me.links).map_err(Problem::from)?;
                let signing = list.device(&device).unwrap().signing_key;
                let nonce = self.session(key).nonce;
                check(&signing, &delete_account_bytes(&nonce, &account.account), &signature)?;
                let others: Vec<DeviceId> = self.accounts[&account].devices.keys().copied().collect();
                for other in others.iter().filter(|other| **other != device) {
                    self.revoke(&account, other);
                }
                self.accounts.remove(&account);
                self.handles.retain(|_, known| *known != account);
                self.mailboxes.remove(&mailbox);
                Ok(Answer::Done)
            }
            _ => Err(no(Code::OutOfPlace)),
        }
    }

    fn session(&mut self, key: SocketKey) -> &mut Session {
        self.sessions.get_mut(&key).unwrap()
    }

    fn ticket(&mut self, app: AppId, handle: String, password: Option<PasswordFile>) -> Result<Answer, Problem> {
        let info = Self::apps().into_iter().find(|info| info.app == app).ok_or(no(Code::NoSuchApp))?;
        let handle = Handle::parse(info.sign_in, &handle).map_err(Problem::from)?.canonical().to_owned();
        let ticket = Secret::random(&mut self.rng);
        let exists = self.handles.contains_key(&(app.clone(), handle.clone()));
        self.tickets.insert(ticket.0, (app, handle, password));
        Ok(Answer::Ticket { ticket, exists })
    }

    fn add_device(&mut self, key: SocketKey, account: AccountRef, device: DeviceId) -> Result<Answer, Problem> {
        self.make_device(&account, device);
        self.session(key).device = Some((account.clone(), device));
        Ok(Answer::Registered(self.signed_in(&account, &device)))
    }

    fn make_device(&mut self, account: &AccountRef, device: DeviceId) {
        let mailbox = MailboxId::random(&mut self.rng);
        self.mailboxes.insert(mailbox, (0, VecDeque::new()));
        let new = Device { mailbox, pools: Default::default(), last_resort: None, last_resort_used: true };
        self.accounts.get_mut(account).unwrap().devices.insert(device, new);
    }

    /// Everything of the device goes, and its socket is told.
    fn revoke(&mut self, account: &AccountRef, device: &DeviceId) {
        let Some(gone) = self.accounts.get_mut(account).unwrap().devices.remove(device) else { return };
        self.mailboxes.remove(&gone.mailbox);
        self.online.remove(&gone.mailbox);
        let of_device = |session: &Session| session.device.as_ref().is_some_and(|(_, found)| found == device);
        for (key, session) in self.sessions.iter_mut().filter(|(_, session)| of_device(session)) {
            session.device = None;
            self.after.push((*key, Push::Closing(no(Code::NotADevice))));
        }
    }

    /// Tells the account's other signed-in devices how long its list is now.
    fn tell_list(&mut self, by: SocketKey, account: &AccountRef) {
        let known = &self.accounts[account];
        let length = known.links.len() as u32;
        let others = known.devices.values().filter_map(|device| self.online.get(&device.mailbox));
        let others = others.filter(|key| **key != by);
        self.after.extend(others.map(|key| (*key, Push::DeviceList { length })));
    }

    fn signed_in(&self, account: &AccountRef, device: &DeviceId) -> SignedIn {
        let list = self.accounts[account].links.len() as u32;
        let known = &self.accounts[account].devices[device];
        SignedIn {
            account: account.clone(),
            time: self.now,
            incarnation: self.incarnation,
            backup: self.backup_made,
            door: known.pools[0].len() as u32,
            stranger: known.pools[1].len() as u32,
            last_resort_used: known.last_resort_used,
            newest: known
                .pools
                .iter()
                .filter_map(|pool| pool.back())
                .chain(&known.last_resort)
                .map(|p| p.member_key)
                .collect(),
            list,
        }
    }

    fn pools(&self, account: &AccountRef, device: &DeviceId) -> Answer {
        let SignedIn { door, stranger, last_resort_used, .. } = self.signed_in(account, device);
        Answer::Pools { door, stranger, last_resort_used }
    }

    fn view(&self, account: &AccountRef) -> AccountView {
        let known = &self.accounts[account];
        AccountView { account: account.clone(), root_key: known.root, links: known.links.clone() }
    }

    fn grant(&mut self, grant: Grant) -> Bytes {
        let token = Bytes::copy_from_slice(&Secret::random(&mut self.rng).0);
        self.grants.insert(token.clone(), grant);
        token
    }

    fn claimed(
        &mut self,
        account: &AccountRef,
        room: RoomId,
        pool: usize,
        wanted: impl Fn(&DeviceId) -> bool,
    ) -> Claimed {
        let view = self.view(account);
        let source = self.swap_packages_with.clone().unwrap_or(account.clone());
        let mut devices = Vec::new();
        let owners: Vec<DeviceId> = self.accounts[account].devices.keys().copied().collect();
        let sources: Vec<DeviceId> = self.accounts[&source].devices.keys().copied().collect();
        for (device, from) in owners.into_iter().zip(sources).filter(|(device, _)| wanted(device)) {
            let known = self.accounts.get_mut(&source).unwrap().devices.get_mut(&from).unwrap();
            let (mailbox, last_resort) = (known.mailbox, known.pools[pool].is_empty());
            let upload = known.pools[pool].pop_front().or_else(|| {
                known.last_resort_used = true;
                known.last_resort.clone()
            });
            let Some(upload) = upload else { continue };
            let member_key = upload.member_key;
            let grant = self.grant(Grant { room, member_key, mailbox, asked: pool == 1 });
            devices.push(ClaimedDevice { device, key_package: upload.key_package, member_key, grant, last_resort });
        }
        Claimed { view, devices }
    }
}
