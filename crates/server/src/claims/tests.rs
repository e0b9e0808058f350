//! Reach, metering and the look of refusals, on a store in memory.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use ed25519_dalek::SigningKey;
use parlour_proto::{
    device_list::{Action, Draft},
    frames::{AppId, KeyPackageUpload, Pool, ReachRule, Who},
    ids::{AccountId, DeviceId, MemberKey, RoomId, Secret, UnixMillis},
    problem::Code,
};
use parlour_store::{CrashStore, ManualClock, UnixTime};

use super::Claims;
use crate::{
    accounts::{Accounts, NewAccount, Session},
    apps::Apps,
    config::Config,
    error::Refused,
    keypackages,
    keys::Keys,
    mailboxes::Mailboxes,
    reach::{Reach, Terms},
    retention::Lifetimes,
    testing::{NOON, keys, rng},
};

const ROOM: RoomId = RoomId([1; 16]);

struct World {
    store: CrashStore,
    keys: Arc<Keys>,
    apps: Apps,
    accounts: Arc<Accounts<CrashStore>>,
    claims: Claims<CrashStore>,
    lifetimes: Lifetimes,
}

impl World {
    async fn new() -> Self {
        let text = "listen = '127.0.0.1:0'\ndata = 'x'\ndev_outbox = true\n[limits]\nclaim_answer_ms = 2\n\
                    codes_per_number_per_hour = 1000\n\
                    [[app]]\nid = 'bell'\nname = 'B'\ndomain = 'b'\nsign_in = 'phone'\n\
                    [[app]]\nid = 'porch'\nname = 'P'\ndomain = 'p'\nsign_in = 'phone'\n\
                    [[app]]\nid = 'den'\nname = 'D'\ndomain = 'd'\nsign_in = 'username'\n";
        let config = Config::parse(text).unwrap();
        let store = CrashStore::new(Arc::new(ManualClock::new(UnixTime(NOON.seconds()))));
        let (keys, apps) = (keys(), Apps::new(&config));
        let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await.unwrap());
        let accounts = Arc::new(Accounts::new(
            store.clone(),
            keys.clone(),
            apps.clone(),
            mailboxes.clone(),
            &config,
            Lifetimes::default(),
        ));
        let claims = Claims::new(
            store.clone(),
            keys.clone(),
            apps.clone(),
            accounts.clone(),
            mailboxes.clone(),
            &config,
            Lifetimes::default(),
        );
        Self { store, keys, apps, accounts, claims, lifetimes: Lifetimes::default() }
    }

    /// Somebody with `packages` key packages for strangers and a last resort.
    async fn person(&self, app: &str, number: &str, packages: u8) -> Session {
        let rng = &mut rng(number.bytes().map(u64::from).sum());
        let app = AppId::parse(app).unwrap();
        self.accounts.request_code(&app, number, None, NOON, rng).unwrap();
        let code = self.accounts.codes.outbox(NOON).unwrap().pop().unwrap().code;
        let answer = self.accounts.prove_code(&app, number, &code, NOON, rng).await.unwrap();
        let parlour_proto::frames::Answer::Ticket { ticket, .. } = answer else { panic!("{answer:?}") };
        let (account, device) = (AccountId::random(rng), DeviceId::random(rng));
        let key = |rng: &mut crate::Rng| SigningKey::from_bytes(&Secret::random(rng).0);
        let (root, own) = (key(rng), key(rng));
        let action = Action::Add { device, signing_key: own.verifying_key().to_bytes(), hpke_key: [9; 32] };
        let links = [Draft::first(account, NOON, action).sign(&root)];
        let root_key = root.verifying_key().to_bytes();
        let new = NewAccount { account, root_key, links: &links, device };
        let session = self.accounts.register(&ticket, &new, NOON, rng).await.unwrap();
        self.publish(&session, Pool::Stranger, packages).await;
        self.publish(&session, Pool::LastResort, 1).await;
        session
    }

    async fn publish(&self, who: &Session, pool: Pool, count: u8) {
        let upload = |n| KeyPackageUpload { key_package: Bytes::from(vec![n; 4]), member_key: MemberKey([n; 32]) };
        let packages: Vec<_> = (0..count).map(upload).collect();
        keypackages::publish(&self.store, &who.device, pool, &packages, None).await.unwrap();
    }

    fn reach<'a>(&'a self, owner: &'a Session) -> Reach<'a, CrashStore> {
        Reach {
            store: &self.store,
            keys: &self.keys,
            apps: &self.apps,
            owner: &owner.account,
            lifetimes: &self.lifetimes,
        }
    }

    async fn claim(&self, by: &Session, who: &Who, now: UnixMillis) -> Result<Vec<bool>, Code> {
        let claimed = self.claims.claim(by, who, ROOM, now, &mut rng(3)).await;
        let claimed = claimed.map_err(|refused| Refused::problem(refused).code)?;
        Ok(claimed.devices.iter().map(|device| device.last_resort).collect())
    }
}

fn address(app: &str, number: &str) -> Who {
    Who::Address { app: AppId::parse(app).unwrap(), handle: number.into() }
}

/// An invite of one use, for an hour.
const ONCE: Terms = Terms { uses: 1, ttl_s: 3_600, everywhere: false };

#[tokio::test]
async fn key_packages_exhausted() {
    let world = World::new().await;
    let ann = world.person("bell", "+4930000001", 0).await;
    let bob = world.person("bell", "+4930000002", 2).await;
    let who = address("bell", "+4930000002");
    let mut given = Vec::new();
    for _ in 0..4 {
        given.extend(world.claim(&ann, &who, NOON).await.unwrap());
    }
    assert_eq!(given, vec![false, false, true, true], "then the last resort, again and again");
    let left = keypackages::left(&world.store, &bob.device).await.unwrap();
    assert_eq!((left.stranger, left.last_resort_used), (0, true));
    world.publish(&bob, Pool::LastResort, 1).await;
    assert!(!keypackages::left(&world.store, &bob.device).await.unwrap().last_resort_used);
}

#[tokio::test]
async fn key_packages_that_a_device_does_not_have_any_more() {
    let world = World::new().await;
    let ann = world.person("bell", "+4930000001", 0).await;
    let bob = world.person("bell", "+4930000002", 3).await;
    let who = address("bell", "+4930000002");
    let newest = async || keypackages::left_and_newest(&world.store, &bob.device).await.unwrap().1;
    assert_eq!(newest().await, [MemberKey([2; 32]), MemberKey([0; 32])], "of strangers, the last resort");
    world.claim(&ann, &who, NOON).await.unwrap();
    assert_eq!(newest().await.len(), 2, "the oldest went");
    let left = keypackages::drop_all(&world.store, &bob.device).await.unwrap();
    assert_eq!((left.door, left.stranger, left.last_resort_used), (0, 0, true));
    assert!(newest().await.is_empty());
    assert_eq!(world.claim(&ann, &who, NOON).await, Err(Code::NotReachable), "nothing is given out");
    world.publish(&bob, Pool::Stranger, 1).await;
    assert_eq!(world.claim(&ann, &who, NOON).await, Ok(vec![false]), "what came after it is");
}

#[tokio::test]
async fn other_apps_are_off_until_turned_on() {
    let world = World::new().await;
    let ann = world.person("bell", "+4930000001", 0).await;
    let bob = world.person("porch", "+4930000002", 9).await;
    let who = address("porch", "+4930000002");
    assert_eq!(world.claim(&ann, &who, NOON).await, Err(Code::NotReachable));
    let bell = AppId::parse("bell").unwrap();
    world.reach(&bob).set_rule(&bell, ReachRule::Ask).await.unwrap();
    assert!(world.claim(&ann, &who, NOON).await.is_ok());
    world.reach(&bob).set_rule(&bell, ReachRule::Invite).await.unwrap();
    assert_eq!(world.claim(&ann, &who, NOON).await, Err(Code::NotReachable));

    let token = Secret([7; 32]);
    world.reach(&bob).create_invite(&token.digest(), ONCE, NOON).await.unwrap();
    let invite = Who::Invite(token);
    world.reach(&bob).block(&ann.account).await.unwrap();
    assert_eq!(world.claim(&ann, &invite, NOON).await, Err(Code::NotReachable), "blocked");
    world.reach(&bob).unblock(&ann.account).await.unwrap();
    assert_eq!(world.claim(&ann, &invite, NOON.plus_ms(3_600_000)).await, Err(Code::NotReachable), "expired");
    assert!(world.claim(&ann, &invite, NOON).await.is_ok());
    assert_eq!(world.claim(&ann, &invite, NOON).await, Err(Code::NotReachable), "used up");

    // Where an app is off, only an invite that is made for everywhere reaches; it is not let through a block.
    world.reach(&bob).set_rule(&bell, ReachRule::Nobody).await.unwrap();
    let (plain, everywhere) = (Secret([8; 32]), Secret([9; 32]));
    world.reach(&bob).create_invite(&plain.digest(), ONCE, NOON).await.unwrap();
    let terms = Terms { everywhere: true, ..ONCE };
    world.reach(&bob).create_invite(&everywhere.digest(), terms, NOON).await.unwrap();
    let claim = |token: &Secret| Who::Invite(token.clone());
    assert_eq!(world.claim(&ann, &claim(&plain), NOON).await, Err(Code::NotReachable), "off");
    world.reach(&bob).block(&ann.account).await.unwrap();
    assert_eq!(world.claim(&ann, &claim(&everywhere), NOON).await, Err(Code::NotReachable), "blocked");
    world.reach(&bob).unblock(&ann.account).await.unwrap();
    assert!(world.claim(&ann, &claim(&everywhere), NOON).await.is_ok());
    assert_eq!(world.claim(&ann, &claim(&everywhere), NOON).await, Err(Code::NotReachable), "used up");
}

#[tokio::test]
async fn a_door_token_opens_and_closes() {
    let world = World::new().await;
    let bob = world.person("porch", "+4930000002", 1).await;
    let door = Secret([8; 32]);
    let claim = || world.claims.door_claim(&bob.account, &door, ROOM, NOON, &mut *Box::leak(Box::new(rng(1))));
    assert_eq!(claim().await.unwrap_err().problem().code, Code::NotReachable);
    world.reach(&bob).put_door(&door.digest()).await.unwrap();
    let claimed = claim().await.unwrap();
    let device = &claimed.devices[0];
    let grant = crate::grants::Grant::open(&world.keys, &ROOM, &device.member_key, &device.grant).unwrap();
    assert!(grant.open && grant.mailbox == bob.mailbox);
    world.reach(&bob).drop_door(&door.digest()).await.unwrap();
    assert_eq!(claim().await.unwrap_err().problem().code, Code::NotReachable);
}

#[tokio::test]
async fn strangers_are_metered_whether_or_not_there_is_somebody() {
    let world = World::new().await;
    let ann = world.person("bell", "+4930000001", 0).await;
    world.person("bell", "+4930000002", 9).await;
    for n in 0..19 {
        let nobody = address("bell", &format!("+493100000{n:02}"));
        assert_eq!(world.claim(&ann, &nobody, NOON).await, Err(Code::NotReachable));
    }
    let bob = address("bell", "+4930000002");
    assert!(world.claim(&ann, &bob, NOON).await.is_ok());
    assert!(world.claim(&ann, &bob, NOON).await.is_ok(), "not a new person");
    let next = address("bell", "+493200000000");
    assert_eq!(world.claim(&ann, &next, NOON).await, Err(Code::TooManyNewPeople));
    assert_eq!(world.claim(&ann, &next, NOON.plus_ms(86_400_000)).await, Err(Code::NotReachable), "a new day");
}

#[tokio::test]
async fn ones_own_account_is_not_claimed_like_a_strangers_and_costs_nothing() {
    let world = World::new().await;
    let ann = world.person("bell", "+4930000001", 9).await;
    world.publish(&ann, Pool::Door, 1).await;
    for _ in 0..25 {
        for who in [address("bell", "+4930000001"), Who::Account(ann.account.clone())] {
            assert_eq!(world.claim(&ann, &who, NOON).await, Err(Code::NotReachable));
        }
    }
    let own = world.claims.claim_own(&ann, ann.device, ROOM, NOON, &mut rng(3)).await;
    assert_eq!(own.unwrap_err().problem().code, Code::NotReachable, "there is no other device");
    let left = keypackages::left(&world.store, &ann.device).await.unwrap();
    assert_eq!((left.door, left.stranger), (1, 9));
    world.person("bell", "+4930000002", 1).await;
    assert!(world.claim(&ann, &address("bell", "+4930000002"), NOON).await.is_ok());
}

/// Of ten thousand guesses in a day, a stranger learns what twenty are worth; the others are answered without a look.
#[tokio::test]
async fn ten_thousand_guesses_of_a_stranger_are_worth_twenty() {
    const GUESSES: u32 = 10_000;
    let world = World::new().await;
    let (ann, eve) = (world.person("bell", "+4930000001", 0).await, world.person("bell", "+4930000002", 0).await);
    let invite = |n: u32| {
        let mut token = [0x5a; 32];
        token[..4].copy_from_slice(&n.to_be_bytes());
        Who::Invite(Secret(token))
    };
    let handle = |n: u32| address("bell", &format!("+4931{n:08}"));
    for (by, guess) in [(&ann, &invite as &dyn Fn(u32) -> Who), (&eve, &handle)] {
        let mut answered = 0;
        for n in 0..GUESSES {
            match world.claim(by, &guess(n), NOON.plus_ms(u64::from(n) * 4_000)).await {
                Err(Code::NotReachable) => answered += 1,
                Err(Code::TooManyNewPeople) => {}
                other => panic!("{other:?}"),
            }
        }
        // Noon to noon is two days of the calendar.
        assert!(answered <= 40, "{answered} of {GUESSES} guesses were looked at");
    }
}

/// Whether a name is taken, sign-up cannot hide; whoever tries them all is stopped.
#[tokio::test]
async fn names_are_tried_at_sign_up_at_a_measure_by_address() {
    let world = World::new().await;
    let den = AppId::parse("den").unwrap();
    let (one, other) = ([203, 0, 113, 7].into(), [203, 0, 113, 8].into());
    let try_name = async |n: u32, source| {
        let tried = world.accounts.opaque_register(&den, &format!("person{n}"), b"x", source, NOON).await;
        tried.map(|_| ()).unwrap_err().problem().code
    };
    let mut looked_at = 0;
    for n in 0..10_000 {
        match try_name(n, Some(one)).await {
            Code::SlowDown => {}
            _ => looked_at += 1,
        }
    }
    assert_eq!(looked_at, 60);
    assert_ne!(try_name(1, Some(other)).await, Code::SlowDown, "somebody else is not held up");
}

/// Fails when |t| >= 4.5 between the answer times for nobody and for somebody who is not reachable.
#[tokio::test]
async fn claim_indistinguishable() {
    const SAMPLES: usize = 10_000;
    let world = World::new().await;
    let blocked = world.person("bell", "+4930000002", 1).await;
    world.reach(&blocked).set_rule(&AppId::parse("bell").unwrap(), ReachRule::Nobody).await.unwrap();
    let ann = world.person("bell", "+4930000001", 0).await;
    let (nobody, somebody) = (address("bell", "+4930000003"), address("bell", "+4930000002"));
    let mut times = [Vec::with_capacity(SAMPLES / 2), Vec::with_capacity(SAMPLES / 2)];
    for n in 0..SAMPLES {
        let kind = usize::from((n * 2_654_435_761) >> 7 & 1 == 1);
        // A day apart each few claims, so that neither budgets nor buckets come into play.
        let now = NOON.plus_ms(n as u64 * 600_000);
        let started = Instant::now();
        let answer_at = tokio::time::Instant::now() + world.claims.answer_after();
        let answer = world.claim(&ann, if kind == 0 { &nobody } else { &somebody }, now).await;
        tokio::time::sleep_until(answer_at).await;
        times[kind].push(started.elapsed().as_secs_f64());
        assert_eq!(answer, Err(Code::NotReachable));
    }
    let t = welch(&times[0], &times[1]);
    assert!(t.abs() < 4.5, "Welch's t is {t}");
}

fn welch(a: &[f64], b: &[f64]) -> f64 {
    // The slowest percent is the machine's, not ours.
    let stats = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        sorted.truncate(sorted.len() * 99 / 100);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (n - 1.0);
        (mean, variance / n)
    };
    let ((mean_a, se_a), (mean_b, se_b)) = (stats(a), stats(b));
    (mean_a - mean_b) / (se_a + se_b).sqrt()
}
