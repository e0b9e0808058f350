//! Key packages: a hundred for contacts, a hundred for strangers, one last resort.
//!
//! Private parts are stored before the public ones are published. A pool that runs low is filled up; the last resort is
//! replaced after use and weekly, and kept for a while for Welcomes under way. The private parts of a used package are
//! deleted with the join (`e2ee` says which rows), those of packages past their age by a sweep.

use crate::api::{Event, Role};
use crate::engine::{Engine, Load, Purpose};
use crate::rows::{LAZY, prefix};
use crate::state::Package;
use parlour_e2ee::{DeviceKeys, KEY_PACKAGE_MAX_AGE_MS, LastResort};
use parlour_proto::frames::{Answer, KeyPackageUpload, Pool, Request};
use parlour_proto::ids::{MemberKey, RoomId, UnixMillis};
use parlour_proto::problem::Problem;
use rand_core::CryptoRngCore;

/// How many key packages a pool holds when full.
pub const POOL_SIZE: u32 = 100;
/// Made at one time: a step that a screen can show.
const CHUNK: u32 = 20;
const LAST_RESORT_MAX_AGE_MS: u64 = 7 * 24 * 3_600_000;
const REPLACED_KEPT_MS: u64 = 31 * 24 * 3_600_000;

/// What is still to be published.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pools {
    door: u32,
    stranger: u32,
    last_resort: bool,
    /// What the server has is to go first.
    stale: bool,
    of: u32,
}

impl Pools {
    fn left(&self) -> u32 {
        self.door + self.stranger + u32::from(self.last_resort)
    }
}

/// Key prefix of a package's private parts.
pub(crate) fn rows_prefix(identity: u16, member_key: &MemberKey) -> Vec<u8> {
    let mut key = prefix(LAZY, b'k', identity);
    key.extend(member_key.0);
    key
}

impl Engine {
    /// The server says how much is left.
    pub(crate) fn on_pools(&mut self, door: u32, stranger: u32, last_resort_used: bool) {
        let Some(me) = self.me() else { return };
        let old = self.now.since(me.last_resort_made) > LAST_RESORT_MAX_AGE_MS;
        let full = self.pool_size;
        let missing = |left: u32| if left < full.div_ceil(2) { full - left } else { 0 };
        let mut pools = Pools {
            door: missing(door),
            stranger: missing(stranger),
            last_resort: last_resort_used || old,
            ..Pools::default()
        };
        pools.of = pools.left();
        // What is being published already is not asked for twice.
        if self.pools.is_none() {
            self.pools = Some(pools);
        }
    }

    /// The server gives out packages that this device, an older copy of itself, knows nothing of: nobody would reach it by them.
    pub(crate) fn check_packages(&mut self, newest: &[MemberKey]) {
        if newest.iter().all(|member_key| self.s.packages.contains(&member_key.0)) {
            return;
        }
        tracing::warn!("the server has key packages that are not known here: new ones are made");
        // Rooms may have gone on, or this account left them, since: their logs tell.
        let live = |room: &RoomId| self.s.rooms.get(room).is_some_and(|r| r.usable() && !r.asked_here);
        let rooms: Vec<RoomId> = self.s.rooms.keys().into_iter().filter(live).collect();
        self.behind.extend(rooms.into_iter().map(|room| (room, UnixMillis(0))));
        let full = self.pool_size;
        let pools = Pools { door: full, stranger: full, last_resort: true, stale: true, of: 0 };
        self.pools = Some(Pools { of: pools.left(), ..pools });
    }

    /// Publishes the next chunk. While signing up the rows need not have been drained.
    pub(crate) fn settle_packages(&mut self, rng: &mut dyn CryptoRngCore) {
        let Some(pools) = self.pools else { return };
        if pools.left() == 0 {
            self.pools = None;
            self.sweep_packages();
            self.finish_sign_up();
            return;
        }
        if !self.may(&Purpose::Publish) {
            return;
        }
        if pools.stale {
            self.ask(Role::Inbox, Purpose::Publish, || Request::DropKeyPackages);
            return;
        }
        let (pool, count) = if pools.last_resort {
            (Pool::LastResort, 1)
        } else if pools.door > 0 {
            (Pool::Door, pools.door.min(CHUNK))
        } else {
            (Pool::Stranger, pools.stranger.min(CHUNK))
        };
        let packages: Vec<_> = (0..count).filter_map(|_| self.make_package(pool, rng)).collect();
        if packages.is_empty() {
            self.pools = None;
            return;
        }
        if pool == Pool::LastResort {
            self.last_resort_made(&packages);
        }
        self.ask(Role::Inbox, Purpose::Publish, || Request::PublishKeyPackages { pool, packages });
    }

    pub(crate) fn on_published(&mut self, result: Result<Answer, Problem>) {
        let Some(pools) = &mut self.pools else { return };
        if result.is_err() {
            // Refused for good: the next sign-in tells what is missing.
            self.pools = None;
            self.finish_sign_up();
            return;
        }
        if pools.stale {
            pools.stale = false;
        } else if pools.last_resort {
            pools.last_resort = false;
        } else if pools.door > 0 {
            pools.door -= pools.door.min(CHUNK);
        } else {
            pools.stranger -= pools.stranger.min(CHUNK);
        }
        let (left, of) = (pools.left(), pools.of);
        if let Some(intent) = self.publishing_intent() {
            let done = u64::from(of - left);
            self.tell(Event::Progress { intent, step: "making keys".into(), done, of: u64::from(of) });
        }
        self.again = true;
    }

    /// Makes one package and stores its private parts.
    pub(crate) fn make_package(&mut self, pool: Pool, rng: &mut dyn CryptoRngCore) -> Option<KeyPackageUpload> {
        let me = self.s.identity.get(&())?;
        let keys = DeviceKeys::from_bytes(&me.keys).ok()?;
        let account = crate::contacts::e2ee_account(&me.account);
        let identity = parlour_e2ee::Identity { account: &account, device: me.device.0, keys: &keys };
        let last_resort = if pool == Pool::LastResort { LastResort::Yes } else { LastResort::No };
        let made = parlour_e2ee::make_key_package(&identity, last_resort, self.server_time().0, rng).ok()?;
        let member_key = MemberKey(made.member_key);
        let start = rows_prefix(self.s.number, &member_key);
        for (key, value) in made.rows.iter() {
            self.put_row([&start, key].concat(), Some(value.to_vec()));
        }
        let number = match pool {
            Pool::Door => 0,
            Pool::Stranger => 1,
            Pool::LastResort => 2,
        };
        self.s.packages.insert(member_key.0, Package { pool: number, made: self.now, replaced: false });
        Some(KeyPackageUpload { key_package: made.public.into(), member_key })
    }

    fn last_resort_made(&mut self, newest: &[KeyPackageUpload]) {
        for key in self.s.packages.keys() {
            let is_new = newest.iter().any(|upload| upload.member_key.0 == key);
            if !is_new
                && self.s.packages.get(&key).is_some_and(|package| package.pool == 2 && !package.replaced)
                && let Some(package) = self.s.packages.get_mut(&key)
            {
                package.replaced = true;
                package.made = self.now;
            }
        }
        let now = self.now;
        if let Some(me) = self.s.identity.get_mut(&()) {
            me.last_resort_made = now;
        }
    }

    fn sweep_packages(&mut self) {
        let now = self.now;
        let too_old: Vec<_> = self
            .s
            .packages
            .iter()
            .filter(|(_, package)| {
                let kept = if package.replaced { REPLACED_KEPT_MS } else { KEY_PACKAGE_MAX_AGE_MS };
                (package.pool != 2 || package.replaced) && now.since(package.made) > kept
            })
            .map(|(key, _)| MemberKey(*key))
            .collect();
        for member_key in too_old {
            self.s.packages.remove(&member_key.0);
            self.wipe(rows_prefix(self.s.number, &member_key));
        }
    }

    /// The private parts of a package of ours, if they are loaded; asks for them otherwise.
    pub(crate) fn need_package(&mut self, member_key: MemberKey) -> bool {
        if self.package_rows.contains_key(&member_key) {
            return true;
        }
        let loading = self.loads.values().any(|load| matches!(load, Load::Package(key) if *key == member_key));
        if !loading {
            let prefix = rows_prefix(self.s.number, &member_key);
            self.load_rows(prefix, Load::Package(member_key));
        }
        false
    }

    pub(crate) fn on_package_rows(&mut self, member_key: MemberKey, rows: Vec<(Vec<u8>, Vec<u8>)>) {
        let start = rows_prefix(self.s.number, &member_key);
        let rows = rows.into_iter().filter_map(|(key, value)| Some((key.strip_prefix(&start[..])?.to_vec(), value)));
        self.package_rows.insert(member_key, rows.collect());
    }
}
