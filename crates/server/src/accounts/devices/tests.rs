//! Links that race, devices that are revoked meanwhile, and a store that stops between any two batches.

use std::sync::Arc;

use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::{
    device_list::{Action, Draft, Signer},
    frames::{Answer, AppId, sign_in_bytes},
};
use parlour_store::{CrashStore, ManualClock, UnixTime};

use super::*;
use crate::{
    accounts::NewAccount,
    apps::Apps,
    config::Config,
    keys::Keys,
    mailboxes::Mailboxes,
    testing::{NOON, keys, rng},
};

const NONCE: [u8; 32] = [3; 32];

struct World {
    store: CrashStore,
    keys: Arc<Keys>,
    mailboxes: Arc<Mailboxes<CrashStore>>,
    accounts: Accounts<CrashStore>,
}

/// A device and its key.
struct Key {
    device: DeviceId,
    signing: SigningKey,
}

impl Key {
    fn new(seed: u8) -> Self {
        Self { device: DeviceId([seed; 16]), signing: SigningKey::from_bytes(&[seed; 32]) }
    }

    fn add(&self) -> Action {
        let signing_key = self.signing.verifying_key().to_bytes();
        Action::Add { device: self.device, signing_key, hpke_key: signing_key }
    }

    fn remove(&self) -> Action {
        Action::Remove { device: self.device }
    }
}

impl World {
    fn config() -> Config {
        let text = "listen = '127.0.0.1:0'\ndata = 'x'\ndev_outbox = true\n\
                    [[app]]\nid = 'bell'\nname = 'B'\ndomain = 'b'\nsign_in = 'phone'\n";
        Config::parse(text).unwrap()
    }

    async fn new() -> Self {
        let store = CrashStore::new(Arc::new(ManualClock::new(UnixTime(NOON.seconds()))));
        Self::on(store, keys()).await
    }

    async fn on(store: CrashStore, keys: Arc<Keys>) -> Self {
        let config = Self::config();
        let mailboxes = Arc::new(Mailboxes::open(store.clone(), keys.clone()).await.unwrap());
        let accounts = Accounts::new(
            store.clone(),
            keys.clone(),
            Apps::new(&config),
            mailboxes.clone(),
            &config,
            crate::retention::Lifetimes::default(),
        );
        Self { store, keys, mailboxes, accounts }
    }

    /// What a server finds that starts after this one was killed.
    async fn restart(&self) -> Self {
        Self::on(self.store.reopen(), self.keys.clone()).await
    }

    /// Somebody with one device.
    async fn person(&self, number: &str, first: &Key) -> Session {
        let (app, rng) = (AppId::parse("bell").unwrap(), &mut rng(u64::from(first.device.0[0])));
        self.accounts.request_code(&app, number, None, NOON, rng).unwrap();
        let code = self.accounts.codes.outbox(NOON).unwrap().pop().unwrap().code;
        let answer = self.accounts.prove_code(&app, number, &code, NOON, rng).await.unwrap();
        let Answer::Ticket { ticket, .. } = answer else { panic!("{answer:?}") };
        let (account, root) = (AccountId::random(rng), SigningKey::from_bytes(&Secret::random(rng).0));
        let links = [Draft::first(account, NOON, first.add()).sign(&root)];
        let new =
            NewAccount { account, root_key: root.verifying_key().to_bytes(), links: &links, device: first.device };
        self.accounts.register(&ticket, &new, NOON, rng).await.unwrap()
    }

    /// The next link of somebody's list.
    async fn link(&self, of: &Session, action: Action, by: &Key) -> Bytes {
        let account = self.accounts.account(&of.account.account).await.unwrap().unwrap();
        account.list.draft(NOON, action, Signer::Device(by.device)).sign(&by.signing)
    }

    async fn append(&self, by: &Session, link: Bytes) -> Result<(), Code> {
        let seed = u64::from(link[link.len() - 1]);
        code(self.accounts.append_link(by, link, NOON, &mut rng(seed)).await)
    }

    async fn authenticate(&self, key: &Key) -> Result<Session, Code> {
        let signature = key.signing.sign(&sign_in_bytes(&NONCE, &key.device)).to_bytes();
        code(self.accounts.authenticate(key.device, &signature, &NONCE, NOON).await)
    }
}

fn code<T>(result: Result<T, Refused>) -> Result<T, Code> {
    result.map_err(|refused| refused.problem().code)
}

#[tokio::test]
async fn of_two_links_at_once_one_wins_and_the_other_is_signed_again() {
    let world = World::new().await;
    let (one, two, three) = (Key::new(1), Key::new(2), Key::new(3));
    let ann = world.person("+4930000001", &one).await;
    let list = world.accounts.account(&ann.account.account).await.unwrap().unwrap().list;
    let rng = &mut rng(9);
    let mut race = async |key: &Key| {
        let link = list.draft(NOON, key.add(), Signer::Device(one.device)).sign(&one.signing);
        let change = Change::new(list.clone(), link, NOON).unwrap();
        let added = admitted(&ann.account, change.added().unwrap(), rng);
        code(world.accounts.commit_change(&ann.account, &change, Some(&added), NOON).await)
    };
    assert_eq!(race(&two).await, Ok(()));
    assert_eq!(race(&three).await, Err(Code::BadDeviceList));
    assert_eq!(world.authenticate(&three).await, Err(Code::NotADevice));
    let link = world.link(&ann, three.add(), &one).await;
    assert_eq!(world.append(&ann, link).await, Ok(()));
    for key in [&one, &two, &three] {
        let session = world.authenticate(key).await.unwrap();
        assert_eq!(world.accounts.list_length(&session).await.unwrap(), 3);
    }
}

#[tokio::test]
async fn the_id_of_anothers_device_cannot_be_taken() {
    let world = World::new().await;
    let (one, eve) = (Key::new(1), Key::new(2));
    let ann = world.person("+4930000001", &one).await;
    let thief = world.person("+4930000002", &eve).await;
    let same_id = Key { device: one.device, signing: SigningKey::from_bytes(&[7; 32]) };
    let link = world.link(&thief, same_id.add(), &eve).await;
    assert_eq!(world.append(&thief, link).await, Err(Code::BadDeviceList));
    assert_eq!(world.authenticate(&same_id).await, Err(Code::NotAuthenticated));
    assert_eq!(world.authenticate(&one).await, Ok(ann));
}

#[tokio::test]
async fn the_last_device_stays() {
    let world = World::new().await;
    let (one, two) = (Key::new(1), Key::new(2));
    let ann = world.person("+4930000001", &one).await;
    let link = world.link(&ann, one.remove(), &one).await;
    assert_eq!(world.append(&ann, link).await, Err(Code::BadDeviceList));
    let link = world.link(&ann, two.add(), &one).await;
    assert_eq!(world.append(&ann, link).await, Ok(()));
    let link = world.link(&ann, one.remove(), &one).await;
    assert_eq!(world.append(&ann, link).await, Ok(()), "there is another one");
    assert_eq!(world.authenticate(&one).await, Err(Code::NotADevice));
}

#[tokio::test]
async fn a_device_that_is_revoked_while_it_signs_in_is_not_signed_in() {
    let world = World::new().await;
    let (one, two) = (Key::new(1), Key::new(2));
    let ann = world.person("+4930000001", &one).await;
    let link = world.link(&ann, two.add(), &one).await;
    world.append(&ann, link).await.unwrap();
    let revoked = world.authenticate(&two).await.unwrap();
    let link = world.link(&ann, two.remove(), &one).await;
    world.append(&ann, link).await.unwrap();
    assert_eq!(code(world.accounts.list_length(&revoked).await), Err(Code::NotADevice));
    // A link of its own comes too late.
    let link = world.link(&ann, Key::new(3).add(), &two).await;
    assert_eq!(world.append(&revoked, link).await, Err(Code::BadDeviceList));
}

#[tokio::test]
async fn a_crash_in_a_revocation_leaves_a_device_that_gets_nowhere() {
    let (one, two) = (Key::new(1), Key::new(2));
    // The link, the device, the tombstone of its mailbox, its rows.
    for durable in 1..=4 {
        let world = World::new().await;
        let ann = world.person("+4930000001", &one).await;
        let link = world.link(&ann, two.add(), &one).await;
        world.append(&ann, link).await.unwrap();
        let mailbox = world.authenticate(&two).await.unwrap().mailbox;
        let link = world.link(&ann, two.remove(), &one).await;
        world.store.crash_after(durable);
        assert!(world.append(&ann, link).await.is_err());
        let world = world.restart().await;
        assert_eq!(world.authenticate(&two).await, Err(Code::NotADevice), "{durable}");
        assert!(world.authenticate(&one).await.is_ok());
        assert_eq!(world.mailboxes.is_closed(&mailbox), durable >= 3, "{durable}");
    }
}

#[tokio::test]
async fn what_a_crash_left_of_a_device_goes_with_the_account() {
    let (one, two) = (Key::new(1), Key::new(2));
    let world = World::new().await;
    let ann = world.person("+4930000001", &one).await;
    let link = world.link(&ann, two.add(), &one).await;
    world.append(&ann, link).await.unwrap();
    let link = world.link(&ann, two.remove(), &one).await;
    world.store.crash_after(1);
    assert!(world.append(&ann, link).await.is_err());
    let world = world.restart().await;
    let devices = async || world.store.scan(Kind::Device.row(), None, 10).await.unwrap().rows.len();
    assert_eq!(devices().await, 2, "the record of a device that is on no list");
    let session = world.authenticate(&one).await.unwrap();
    let bytes = parlour_proto::frames::delete_account_bytes(&NONCE, &session.account.account);
    let signature = one.signing.sign(&bytes).to_bytes();
    world.accounts.delete(&session, &NONCE, &signature, NOON).await.unwrap();
    assert_eq!(devices().await, 0);
}
