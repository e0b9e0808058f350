//! Devices and a room's log, for the scenarios: what the engine and the server do around this crate, in a few lines.
#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(missing_docs, unreachable_pub, reason = "test kit")]

use std::collections::BTreeMap;

use parlour_e2ee::{
    AccountRef, Change, ClaimedKeyPackage, DeviceKeys, Group, Identity, KeyPackage, KeyPackageMade, LastResort,
    Message, PendingCommit, Policy, Processed, RowMeta, Rows, SealedMessage, StagedChange, WelcomeIn, make_key_package,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

pub const NOW: u64 = 1_900_000_000_000;
pub const ROOM: [u8; 16] = [7; 16];

/// A row of the room's log, as the server would hand it to everybody.
#[derive(Clone, Debug)]
pub struct Row {
    pub bytes: Vec<u8>,
    pub meta: RowMeta,
}

/// A device with its storage on "disk" and at most one loaded group.
pub struct Device {
    pub account: AccountRef,
    pub id: [u8; 16],
    pub keys: DeviceKeys,
    pub rng: ChaCha20Rng,
    pub disk: Rows,
    pub key_packages: BTreeMap<[u8; 32], Rows>,
    group: Option<Group>,
}

pub fn account(id: u8) -> AccountRef {
    AccountRef { app: "den.example.org".into(), id: [id; 16] }
}

impl Device {
    /// Account `account`, device `number`.
    pub fn new(account_id: u8, number: u8) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(u64::from_be_bytes([0, 0, 0, 0, 0, 0, account_id, number]));
        let keys = DeviceKeys::generate(&mut rng);
        Self {
            account: account(account_id),
            id: [number; 16],
            keys,
            rng,
            disk: Rows::default(),
            key_packages: BTreeMap::new(),
            group: None,
        }
    }

    pub fn group(&mut self) -> &mut Group {
        self.group.as_mut().expect("group is loaded")
    }

    pub fn epoch(&mut self) -> u64 {
        self.group().epoch()
    }

    /// Commits what the last operations changed; returns the bytes written.
    pub fn save(&mut self) -> usize {
        let changes = self.group().take_changes();
        self.disk.apply(&changes);
        changes.bytes()
    }

    /// The process dies: whatever was not saved is gone.
    pub fn crash(&mut self) {
        self.group = Group::load(self.disk.clone()).expect("rows read");
    }

    pub fn random_id(&mut self) -> [u8; 16] {
        let mut id = [0; 16];
        self.rng.fill_bytes(&mut id);
        id
    }

    pub fn create(&mut self, policy: &Policy) {
        let me = Identity { account: &self.account, device: self.id, keys: &self.keys };
        self.group = Some(Group::create(&me, ROOM, policy, &mut self.rng).expect("created"));
        self.save();
    }

    pub fn make_key_package(&mut self, last_resort: LastResort) -> KeyPackageMade {
        let me = Identity { account: &self.account, device: self.id, keys: &self.keys };
        let made = make_key_package(&me, last_resort, NOW, &mut self.rng).expect("made");
        self.key_packages.insert(made.member_key, made.rows.clone());
        made
    }

    /// A fresh package of this device, as somebody else would claim and verify it.
    pub fn key_package(&mut self) -> KeyPackage {
        let made = self.make_key_package(LastResort::No);
        self.verified(&made.public)
    }

    pub fn verified(&self, public: &[u8]) -> KeyPackage {
        let claimed = ClaimedKeyPackage::parse(public, NOW).expect("parses");
        claimed.verify(&self.keys.signing_public()).expect("verifies")
    }

    pub fn commit(&mut self, change: Change) -> PendingCommit {
        self.try_commit(change).expect("commit")
    }

    pub fn try_commit(&mut self, change: Change) -> Result<PendingCommit, parlour_e2ee::GroupError> {
        let id = self.random_id();
        let me = Identity { account: &self.account, device: self.id, keys: &self.keys };
        let pending = self.group.as_mut().expect("loaded").commit(&me, change, id, &mut self.rng)?;
        self.save();
        Ok(pending)
    }

    pub fn seal(&mut self, text: &str) -> (SealedMessage, [u8; 16]) {
        let id = self.random_id();
        let group = self.group.as_mut().expect("loaded");
        let sealed = group.seal_message(text.as_bytes(), id, &mut self.rng).expect("sealed");
        self.save();
        (sealed, id)
    }

    pub fn join(&mut self, pending: &PendingCommit) {
        let welcome = pending.welcome.as_ref().expect("somebody was added");
        let part = welcome
            .parts
            .iter()
            .find(|part| self.key_packages.contains_key(&part.member_key))
            .expect("a part for one of my packages");
        let welcome = WelcomeIn { room: ROOM, shared: &welcome.shared, part: &part.bytes };
        let joined = Group::join(&welcome, self.key_packages[&part.member_key].clone()).expect("joined");
        assert_eq!(joined.send_key_digest, pending.next_send_key_digest);
        if !joined.consumed.is_empty() {
            self.key_packages.remove(&part.member_key);
        }
        self.disk = Rows::default();
        self.group = Some(joined.group);
        self.save();
    }

    /// Reads a row and saves; a commit stays staged.
    pub fn read(&mut self, row: &Row) -> Processed {
        let processed = self.group().process(&row.bytes, &row.meta).expect("own rows are sound");
        self.save();
        processed
    }

    pub fn message(&mut self, row: &Row) -> Message {
        match self.read(row) {
            Processed::Message(message) => *message,
            other => panic!("message expected, not {other:?}"),
        }
    }

    pub fn staged(&mut self, row: &Row) -> StagedChange {
        match self.read(row) {
            Processed::Commit(change) => *change,
            other => panic!("commit expected, not {other:?}"),
        }
    }

    /// Follows a commit row, own or not.
    pub fn follow(&mut self, row: &Row) {
        match self.read(row) {
            Processed::Commit(_) => self.group().merge_staged().expect("merged"),
            Processed::OwnCommit => self.group().merge_pending(row.meta.room_seq).expect("merged"),
            other => panic!("commit expected, not {other:?}"),
        }
        self.save();
    }
}

/// The room's log.
#[derive(Default)]
pub struct Log {
    seq: u64,
}

impl Log {
    pub fn commit(&mut self, pending: &PendingCommit) -> Row {
        self.seq += 1;
        let meta = RowMeta {
            room_seq: self.seq,
            id: pending.id,
            next_send_key_digest: Some(pending.next_send_key_digest),
            tag: None,
        };
        Row { bytes: pending.commit.clone(), meta }
    }

    pub fn message(&mut self, (sealed, id): &(SealedMessage, [u8; 16])) -> Row {
        self.seq += 1;
        let meta = RowMeta { room_seq: self.seq, id: *id, next_send_key_digest: None, tag: Some(sealed.tag) };
        Row { bytes: sealed.payload.clone(), meta }
    }
}

/// A group of `n` devices of accounts 1 to n, account 1 owner, all in one epoch.
pub fn group_of(n: u8) -> (Vec<Device>, Log) {
    let mut devices: Vec<Device> = (1..=n).map(|id| Device::new(id, id)).collect();
    let mut log = Log::default();
    let policy = Policy::group(account(1), &mut devices[0].rng.clone());
    devices[0].create(&policy);
    if n > 1 {
        let packages = devices[1..].iter_mut().map(Device::key_package).collect();
        let pending = devices[0].commit(Change::add(packages));
        let row = log.commit(&pending);
        devices[0].follow(&row);
        for device in &mut devices[1..] {
            device.join(&pending);
        }
    }
    (devices, log)
}

/// All follow a commit of one of them.
pub fn all_follow(devices: &mut [Device], row: &Row) {
    for device in devices.iter_mut() {
        device.follow(row);
    }
    all_agree(devices);
}

/// All are in one epoch, with one send key, one policy and one list of members.
pub fn all_agree(devices: &mut [Device]) {
    let views: Vec<_> = devices
        .iter_mut()
        .map(|device| {
            let group = device.group();
            (group.epoch(), group.send_key_digest().expect("member"), group.policy().clone(), group.members())
        })
        .collect();
    assert!(views.windows(2).all(|pair| pair[0] == pair[1]), "members disagree");
}

/// `from` says something and all others read it.
pub fn all_hear(devices: &mut [Device], from: usize, log: &mut Log, text: &str) {
    let row = log.message(&devices[from].seal(text));
    for (index, device) in devices.iter_mut().enumerate() {
        if index == from {
            assert!(matches!(device.read(&row), Processed::OwnMessage));
        } else {
            let message = device.message(&row);
            assert_eq!(message.content, text.as_bytes());
            assert_eq!(message.sender.account(), &account(from as u8 + 1));
        }
    }
}
