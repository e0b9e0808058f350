//! Whatever bytes arrive, nothing panics, and nothing but the genuine row has an effect.

mod kit;

use std::cell::RefCell;

use kit::{Device, ROOM, Row, group_of};
use parlour_e2ee::{
    Change, ClaimedKeyPackage, Evidence, Group, LeafCredential, LeaveRequest, Policy, Processed, Rows, WelcomeIn,
};
use proptest::prelude::*;

struct Scene {
    reader: Device,
    message: Row,
    whisper: Vec<u8>,
    commit: Row,
    shared: Vec<u8>,
    part: Vec<u8>,
    key_package: Rows,
    public: Vec<u8>,
}

fn scene() -> Scene {
    let (mut devices, mut log) = group_of(3);
    let message = log.message(&devices[1].seal("genuine"));
    let mut rng = devices[1].rng.clone();
    let whisper = devices[1].group().seal_whisper(b"genuine", &mut rng).expect("sealed");
    let mut joiner = Device::new(4, 4);
    let made = joiner.make_key_package(parlour_e2ee::LastResort::No);
    let package = joiner.verified(&made.public);
    let pending =
        devices[1].commit(Change::add(vec![package]).and(Change::update(parlour_e2ee::Update::KeepMemberKey)));
    let welcome = pending.welcome.clone().expect("somebody was added");
    Scene {
        reader: devices.swap_remove(0),
        message,
        whisper,
        commit: log.commit(&pending),
        shared: welcome.shared,
        part: welcome.parts[0].bytes.clone(),
        key_package: made.rows,
        public: made.public,
    }
}

/// Flips, cuts, repeats or replaces a part of the bytes.
fn mutated(bytes: &[u8], at: usize, kind: u8, noise: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let at = at % bytes.len();
    match kind % 4 {
        0 => bytes[at] ^= noise.first().copied().unwrap_or(1).max(1),
        1 => bytes.truncate(at),
        2 => bytes.extend_from_within(at..),
        _ => {
            bytes.splice(at.., noise.iter().copied());
        }
    }
    bytes
}

thread_local! {
    static SCENE: RefCell<Scene> = RefCell::new(scene());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn changed_rows_have_no_effect(at in any::<usize>(), kind in any::<u8>(), which in any::<bool>(),
                                   noise in proptest::collection::vec(any::<u8>(), 0..80)) {
        SCENE.with_borrow_mut(|scene| {
            let genuine = if which { scene.message.clone() } else { scene.commit.clone() };
            let changed = Row { bytes: mutated(&genuine.bytes, at, kind, &noise), meta: genuine.meta };
            if changed.bytes == genuine.bytes {
                return Ok(());
            }
            let read = scene.reader.group().process(&changed.bytes, &changed.meta).unwrap();
            let refused = matches!(read, Processed::Invalid(_) | Processed::NeedsRepair(_));
            prop_assert!(refused, "{:?}", read);
            prop_assert!(scene.reader.group().take_changes().is_empty());
            Ok(())
        })?;
    }

    #[test]
    fn changed_welcomes_are_refused(at in any::<usize>(), kind in any::<u8>(), which in any::<bool>(),
                                    noise in proptest::collection::vec(any::<u8>(), 0..80)) {
        SCENE.with_borrow(|scene| {
            let (mut shared, mut part) = (scene.shared.clone(), scene.part.clone());
            let piece = if which { &mut shared } else { &mut part };
            let changed = mutated(piece, at, kind, &noise);
            if *piece == changed {
                return Ok(());
            }
            *piece = changed;
            let welcome = WelcomeIn { room: ROOM, shared: &shared, part: &part };
            prop_assert!(Group::join(&welcome, scene.key_package.clone()).is_err());
            Ok(())
        })?;
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        SCENE.with_borrow_mut(|scene| {
            let meta = scene.message.meta;
            let _ = scene.reader.group().process(&bytes, &meta).unwrap();
            assert_eq!(scene.reader.group().open_whisper(&bytes), None);
            let welcome = WelcomeIn { room: ROOM, shared: &bytes, part: &bytes };
            let _ = Group::join(&welcome, scene.key_package.clone());
        });
        let _ = ClaimedKeyPackage::parse(&bytes, kit::NOW);
        let _ = LeafCredential::from_bytes(&bytes);
        let _ = Policy::from_bytes(&bytes);
        let _ = LeaveRequest::from_bytes(&bytes);
        let _ = Evidence::from_bytes(&bytes);
    }

    #[test]
    fn changed_whispers_are_not_heard(at in any::<usize>(), kind in any::<u8>(),
                                      noise in proptest::collection::vec(any::<u8>(), 0..80)) {
        SCENE.with_borrow_mut(|scene| {
            let changed = mutated(&scene.whisper, at, kind, &noise);
            let heard = scene.reader.group().open_whisper(&changed);
            prop_assert_eq!(heard.is_some(), changed == scene.whisper);
            Ok(())
        })?;
    }

    #[test]
    fn changed_key_packages_are_refused(at in any::<usize>(), kind in any::<u8>(),
                                        noise in proptest::collection::vec(any::<u8>(), 0..80)) {
        SCENE.with_borrow(|scene| {
            let changed = mutated(&scene.public, at, kind, &noise);
            prop_assert!(changed == scene.public || ClaimedKeyPackage::parse(&changed, kit::NOW).is_err());
            Ok(())
        })?;
    }
}

#[test]
fn after_all_that_the_genuine_rows_are_still_good() {
    SCENE.with_borrow_mut(|scene| {
        let message = scene.message.clone();
        assert_eq!(scene.reader.message(&message).content, b"genuine");
        let commit = scene.commit.clone();
        scene.reader.follow(&commit);
    });
}
