//! Chains that verify, chains that do not, and how one list relates to another.

use super::*;
use ed25519_dalek::SigningKey;
use proptest::prelude::*;

const ACCOUNT: AccountId = AccountId([1; 16]);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn id(seed: u8) -> DeviceId {
    DeviceId([seed; 16])
}

/// The root has seed 0; a device's id and keys come from one seed.
fn add(seed: u8) -> Action {
    Action::Add { device: id(seed), signing_key: public(seed), hpke_key: [seed; 32] }
}

fn first() -> DeviceList {
    let link = Draft::first(ACCOUNT, UnixMillis(1_000), add(1)).sign(&key(0));
    DeviceList::verify(ACCOUNT, &public(0), &[link]).unwrap()
}

fn by_device(list: &DeviceList, action: Action, signer: u8) -> Bytes {
    list.draft(UnixMillis(2_000), action, Signer::Device(id(signer))).sign(&key(signer))
}

fn by_root(list: &DeviceList, action: Action) -> Bytes {
    list.draft(UnixMillis(2_000), action, Signer::Root).sign(&key(0))
}

fn with(list: &DeviceList, link: Bytes) -> DeviceList {
    let mut list = list.clone();
    list.append(link).unwrap();
    list
}

#[test]
fn a_chain_by_root_and_devices_verifies() {
    let list = first();
    let list = with(&list, by_device(&list, add(2), 1));
    let list = with(&list, by_device(&list, Action::Remove { device: id(1) }, 2));
    let list = with(&list, by_root(&list, add(3)));
    let again = DeviceList::verify(ACCOUNT, &public(0), list.links()).unwrap();
    assert_eq!(again, list);
    assert_eq!(again.devices().map(|device| device.id).collect::<Vec<_>>(), [id(2), id(3)]);
    assert_eq!(again.seq(), 4);
    assert!(again.was_removed(&id(1)) && again.device(&id(1)).is_none());
    assert_eq!(again.device(&id(3)).unwrap().signing_key, public(3));
}

#[test]
fn an_empty_list_is_refused() {
    assert_eq!(DeviceList::verify(ACCOUNT, &public(0), &[]), Err(DeviceListError::Empty));
}

#[test]
fn links_that_do_not_follow_are_refused_and_change_nothing() {
    let list = first();
    let two = with(&list, by_device(&list, add(2), 1));
    let other_account = Draft { account: AccountId([9; 16]), ..list.draft(UnixMillis(1), add(2), Signer::Root) };
    let wrong_prev = Draft { prev: [7; 32], ..list.draft(UnixMillis(1), add(2), Signer::Root) };
    let with_shared_key = Action::Add { device: id(2), signing_key: public(1), hpke_key: [2; 32] };
    let with_root_key = Action::Add { device: id(2), signing_key: public(0), hpke_key: [2; 32] };
    let with_weak_key = Action::Add { device: id(2), signing_key: [0; 32], hpke_key: [2; 32] };
    let without_hpke = Action::Add { device: id(2), signing_key: public(2), hpke_key: [0; 32] };
    let cases: Vec<(Bytes, DeviceListError)> = vec![
        (other_account.sign(&key(0)), DeviceListError::WrongAccount),
        (wrong_prev.sign(&key(0)), DeviceListError::NotNext),
        (two.draft(UnixMillis(1), add(3), Signer::Root).sign(&key(0)), DeviceListError::NotNext),
        (by_device(&list, add(2), 5), DeviceListError::UnknownSigner),
        (list.draft(UnixMillis(1), add(2), Signer::Root).sign(&key(1)), DeviceListError::BadSignature),
        (list.draft(UnixMillis(1), add(2), Signer::Device(id(1))).sign(&key(0)), DeviceListError::BadSignature),
        (by_root(&list, add(1)), DeviceListError::BadChange),
        (by_root(&list, Action::Remove { device: id(2) }), DeviceListError::BadChange),
        (by_root(&list, with_shared_key), DeviceListError::BadKey),
        (by_root(&list, with_root_key), DeviceListError::BadKey),
        (by_root(&list, with_weak_key), DeviceListError::BadKey),
        (by_root(&list, without_hpke), DeviceListError::BadKey),
        (Bytes::new(), DeviceListError::Unreadable),
        (Bytes::from(vec![1; 600]), DeviceListError::TooLarge),
    ];
    for (link, why) in cases {
        let mut changed = list.clone();
        assert_eq!(changed.append(link), Err(why));
        assert_eq!(changed, list);
    }
}

#[test]
fn a_list_cannot_begin_with_a_device_signing_for_itself() {
    let draft = Draft { signer: Signer::Device(id(1)), ..Draft::first(ACCOUNT, UnixMillis(1), add(1)) };
    let list = DeviceList::verify(ACCOUNT, &public(0), &[draft.sign(&key(1))]);
    assert_eq!(list, Err(DeviceListError::UnknownSigner));
}

#[test]
fn a_removed_device_neither_signs_nor_comes_back() {
    let list = first();
    let list = with(&list, by_root(&list, add(2)));
    let mut list = with(&list, by_root(&list, Action::Remove { device: id(1) }));
    assert_eq!(list.append(by_device(&list, add(3), 1)), Err(DeviceListError::UnknownSigner));
    assert_eq!(list.append(by_root(&list, add(1))), Err(DeviceListError::BadChange));
}

#[test]
fn devices_and_links_are_bounded() {
    let mut list = first();
    for seed in 2..=MAX_DEVICES as u8 {
        list = with(&list, by_root(&list, add(seed)));
    }
    assert_eq!(list.append(by_root(&list, add(200))), Err(DeviceListError::TooLarge));
    list.links.resize(MAX_LINKS, Bytes::new());
    assert_eq!(list.append(Bytes::new()), Err(DeviceListError::TooLarge));
}

#[test]
fn rollbacks_and_forks_are_told_from_extensions() {
    let one = first();
    let two = with(&one, by_device(&one, add(2), 1));
    let three = with(&two, by_device(&two, add(3), 2));
    let device_fork = with(&one, by_device(&one, add(4), 1));
    let longer_device_fork = with(&device_fork, by_root(&device_fork, add(5)));
    let root_fork = with(&one, by_root(&one, add(6)));
    let pin = two.pin();
    assert_eq!(two.relation(&pin), Relation::Same);
    assert_eq!(three.relation(&pin), Relation::Extends);
    assert_eq!(one.relation(&pin), Relation::Rollback);
    assert_eq!(device_fork.relation(&pin), Relation::Fork);
    // A root link after the fork does not make it the root's.
    assert_eq!(longer_device_fork.relation(&pin), Relation::Fork);
    assert_eq!(root_fork.relation(&pin), Relation::ForkByRoot);
    // The pinned list has the root's link where they part: the device's list loses.
    assert_eq!(two.relation(&root_fork.pin()), Relation::Fork);
    assert!(three.extends(&two.head()) && !one.extends(&two.head()) && !device_fork.extends(&two.head()));
    assert!(!three.extends(&Head { seq: 0, hash: [0; 32] }));
}

#[test]
fn a_pin_reads_back() {
    let one = first();
    let pin = with(&one, by_device(&one, add(2), 1)).pin();
    assert_eq!(Pin::from_bytes(&pin.to_bytes()), Some(pin.clone()));
    assert_eq!(pin.head().seq, 2);
    assert_eq!(Pin::from_bytes(&[]), None);
    assert_eq!(Pin::from_bytes(&[0; 33]), None);
}

#[test]
fn a_signer_elsewhere_signs_domain_zero_and_body() {
    use ed25519_dalek::Signer as _;
    let draft = Draft::first(ACCOUNT, UnixMillis(1_000), add(1));
    let message = [SIGN_DOMAIN.as_bytes(), &[0], &draft.body()].concat();
    let link = draft.with_signature(&key(0).sign(&message).to_bytes());
    assert_eq!(link, draft.sign(&key(0)));
}

#[test]
fn bytes_of_links_stay_the_same() {
    let list = first();
    let mut lines = String::new();
    for link in [list.links()[0].clone(), by_device(&list, add(2), 1), by_root(&list, Action::Remove { device: id(1) })]
    {
        lines.push_str(&hex::encode(&link));
        lines.push('\n');
    }
    crate::snapshot::check(include_str!("../../snapshots/device_list.hex"), &lines);
}

proptest! {
    #[test]
    fn bytes_from_anywhere_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Link::read(&bytes).is_err());
        let _ = Link::read(&[&[1][..], &bytes].concat());
    }

    #[test]
    fn a_changed_link_is_refused(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let list = first();
        let mut link = by_device(&list, add(2), 1).to_vec();
        let at = at.index(link.len());
        link[at] ^= 1 << bit;
        prop_assert!(list.clone().append(link.into()).is_err());
    }
}

#[test]
fn a_newcomer_gives_a_days_notice_to_those_who_were_there_before() {
    use super::{AHEAD_MS, NOTICE_MS};
    let at = |hours: u64| UnixMillis(1_800_000_000_000 + hours * 3_600_000);
    let key = |n: u8| ed25519_dalek::SigningKey::from_bytes(&[n; 32]);
    let id = |n: u8| DeviceId([n; 16]);
    let account = AccountId([9; 16]);
    let add = |n: u8| Action::Add { device: id(n), signing_key: key(n).verifying_key().to_bytes(), hpke_key: [n; 32] };
    let root = key(100);
    let first = Draft::first(account, at(0), add(1)).sign(&root);
    let mut list = DeviceList::verify(account, &root.verifying_key().to_bytes(), &[first]).unwrap();
    let link =
        |list: &DeviceList, time, action, by: u8| list.draft(time, action, Signer::Device(id(by))).sign(&key(by));
    // The owner's device 1 links a thief's 2, which adds 3 and says that it was there for long.
    list.append(link(&list, at(100), add(2), 1)).unwrap();
    list.append(link(&list, at(1), add(3), 2)).unwrap();
    let remove = |of: u8, by: u8| list.draft(at(101), Action::Remove { device: id(of) }, Signer::Device(id(by)));
    for thief in [2, 3] {
        assert_eq!(list.notice(&remove(1, thief), at(101)), Some(at(124)), "{thief}");
        assert_eq!(list.notice(&remove(1, thief), at(124)), None, "{thief}");
    }
    assert_eq!(list.notice(&remove(2, 3), at(101)), Some(at(124)));
    // Those who were there before act at once; so does who leaves, who takes back what it added, and the root key.
    for (of, by) in [(2, 1), (3, 1), (3, 2), (2, 2), (3, 3)] {
        assert_eq!(list.notice(&remove(of, by), at(101)), None, "{of} by {by}");
    }
    assert_eq!(list.notice(&list.draft(at(101), Action::Remove { device: id(1) }, Signer::Root), at(101)), None);
    let by_root = list.draft(at(101), add(4), Signer::Root).sign(&root);
    list.append(by_root).unwrap();
    let remove = |of: u8, by: u8| list.draft(at(102), Action::Remove { device: id(of) }, Signer::Device(id(by)));
    assert_eq!(list.notice(&remove(1, 4), at(102)), None, "the recovery key owes no notice");

    // Own devices believe a list by the same rule, whatever time a link says.
    let known = list.links().len();
    for (time, now, believed) in [
        (at(103), at(103), false),
        (at(130), at(103), false),
        (at(130), at(130), true),
        (UnixMillis(at(130).0 + AHEAD_MS + 1), at(130), false),
        (UnixMillis(at(100).0 + NOTICE_MS), at(200), true),
    ] {
        let mut longer = list.clone();
        longer.append(link(&list, time, Action::Remove { device: id(1) }, 2)).unwrap();
        assert_eq!(longer.gave_notice(known, now), believed, "{time:?} {now:?}");
    }
}

/// The first device adds others and removes each again.
fn long(changes: u8) -> DeviceList {
    let mut list = first();
    for n in 0..changes / 2 {
        list = with(&list, by_device(&list, add(n + 2), 1));
        let signer = if n % 2 == 0 { 1 } else { n + 2 };
        list = with(&list, by_device(&list, Action::Remove { device: id(n + 2) }, signer));
    }
    with(&list, by_root(&list, add(200)))
}

#[test]
fn a_packed_list_is_the_same_list_in_little_more_than_half_the_bytes() {
    for changes in [0, 2, 60, 100] {
        let list = long(changes);
        let packed = pack(list.links()).unwrap();
        assert_eq!(unpack(&packed), Ok((ACCOUNT, list.links().to_vec())));
        let plain: usize = list.links().iter().map(Bytes::len).sum();
        assert!(packed.len() * 10 <= plain * if changes < 60 { 8 } else { 6 }, "{} of {plain}", packed.len());
    }
    assert!(pack(long(60).links()).unwrap().len() < 8_000);
}

#[test]
fn what_is_no_list_is_neither_packed_nor_unpacked() {
    let list = long(10);
    let links = list.links();
    assert_eq!(pack(&[]), Err(DeviceListError::Empty));
    assert!(pack(&links[1..]).is_err(), "its beginning is not there");
    assert!(pack(&[&links[..3], &links[4..]].concat()).is_err(), "one is left out");
    let packed = pack(links).unwrap();
    for len in 0..packed.len() {
        assert!(
            unpack(&packed[..len]).is_ok_and(|(_, links)| links.len() < list.links().len())
                || unpack(&packed[..len]).is_err()
        );
    }
    for at in 17..packed.len() {
        let mut changed = packed.clone();
        changed[at] ^= 1;
        let verified = unpack(&changed).and_then(|(_, links)| DeviceList::verify(ACCOUNT, &public(0), &links));
        assert!(verified.is_err(), "byte {at}");
    }
}
