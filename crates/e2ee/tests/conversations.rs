//! Conversations from the first message to the last: what must work when nothing goes wrong.

mod kit;

use kit::{Device, Log, ROOM, account, all_agree, all_follow, all_hear, group_of};
use parlour_e2ee::{Change, GroupError, Kind, LastResort, Policy, PolicyBreach, Processed, Role, Update};

#[test]
fn two_people_write_to_each_other() {
    let (mut alice, mut bob) = (Device::new(1, 1), Device::new(2, 2));
    let mut log = Log::default();
    alice.create(&Policy::direct(account(1), account(2), &mut bob.rng.clone()));
    let pending = alice.commit(Change::add(vec![bob.key_package()]));
    let row = log.commit(&pending);
    alice.follow(&row);
    bob.join(&pending);
    let mut both = [alice, bob];
    all_agree(&mut both);
    assert_eq!(both[1].group().policy().kind, Kind::Direct);
    assert_eq!(both[1].group().room(), ROOM);
    for round in 0..3 {
        all_hear(&mut both, round % 2, &mut log, "hello");
    }
}

#[test]
fn the_send_key_is_the_same_before_and_after_for_everybody() {
    let (mut devices, mut log) = group_of(3);
    let mut joiner = Device::new(4, 4);
    let old = devices[0].group().send_key_digest().unwrap();
    let pending = devices[1].commit(Change::add(vec![joiner.key_package()]));
    assert_eq!(devices[1].group().send_key_digest().unwrap(), old, "the old key holds until the room answers");
    assert_eq!(devices[1].group().pending().unwrap().next_send_key_digest, pending.next_send_key_digest);
    let row = log.commit(&pending);
    assert_eq!(devices[0].staged(&row).send_key_digest, Some(pending.next_send_key_digest));
    devices[0].group().refuse_staged().unwrap();
    all_follow(&mut devices, &row);
    joiner.join(&pending);
    assert_eq!(joiner.group().send_key_digest().unwrap(), pending.next_send_key_digest);
    assert_eq!(devices[2].group().send_key_digest().unwrap(), pending.next_send_key_digest);
}

#[test]
fn five_members_add_remove_update_and_leave() {
    let (mut devices, mut log) = group_of(5);
    all_hear(&mut devices, 3, &mut log, "five of us");

    let pending = devices[2].commit(Change::update(Update::NewMemberKey));
    let member_key = pending.member_key;
    let row = log.commit(&pending);
    let change = devices[0].staged(&row);
    let (before, after) = change.updated.unwrap();
    assert_eq!((before.leaf, after.leaf, after.member_key()), (2, 2, member_key));
    assert_ne!(before.leaf_key(), after.leaf_key());
    after.verify(&devices[2].keys.signing_public()).unwrap();
    devices[0].group().refuse_staged().unwrap();
    all_follow(&mut devices, &row);
    assert_eq!(devices[2].group().member_key_pair().public(), member_key);
    all_hear(&mut devices, 2, &mut log, "signed by the new leaf key");

    // One leaves: asks, and somebody else commits.
    let request = devices[4].group().request_leave().unwrap();
    let request = parlour_e2ee::LeaveRequest::from_bytes(&request.to_bytes()).unwrap();
    assert_eq!(devices[3].group().leaving_leaf(&request), Some(4));
    let pending = devices[3].commit(Change::leave(vec![request.clone()]));
    let row = log.commit(&pending);
    let change = devices[4].staged(&row);
    assert!(change.self_removed && change.send_key_digest.is_none());
    devices[4].group().merge_staged().unwrap();
    assert!(!devices[4].group().is_active());
    assert_eq!(devices[4].group().send_key(), Err(GroupError::Removed));
    let mut gone = devices.pop().unwrap();
    all_follow(&mut devices, &row);
    assert_eq!(devices[0].group().leaving_leaf(&request), None);
    all_hear(&mut devices, 1, &mut log, "four of us");

    // The owner removes one; the free leaves are used again.
    let pending = devices[0].commit(Change::remove(vec![3]));
    let row = log.commit(&pending);
    let _ = devices.pop();
    all_follow(&mut devices, &row);
    let pending = devices[0].commit(Change::add(vec![gone.key_package()]));
    let row = log.commit(&pending);
    let added = devices[1].staged(&row).added;
    devices[1].group().refuse_staged().unwrap();
    all_follow(&mut devices, &row);
    gone.join(&pending);
    assert_eq!(added, [gone.group().own().unwrap()], "the leaf foretold is the leaf got");
    devices.push(gone);
    all_agree(&mut devices);
    let row = log.message(&devices[3].seal("back again"));
    assert_eq!(devices[0].message(&row).sender.account(), &account(5));
}

#[test]
fn a_policy_change_reaches_everybody_and_joiners() {
    let (mut devices, mut log) = group_of(3);
    let mut policy = devices[0].group().policy().clone();
    policy.expiry_s = Some(3600);
    policy.roles.insert(account(2), Role::Admin);
    let pending = devices[0].commit(Change::policy(policy.clone()));
    let row = log.commit(&pending);
    let (before, after) = devices[1].staged(&row).policy.unwrap();
    assert_eq!((before.expiry_s, after.expiry_s), (None, Some(3600)));
    devices[1].group().refuse_staged().unwrap();
    all_follow(&mut devices, &row);
    assert_eq!(devices[2].group().role_of(&account(2)), Role::Admin);
    let mut joiner = Device::new(4, 4);
    let pending = devices[1].commit(Change::add(vec![joiner.key_package()]));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    joiner.join(&pending);
    assert_eq!(joiner.group().policy(), &policy);
}

#[test]
fn a_knock_is_answered_by_swapping_the_leaf() {
    let (mut devices, mut log) = group_of(3);
    // Device 3 has lost its state and knocks; the plain member 2 answers.
    let package = devices[2].key_package();
    let pending = devices[1].commit(Change::swap(2, package));
    let row = log.commit(&pending);
    let change = devices[0].staged(&row);
    assert_eq!((change.added.len(), change.removed.len(), change.added[0].leaf), (1, 1, 2));
    devices[0].group().merge_staged().unwrap();
    devices[1].follow(&row);
    devices[2].join(&pending);
    all_agree(&mut devices);
    all_hear(&mut devices, 2, &mut log, "let in again");
}

#[test]
fn what_the_others_would_refuse_is_not_even_made() {
    let (mut devices, mut log) = group_of(4);
    let mut policy = devices[0].group().policy().clone();
    policy.expiry_s = Some(7_200);
    assert_eq!(devices[1].try_commit(Change::policy(policy)).err(), Some(PolicyBreach::PolicyChange.into()));
    assert_eq!(devices[1].try_commit(Change::remove(vec![2])).err(), Some(PolicyBreach::Remove.into()));
    assert_eq!(devices[1].try_commit(Change::remove(vec![9])).err(), Some(GroupError::NoSuchMember));
    let again = devices[2].key_package();
    assert_eq!(devices[1].try_commit(Change::add(vec![again])).err(), Some(PolicyBreach::Twice.into()));
    assert!(!devices[1].group().has_pending());
    all_hear(&mut devices, 1, &mut log, "nothing happened");
}

#[test]
fn a_last_resort_package_can_be_used_twice() {
    let mut carol = Device::new(3, 3);
    let made = carol.make_key_package(LastResort::Yes);
    for _ in 0..2 {
        let (mut devices, mut log) = group_of(2);
        let package = carol.verified(&made.public);
        let pending = devices[0].commit(Change::add(vec![package]));
        let row = log.commit(&pending);
        all_follow(&mut devices, &row);
        carol.join(&pending);
        assert!(carol.key_packages.contains_key(&made.member_key));
        let pending = carol.commit(Change::update(Update::KeepMemberKey));
        let row = log.commit(&pending);
        devices.push(std::mem::replace(&mut carol, Device::new(3, 3)));
        all_follow(&mut devices, &row);
        all_hear(&mut devices, 2, &mut log, "under a leaf key of its own");
        carol = devices.pop().unwrap();
    }
}

#[test]
fn messages_arrive_in_any_order_and_across_commits() {
    let (mut devices, mut log) = group_of(3);
    let early: Vec<_> = (0..30).map(|index| log.message(&devices[0].seal(&format!("{index}")))).collect();
    for row in early.iter().rev().step_by(3) {
        devices[1].message(row);
    }
    for row in &early {
        let read = devices[1].read(row);
        assert!(matches!(read, Processed::Message(_) | Processed::Duplicate));
    }
    let late = log.message(&devices[0].seal("late"));
    for _ in 0..3 {
        let pending = devices[2].commit(Change::update(Update::KeepMemberKey));
        let row = log.commit(&pending);
        all_follow(&mut devices, &row);
    }
    assert_eq!(devices[1].message(&late).content, b"late");
    let pending = devices[2].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    let too_late = devices[2].read(&late);
    assert!(matches!(too_late, Processed::NeedsRepair(parlour_e2ee::Repair::EpochGone)), "{too_late:?}");
}
