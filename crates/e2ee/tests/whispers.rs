//! Whispers: who opens them, that nothing is used up by them, what they cost.

mod kit;

use std::time::Instant;

use kit::{Device, account, all_follow, all_hear, group_of};
use parlour_e2ee::{Change, Group, GroupError, MAX_WHISPER_CONTENT, Update, WHISPER_BYTES, Whisper};

fn whisper(device: &mut Device, content: &[u8]) -> Vec<u8> {
    let mut rng = device.rng.clone();
    let _ = device.random_id();
    device.group().seal_whisper(content, &mut rng).expect("sealed")
}

fn heard(device: &mut Device, payload: &[u8]) -> Option<Whisper> {
    device.group().open_whisper(payload)
}

#[test]
fn a_whisper_is_heard_by_the_others_of_its_epoch_and_changes_nothing() {
    let (mut devices, mut log) = group_of(3);
    for content in [&b""[..], b"x", &[7; MAX_WHISPER_CONTENT]] {
        let payload = whisper(&mut devices[1], content);
        assert_eq!(payload.len(), WHISPER_BYTES, "whatever it says");
        for hears in [0, 2] {
            let heard = heard(&mut devices[hears], &payload).unwrap();
            assert_eq!((heard.sender.leaf, heard.sender.account()), (1, &account(2)));
            assert_eq!(heard.content, content);
            let device = &devices[1];
            heard.sender.verify(&device.keys.signing_public()).unwrap();
        }
    }
    assert_ne!(
        whisper(&mut devices[1], b"x"),
        whisper(&mut devices[1], b"x"),
        "nobody can tell whether it is the same"
    );
    assert!(devices.iter_mut().all(|device| device.group().take_changes().is_empty()));

    // A commit under way changes nothing of that; after it the ones of before are of another epoch.
    let before = whisper(&mut devices[0], b"before");
    let pending = devices[2].commit(Change::update(Update::KeepMemberKey));
    assert!(heard(&mut devices[2], &before).is_some());
    let row = log.commit(&pending);
    devices[1].staged(&row);
    assert!(heard(&mut devices[1], &before).is_some());
    devices[1].group().refuse_staged().unwrap();
    all_follow(&mut devices, &row);
    assert_eq!(heard(&mut devices[1], &before), None);
    let after = whisper(&mut devices[0], b"after");
    assert!(heard(&mut devices[1], &after).is_some());
}

#[test]
fn nobody_else_hears_it_or_makes_one() {
    let (mut devices, mut log) = group_of(3);
    let payload = whisper(&mut devices[0], b"x");
    // Another room of the same people, in the same epoch.
    let (mut others, _) = group_of(2);
    assert_eq!(others[1].epoch(), devices[1].epoch());
    assert_eq!(heard(&mut others[1], &payload), None);
    // Who was removed.
    let pending = devices[0].commit(Change::remove(vec![2]));
    let row = log.commit(&pending);
    let mut gone = devices.pop().unwrap();
    all_follow(&mut devices, &row);
    let payload = whisper(&mut devices[0], b"x");
    assert_eq!(heard(&mut gone, &payload), None, "it does not follow");
    let late = whisper(&mut gone, b"still here");
    assert_eq!(heard(&mut devices[0], &late), None);
    gone.staged(&row);
    gone.group().merge_staged().unwrap();
    assert_eq!(heard(&mut gone, &payload), None);
    let mut rng = gone.rng.clone();
    assert_eq!(gone.group().seal_whisper(b"x", &mut rng), Err(GroupError::Removed));
}

#[test]
fn what_is_too_long_is_refused() {
    let (mut devices, _) = group_of(2);
    let mut rng = devices[0].rng.clone();
    for len in [MAX_WHISPER_CONTENT + 1, 255, 256, 1000] {
        assert_eq!(devices[0].group().seal_whisper(&vec![0; len], &mut rng), Err(GroupError::TooLong));
    }
}

#[test]
fn thousands_of_whispers_cost_no_message() {
    let (mut devices, mut log) = group_of(2);
    let mut rng = devices[0].rng.clone();
    let rounds = 5_000;
    let started = Instant::now();
    let sealed: Vec<_> = (0..rounds).map(|_| devices[0].group().seal_whisper(b"x", &mut rng).unwrap()).collect();
    let sealing = started.elapsed() / rounds;
    let started = Instant::now();
    assert!(sealed.iter().all(|payload| devices[1].group().open_whisper(payload).is_some()));
    println!("a whisper: sealed in {sealing:?}, opened in {:?}", started.elapsed() / rounds);
    assert!(devices[0].group().take_changes().is_empty());
    // More than a ratchet goes forward at once.
    all_hear(&mut devices, 0, &mut log, "the next message of the same sender");
    let rows = devices[0].disk.clone();
    assert!(Group::load(rows).unwrap().unwrap().open_whisper(&sealed[0]).is_some(), "from the rows, too");
}
