//! What goes wrong: races, crashes, failed joins, old copies, members who break the rules, changed bytes.

mod kit;

use kit::{Device, ROOM, Row, all_agree, all_follow, all_hear, group_of};
use parlour_e2ee::{
    Change, Group, GroupError, Invalid, JoinError, LastResort, Processed, Repair, Rows, Update, WelcomeIn,
};

#[test]
fn of_two_commits_one_wins_and_the_loser_does_its_again() {
    let (mut devices, mut log) = group_of(3);
    let mut dave = Device::new(4, 4);
    let losing = devices[1].commit(Change::add(vec![dave.key_package()]));
    let winning = devices[2].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&winning);
    all_follow(&mut devices, &row);
    assert!(!devices[1].group().has_pending(), "the winner cleared it");
    let void = log.commit(&losing);
    for device in &mut devices {
        assert!(matches!(device.read(&void), Processed::Invalid(Invalid::Epoch)));
    }
    // The package was not used: the same one will do.
    let package = dave.key_packages.keys().next().copied().unwrap();
    let again = devices[1].commit(Change::add(vec![dave.key_package()]));
    assert_ne!(again.welcome.as_ref().unwrap().parts[0].member_key, package);
    let row = log.commit(&again);
    all_follow(&mut devices, &row);
    dave.join(&again);
    devices.push(dave);
    all_agree(&mut devices);
    all_hear(&mut devices, 3, &mut log, "in at last");
}

#[test]
fn a_second_commit_does_not_replace_a_pending_one() {
    let (mut devices, mut log) = group_of(2);
    let first = devices[0].commit(Change::update(Update::KeepMemberKey));
    assert_eq!(devices[0].try_commit(Change::update(Update::KeepMemberKey)).err(), Some(GroupError::PendingCommit));
    let row = log.commit(&first);
    all_follow(&mut devices, &row);
    assert_eq!(devices[0].group().merge_pending(9).err(), Some(GroupError::NoPendingCommit));
    assert_eq!(devices[0].group().clear_pending().err(), Some(GroupError::NoPendingCommit));
}

#[test]
fn a_pending_commit_survives_a_crash_and_merges() {
    let (mut devices, mut log) = group_of(3);
    let pending = devices[1].commit(Change::update(Update::NewMemberKey));
    devices[1].crash();
    assert_eq!(devices[1].group().pending().unwrap().id, pending.id);
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    devices[1].crash();
    assert_eq!(devices[1].group().member_key_pair().public(), pending.member_key);
    all_hear(&mut devices, 1, &mut log, "the new leaf key survived, too");
}

#[test]
fn a_pending_commit_survives_a_crash_and_gives_way_to_the_winner() {
    let (mut devices, mut log) = group_of(3);
    devices[1].commit(Change::update(Update::NewMemberKey));
    devices[1].crash();
    let winning = devices[2].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&winning);
    all_follow(&mut devices, &row);
    devices[1].crash();
    assert!(!devices[1].group().has_pending());
    all_hear(&mut devices, 1, &mut log, "still with the old keys");
}

#[test]
fn a_cleared_commit_leaves_no_trace() {
    let (mut devices, mut log) = group_of(2);
    let before = devices[0].disk.clone();
    let pending = devices[0].commit(Change::update(Update::NewMemberKey));
    devices[0].group().clear_pending().unwrap();
    devices[0].save();
    let names = |rows: &Rows| rows.iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>();
    assert_eq!(names(&devices[0].disk), names(&before));
    devices[0].crash();
    all_hear(&mut devices, 0, &mut log, "as before");
    // Should it turn up in the log after all, our state is not the one that sent it.
    let row = log.commit(&pending);
    assert!(matches!(devices[0].read(&row), Processed::OldCopy));
}

#[test]
fn messages_sent_while_a_commit_is_pending_are_of_the_old_epoch() {
    let (mut devices, mut log) = group_of(3);
    let pending = devices[1].commit(Change::update(Update::KeepMemberKey));
    all_hear(&mut devices, 1, &mut log, "meanwhile");
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    all_hear(&mut devices, 1, &mut log, "afterwards");
}

#[test]
fn the_removed_neither_read_nor_derive_the_send_key() {
    let (mut devices, mut log) = group_of(3);
    let mut spy = devices.pop().unwrap();
    let spy_state = spy.disk.clone();
    let pending = devices[0].commit(Change::remove(vec![2]));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    let secret = log.message(&devices[0].seal("without you"));
    assert!(spy.staged(&row).self_removed);
    // It refuses to go, and even so has nothing.
    spy.group().refuse_staged().unwrap();
    assert_ne!(spy.group().send_key_digest().unwrap(), pending.next_send_key_digest);
    assert!(matches!(spy.read(&secret), Processed::NeedsRepair(Repair::FutureEpoch)));
    let mut forged = secret.clone();
    let epoch_at = forged.bytes.windows(8).position(|bytes| bytes == 2_u64.to_be_bytes()).unwrap();
    forged.bytes[epoch_at + 7] = 1;
    assert!(matches!(spy.read(&forged), Processed::Invalid(Invalid::Unreadable)));
    // Its messages of the old epoch come too late.
    spy.disk = spy_state;
    spy.crash();
    let late = log.message(&spy.seal("one more thing"));
    for device in &mut devices {
        assert!(matches!(device.read(&late), Processed::Invalid(Invalid::AfterRemoval)));
    }
    spy.follow(&row);
    assert!(matches!(spy.read(&secret), Processed::NeedsRepair(Repair::Removed)));
    spy.crash();
    assert!(!spy.group().is_active());
}

#[test]
fn a_message_of_the_old_epoch_sequenced_before_the_removal_is_read() {
    let (mut devices, mut log) = group_of(3);
    let early = log.message(&devices[1].seal("before"));
    let pending = devices[0].commit(Change::remove(vec![2]));
    let row = log.commit(&pending);
    devices.truncate(2);
    devices[0].follow(&row);
    assert_eq!(devices[0].message(&early).content, b"before");
}

#[test]
fn a_failed_join_keeps_the_key_package() {
    let (mut devices, _) = group_of(2);
    let mut joiner = Device::new(3, 3);
    let made = joiner.make_key_package(LastResort::No);
    let package = joiner.verified(&made.public);
    let pending = devices[0].commit(Change::add(vec![package]));
    let welcome = pending.welcome.clone().unwrap();
    let good = WelcomeIn { room: ROOM, shared: &welcome.shared, part: &welcome.parts[0].bytes };
    let mut broken = welcome.shared.clone();
    *broken.last_mut().unwrap() ^= 1;
    let other = joiner.make_key_package(LastResort::No);
    let join = |welcome: &WelcomeIn<'_>, rows: &Rows| Group::join(welcome, rows.clone()).err();
    assert!(matches!(join(&WelcomeIn { shared: &broken, ..good }, &made.rows), Some(JoinError::Refused(_))));
    assert!(matches!(join(&WelcomeIn { room: [9; 16], ..good }, &made.rows), Some(JoinError::WrongRoom)));
    assert!(matches!(join(&WelcomeIn { part: &[1, 2, 3], ..good }, &made.rows), Some(JoinError::Malformed)));
    assert!(matches!(join(&good, &other.rows), Some(JoinError::Refused(_))));
    assert!(matches!(join(&good, &Rows::default()), Some(JoinError::KeyPackage)));
    joiner.join(&pending);
    assert_eq!(joiner.key_packages.len(), 1, "the one that was used is gone, the other is not");
}

#[test]
fn own_echoes_are_known_once() {
    let (mut devices, mut log) = group_of(2);
    let message = log.message(&devices[0].seal("hello"));
    devices[0].crash();
    assert!(matches!(devices[0].read(&message), Processed::OwnMessage));
    devices[0].crash();
    assert!(matches!(devices[0].read(&message), Processed::Duplicate));
    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    devices[0].follow(&row);
    assert!(matches!(devices[0].read(&row), Processed::Duplicate));
    devices[1].message(&message);
    assert!(matches!(devices[1].read(&message), Processed::Duplicate));
}

#[test]
fn an_old_copy_notices_what_it_does_not_remember() {
    let (mut devices, mut log) = group_of(2);
    let old = devices[0].disk.clone();
    let message = log.message(&devices[0].seal("after the copy was taken"));
    devices[1].message(&message);
    devices[0].disk = old.clone();
    devices[0].crash();
    assert!(matches!(devices[0].read(&message), Processed::OldCopy));

    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    devices[0].disk = old;
    devices[0].crash();
    assert!(matches!(devices[0].read(&row), Processed::OldCopy));
}

#[test]
fn a_claimed_send_key_that_does_not_follow_is_void() {
    let (mut devices, mut log) = group_of(3);
    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let mut row = log.commit(&pending);
    row.meta.next_send_key_digest = Some([1; 32]);
    for index in [1, 2] {
        assert!(matches!(devices[index].read(&row), Processed::Invalid(Invalid::SendKeyDigest)));
    }
    row.meta.next_send_key_digest = Some(pending.next_send_key_digest);
    all_follow(&mut devices, &row);
}

#[test]
fn a_refused_commit_can_be_read_again() {
    let (mut devices, mut log) = group_of(3);
    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    devices[1].staged(&row);
    assert_eq!(devices[1].group().process(&row.bytes, &row.meta).err(), Some(GroupError::StagedCommit));
    devices[1].group().refuse_staged().unwrap();
    assert_eq!(devices[1].group().refuse_staged().err(), Some(GroupError::NothingStaged));
    assert!(devices[1].group().take_changes().is_empty());
    all_follow(&mut devices, &row);
}

#[test]
fn a_leave_request_of_somebody_else_or_another_room_is_worth_nothing() {
    let (mut devices, mut log) = group_of(3);
    let mut bytes = devices[2].group().request_leave().unwrap().to_bytes();
    *bytes.last_mut().unwrap() ^= 1;
    let forged = parlour_e2ee::LeaveRequest::from_bytes(&bytes).unwrap();
    assert_eq!(devices[1].group().leaving_leaf(&forged), None);
    assert_eq!(devices[1].try_commit(Change::leave(vec![forged])).err(), Some(GroupError::NoSuchMember));
    // A request outlives epochs, but not the leaf's renewal.
    let request = devices[2].group().request_leave().unwrap();
    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    assert_eq!(devices[1].group().leaving_leaf(&request), Some(2));
    let pending = devices[2].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
    assert_eq!(devices[1].group().leaving_leaf(&request), None);
}

#[test]
fn a_member_that_missed_a_commit_is_told_to_repair() {
    let (mut devices, mut log) = group_of(3);
    let missed = devices[0].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&missed);
    devices[0].follow(&row);
    devices[1].follow(&row);
    let next = devices[0].commit(Change::update(Update::KeepMemberKey));
    let next = log.commit(&next);
    let message = log.message(&devices[1].seal("hello"));
    assert!(matches!(devices[2].read(&next), Processed::NeedsRepair(Repair::FutureEpoch)));
    assert!(matches!(devices[2].read(&message), Processed::NeedsRepair(Repair::FutureEpoch)));
    devices[2].follow(&row);
    assert_eq!(devices[2].message(&message).content, b"hello");
}

#[test]
fn rows_that_are_broken_say_so_and_empty_ones_hold_no_group() {
    let (mut devices, _) = group_of(3);
    assert!(Group::load(Rows::default()).unwrap().is_none());
    let all: Vec<(Vec<u8>, Vec<u8>)> =
        devices[0].disk.iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    for (index, (key, value)) in all.iter().enumerate() {
        let mut cut = all.clone();
        cut[index].1 = value[..value.len() / 2].to_vec();
        // Path keys are read when a commit needs them.
        if !key.starts_with(b"mls/epoch keys/") {
            assert!(Group::load(cut.into_iter().collect()).is_err(), "{}", String::from_utf8_lossy(key));
        }
    }
    devices[0].crash();
}

#[test]
fn bytes_of_another_kind_or_room_are_void() {
    let (mut devices, mut log) = group_of(2);
    let pending = devices[0].commit(Change::update(Update::KeepMemberKey));
    let commit = log.commit(&pending);
    let message = log.message(&devices[0].seal("hello"));
    let mut in_messages_place = commit.clone();
    in_messages_place.meta.tag = Some([0; 32]);
    in_messages_place.meta.next_send_key_digest = None;
    let mut other_id = message.clone();
    other_id.meta.id[0] ^= 1;
    let mut untagged = message.clone();
    untagged.meta.tag = None;
    for row in [in_messages_place, other_id, untagged] {
        assert!(matches!(devices[1].read(&row), Processed::Invalid(Invalid::Framing)));
    }
    let mut elsewhere = message.clone();
    let room_at = elsewhere.bytes.windows(16).position(|bytes| bytes == ROOM).unwrap();
    elsewhere.bytes[room_at] ^= 1;
    assert!(matches!(devices[1].read(&elsewhere), Processed::Invalid(Invalid::WrongRoom)));
    let package = devices[0].make_key_package(LastResort::No);
    let nonsense = Row { bytes: package.public, meta: message.meta };
    assert!(matches!(devices[1].read(&nonsense), Processed::Invalid(Invalid::Malformed)));
    assert_eq!(devices[1].message(&message).content, b"hello");
}

#[test]
fn a_void_commit_leaves_a_pending_one_pending() {
    let (mut devices, mut log) = group_of(3);
    let pending = devices[1].commit(Change::update(Update::NewMemberKey));
    let other = devices[0].commit(Change::update(Update::KeepMemberKey));
    let mut void = log.commit(&other);
    void.meta.next_send_key_digest = Some([1; 32]);
    for device in &mut devices[1..] {
        assert!(matches!(device.read(&void), Processed::Invalid(Invalid::SendKeyDigest)));
    }
    assert_eq!(devices[1].group().pending().unwrap().id, pending.id);
    devices[0].group().clear_pending().unwrap();
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
}

#[test]
fn rows_do_not_pile_up() {
    let (mut devices, mut log) = group_of(3);
    let mut counts = Vec::new();
    for round in 0..12 {
        let by = round % 3;
        let pending = devices[by].commit(Change::update(Update::NewMemberKey));
        let row = log.commit(&pending);
        all_follow(&mut devices, &row);
        for from in 0..3 {
            all_hear(&mut devices, from, &mut log, "hello");
        }
        // One message whose echo never comes.
        devices[0].seal("lost");
        counts.push(devices[0].disk.len());
    }
    assert_eq!(counts[6], counts[11], "{counts:?}");
}

#[test]
fn the_same_randomness_gives_the_same_bytes() {
    let run = || {
        let (mut devices, mut log) = group_of(5);
        let mut joiner = Device::new(6, 6);
        let pending =
            devices[1].commit(Change::add(vec![joiner.key_package()]).and(Change::update(Update::NewMemberKey)));
        let row = log.commit(&pending);
        all_follow(&mut devices, &row);
        (pending.commit, pending.welcome, devices[3].seal("hello").0.payload)
    };
    assert!(run() == run());
}
