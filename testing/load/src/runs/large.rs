//! What a group of a thousand weighs: the engine's own MLS code, without sockets. The server stores and passes these bytes.
//!
//! The group grows by commits of [`BATCH`]. *Cold*: nobody but the founder has ever renewed a leaf. *Warm*: one device of each
//! batch has, as the engine's renewals do in the group's first days.

use crate::cli::Cli;
use crate::metric::Report;
use crate::note;
use crate::process::ServerBin;
use anyhow::{Context as _, Result, bail};
use parlour_e2ee::{
    AccountRef, Change, ClaimedKeyPackage, DeviceKeys, Group, Identity, KeyPackage, LastResort, PendingCommit, Policy,
    Processed, RowMeta, Rows, Update, WelcomeIn, make_key_package,
};
use rand_core::{OsRng, RngCore as _};
use std::time::Instant;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &[
    "welcome_part_bytes",
    "welcome_shared_bytes",
    "large_join_ms",
    "update_warm_bytes",
    "update_cold_bytes",
    "update_read_ms",
    "large_state_bytes",
];
const MEMBERS: usize = 1_000;
const BATCH: usize = 32;
const ROOM: [u8; 16] = [7; 16];
const NOW: u64 = 1_900_000_000_000;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, _bin: &ServerBin, report: &mut Report) -> Result<()> {
    let members = if cli.quick { 100 } else { MEMBERS };
    let mut cold = Large::grow(members, false)?;
    report.put("update_cold_bytes", len(&cold.founder_update()?.commit))?;
    drop(cold);
    let mut warm = Large::grow(members, true)?;
    let (part, shared) = warm.welcome_bytes;
    report.put("welcome_part_bytes", as_f64(part))?;
    report.put("welcome_shared_bytes", as_f64(shared))?;
    report.put("large_join_ms", warm.join_ms)?;
    let update = warm.founder_update()?;
    report.put("update_warm_bytes", len(&update.commit))?;
    report.put("update_read_ms", warm.read_ms)?;
    report.put("large_state_bytes", as_f64(warm.state_bytes))?;
    note!("{members} members in commits of {BATCH}; a warm update is {} bytes", update.commit.len());
    Ok(())
}

/// The founder's view of the group.
struct Large {
    founder: Somebody,
    group: Group,
    seq: u64,
    /// Of the last batch: a joiner's part, and what is for all of them.
    welcome_bytes: (usize, usize),
    join_ms: f64,
    read_ms: f64,
    state_bytes: usize,
}

/// An account with its one device.
struct Somebody {
    account: AccountRef,
    keys: DeviceKeys,
}

impl Somebody {
    fn new(number: usize) -> Self {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        Self { account: AccountRef { app: "den.example.org".into(), id }, keys: DeviceKeys::generate(&mut OsRng) }
    }

    fn identity(&self) -> Identity<'_> {
        Identity { account: &self.account, device: self.account.id, keys: &self.keys }
    }

    fn key_package(&self) -> Result<(KeyPackage, Rows)> {
        let made = make_key_package(&self.identity(), LastResort::No, NOW, &mut OsRng)?;
        let package = ClaimedKeyPackage::parse(&made.public, NOW)?.verify(&self.keys.signing_public())?;
        Ok((package, made.rows))
    }
}

impl Large {
    fn grow(members: usize, warm: bool) -> Result<Self> {
        let founder = Somebody::new(0);
        let policy = Policy::group(founder.account.clone(), &mut OsRng);
        let group = Group::create(&founder.identity(), ROOM, &policy, &mut OsRng)?;
        let mut large =
            Self { founder, group, seq: 0, welcome_bytes: (0, 0), join_ms: 0.0, read_ms: 0.0, state_bytes: 0 };
        let mut next = 1;
        while next < members {
            let new: Vec<Somebody> = (next..members.min(next + BATCH)).map(Somebody::new).collect();
            next += new.len();
            large.add(&new, warm)?;
        }
        anyhow::ensure!(large.group.members().len() == members, "{} members", large.group.members().len());
        Ok(large)
    }

    fn add(&mut self, new: &[Somebody], warm: bool) -> Result<()> {
        let (packages, mut rows): (Vec<_>, Vec<_>) =
            new.iter().map(Somebody::key_package).collect::<Result<Vec<_>>>()?.into_iter().unzip();
        let pending = self.group.commit(&self.founder.identity(), Change::add(packages), id(), &mut OsRng)?;
        self.seq += 1;
        self.group.merge_pending(self.seq)?;
        self.group.take_changes();
        let welcome = pending.welcome.as_ref().context("nobody was added")?;
        self.welcome_bytes =
            (welcome.parts.iter().map(|part| part.bytes.len()).max().unwrap_or(0), welcome.shared.len());
        if warm {
            let welcome = WelcomeIn { room: ROOM, shared: &welcome.shared, part: &welcome.parts[0].bytes };
            self.renewed_by(&new[0], &welcome, rows.swap_remove(0))?;
        }
        Ok(())
    }

    /// Somebody joins, renews the leaf, and everybody (the founder, here) follows.
    fn renewed_by(&mut self, somebody: &Somebody, welcome: &WelcomeIn<'_>, package: Rows) -> Result<()> {
        let started = Instant::now();
        let mut joined = Group::join(welcome, package)?.group;
        self.join_ms = started.elapsed().as_secs_f64() * 1e3;
        let mut rows = Rows::default();
        rows.apply(&joined.take_changes());
        self.state_bytes = rows.bytes();
        let update = Change::update(Update::KeepMemberKey);
        let pending = joined.commit(&somebody.identity(), update, id(), &mut OsRng)?;
        self.seq += 1;
        let meta = RowMeta {
            room_seq: self.seq,
            id: pending.id,
            next_send_key_digest: Some(pending.next_send_key_digest),
            tag: None,
        };
        let started = Instant::now();
        let Processed::Commit(_) = self.group.process(&pending.commit, &meta)? else { bail!("refused") };
        self.group.merge_staged()?;
        self.group.take_changes();
        self.read_ms = started.elapsed().as_secs_f64() * 1e3;
        Ok(())
    }

    fn founder_update(&mut self) -> Result<PendingCommit> {
        let update = Change::update(Update::KeepMemberKey);
        Ok(self.group.commit(&self.founder.identity(), update, id(), &mut OsRng)?)
    }
}

fn id() -> [u8; 16] {
    let mut id = [0; 16];
    OsRng.fill_bytes(&mut id);
    id
}

fn len(bytes: &[u8]) -> f64 {
    as_f64(bytes.len())
}

fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
