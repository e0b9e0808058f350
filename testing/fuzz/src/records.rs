//! What is signed or stored: device lists, policies, franking evidence, credentials, key packages, keys.

use bytes::Bytes;
use parlour_e2ee::{
    AccountRef, ClaimedKeyPackage, DeviceKeys, Evidence, Identity, LastResort, LeafCredential, LeaveRequest, Policy,
    RootKey, make_key_package,
};
use parlour_proto::{
    device_list::{Action, DeviceList, Draft, Link, Pin, Signer, pack, unpack},
    ids::{AccountId, DeviceId, UnixMillis},
};

use crate::{Plant, bug, corpus::snapshot, edited, rng};

const ACCOUNT: AccountId = AccountId([1; 16]);
/// Of what is made here, milliseconds.
pub(crate) const NOW: u64 = 1_900_000_000_000;

/// Keys that are always the same.
pub(crate) fn keys(n: u8) -> DeviceKeys {
    let mut rng: rand_chacha::ChaCha20Rng = rand_core::SeedableRng::from_seed([n; 32]);
    DeviceKeys::generate(&mut rng)
}

/// The account `n`.
pub(crate) fn account(n: u8) -> AccountRef {
    AccountRef { app: "den.example.org".into(), id: [n; 16] }
}

/// A list whose links are signed as they should be, built from the first bytes, and then one link that is changed.
///
/// `0 LINK`: a link as it came. `1 STEPS`: each byte adds or removes the device of that number, by the root.
pub(crate) fn device_list(input: &[u8], plant: Plant) {
    let Some((&kind, rest)) = input.split_first() else { return };
    if kind == 0 {
        let _ = (Link::read(rest), Pin::from_bytes(rest));
        if let Ok((_, links)) = unpack(rest) {
            let again = pack(&links).and_then(|packed| unpack(&packed));
            assert!(again.is_err() || again.is_ok_and(|(_, again)| again == links), "what is packed is another list");
        }
        let _ = DeviceList::verify(ACCOUNT, &[3; 32], &[Bytes::copy_from_slice(rest)]);
        return;
    }
    let root = RootKey::generate(&mut rng());
    let device = |n: u8| (DeviceId([n; 16]), keys(n));
    let add = |n: u8| {
        let (device, keys) = device(n);
        Action::Add { device, signing_key: keys.signing_public(), hpke_key: keys.hpke_public() }
    };
    let sign = |draft: &Draft| {
        let signature = root.sign(parlour_proto::device_list::SIGN_DOMAIN, &draft.body());
        draft.with_signature(&signature)
    };
    let first = Draft::first(ACCOUNT, UnixMillis(NOW), add(0));
    let mut list = DeviceList::verify(ACCOUNT, &root.public(), &[sign(&first)]).expect("the first link is good");
    let steps = rest.get(..4).unwrap_or(rest);
    for step in steps {
        let id = device(step & 7).0;
        let action = if step & 0x80 == 0 { add(step & 7) } else { Action::Remove { device: id } };
        let signer = if step & 0x40 == 0 { Signer::Root } else { Signer::Device(id) };
        let draft = list.draft(UnixMillis(NOW + u64::from(*step)), action, signer);
        let (before, link) = (list.clone(), sign(&draft));
        match list.append(link) {
            Ok(()) => assert!(signer == Signer::Root, "the root does not sign for a device"),
            Err(_) => assert_eq!(list, before, "a link that is refused changes nothing"),
        }
        bug(plant, list.was_removed(&id) && list.devices().len() > 1);
    }
    let again = DeviceList::verify(ACCOUNT, &root.public(), list.links()).expect("what was appended verifies");
    assert_eq!(again, list);
    assert_eq!(Pin::from_bytes(&list.pin().to_bytes()), Some(list.pin()));
    let draft = list.draft(UnixMillis(NOW), add(9), Signer::Root);
    let (good, edits) = (sign(&draft), rest.get(4..).unwrap_or_default());
    let changed = edited(&good, edits);
    let is_same = changed == good;
    let taken = list.append(changed.into()).is_ok();
    assert!(!taken || is_same, "a link that was changed was taken");
}

pub(crate) fn device_list_seeds() -> Vec<Vec<u8>> {
    let links = snapshot(include_str!("../../../crates/proto/snapshots/device_list.hex"));
    let first = links.first().map(|link| Bytes::copy_from_slice(link));
    let packed = pack(&Vec::from_iter(first)).expect("the first of a list is one");
    let raw = links.into_iter().chain([packed]).map(|link| [vec![0], link].concat());
    let built: [&[u8]; 4] = [&[1, 1, 2, 3, 4], &[1, 1, 0x81, 2, 3], &[1, 1, 2, 0x82, 0x41, 9, 0, 1], &[1]];
    raw.chain(built.map(<[u8]>::to_vec)).collect()
}

pub(crate) fn policy(input: &[u8], plant: Plant) {
    let Ok(policy) = Policy::from_bytes(input) else { return };
    let again = Policy::from_bytes(&policy.to_bytes()).expect("what was read can be written");
    assert_eq!(policy, again);
    bug(plant, policy.knock_key[0] & 0xf0 == 0 && policy.archive.is_some());
}

pub(crate) fn policy_seeds() -> Vec<Vec<u8>> {
    let direct = Policy::direct(account(1), account(2), &mut rng());
    let mut timed = direct.clone();
    timed.expiry_s = Some(3_600);
    timed.archive = Some(true);
    vec![direct.to_bytes(), timed.to_bytes()]
}

/// The small records; the first byte tells which.
pub(crate) fn record(input: &[u8], plant: Plant) {
    let Some((&kind, bytes)) = input.split_first() else { return };
    match kind {
        0 => {
            let Some(evidence) = Evidence::from_bytes(bytes) else { return };
            assert!(Evidence::from_bytes(&evidence.to_bytes()).is_some());
        }
        1 => {
            let Some(request) = LeaveRequest::from_bytes(bytes) else { return };
            assert!(LeaveRequest::from_bytes(&request.to_bytes()).is_some());
        }
        2 => {
            let Ok(credential) = LeafCredential::from_bytes(bytes) else { return };
            let again = LeafCredential::from_bytes(&credential.to_bytes()).expect("what was read can be written");
            assert_eq!((&credential.account, credential.device), (&again.account, again.device));
            bug(plant, credential.device[0] != 2);
        }
        _ => {
            let Ok(keys) = DeviceKeys::from_bytes(bytes) else { return };
            assert_eq!(*keys.to_bytes(), bytes);
        }
    }
}

pub(crate) fn record_seeds() -> Vec<Vec<u8>> {
    let package = make_package();
    let credential = ClaimedKeyPackage::parse(&package, NOW).expect("a good one").credential().to_bytes();
    let (evidence, leave) = crate::group::evidence_and_leave();
    let with = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
    vec![with(0, &evidence), with(1, &leave), with(2, &credential), with(3, &keys(1).to_bytes())]
}

fn make_package() -> Vec<u8> {
    let (keys, account) = (keys(2), account(2));
    let me = Identity { account: &account, device: [2; 16], keys: &keys };
    make_key_package(&me, LastResort::No, NOW, &mut rng()).expect("a key package").public.to_vec()
}

/// A good key package that is changed: who changed it has no signature of the device.
pub(crate) fn key_package(input: &[u8], plant: Plant) {
    let good = make_package();
    let changed = edited(&good, input);
    let Ok(claimed) = ClaimedKeyPackage::parse(&changed, NOW) else {
        return bug(plant, changed.len() + 2 < good.len());
    };
    let is_believed = claimed.verify(&keys(2).signing_public()).is_ok();
    assert_eq!(is_believed, changed == good);
}

pub(crate) fn key_package_seeds() -> Vec<Vec<u8>> {
    vec![vec![], vec![4, 0, 7], vec![0, 1, 0x80], vec![100, 0, 1, 9, 0, 2]]
}
