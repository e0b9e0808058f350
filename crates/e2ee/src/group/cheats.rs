//! Members who cheat: what only an insider with changed software can send.

use kit::{Device, account, all_agree, all_follow, all_hear, group_of};
use openmls::prelude::OpenMlsProvider as _;
use rand_core::CryptoRngCore;

use super::{Change, Group, GroupError, Invalid, PendingCommit, Processed, Repair, SealedMessage, Update};
use crate::franking::{Envelope, FrankingError};
use crate::policy::rules::PolicyBreach;
use crate::policy::{Policy, Role};

#[path = "../../tests/kit/mod.rs"]
mod kit;

impl Group {
    /// A message whose envelope was changed before encryption.
    fn seal_lie(
        &mut self,
        content: &[u8],
        message_id: [u8; 16],
        lie: impl FnOnce(&mut Vec<u8>),
        rng: &mut dyn CryptoRngCore,
    ) -> Result<SealedMessage, GroupError> {
        let credential = self.own_member()?.credential;
        let place = (self.room(), self.epoch(), message_id);
        let (mut plaintext, evidence) =
            Envelope::seal(content, self.own.leaf(), &credential, place, rng).expect("short");
        lie(&mut plaintext);
        let payload = tls_codec::Serialize::tls_serialize_detached(&self.encrypt(&plaintext, message_id, rng)?)
            .map_err(GroupError::mls)?;
        Ok(SealedMessage { payload, tag: evidence.tag, epoch: place.1, evidence })
    }
}

/// A member whose copy of the policy says what it likes: it makes commits that the others must refuse.
fn cheat(device: &mut Device, change: Change, policy: &Policy) -> PendingCommit {
    device.group().policy = policy.clone();
    device.commit(change)
}

#[test]
fn a_commit_against_the_policy_is_void_for_all_and_harms_nobody() {
    let (mut devices, mut log) = group_of(4);
    let mut lenient = devices[0].group().policy().clone();
    lenient.roles.insert(account(2), Role::Owner);
    let honest = devices[1].disk.clone();
    let mut takeover = lenient.clone();
    takeover.expiry_s = Some(3_605);
    takeover.roles.remove(&account(1));
    let mut robbed = lenient.clone();
    robbed.roles.remove(&account(1));
    let attempts = [
        (Change::remove(vec![3]), PolicyBreach::Remove),
        (Change::policy(takeover), PolicyBreach::PolicyChange),
        // The role of somebody who is in, beside a removal.
        (Change::remove(vec![3]).and(Change::policy(robbed)), PolicyBreach::PolicyChange),
        (Change::remove(vec![0]).and(Change::update(Update::KeepMemberKey)), PolicyBreach::Remove),
    ];
    for (change, breach) in attempts {
        let pending = cheat(&mut devices[1], change, &lenient);
        let row = log.commit(&pending);
        for index in [0, 2, 3] {
            let read = devices[index].read(&row);
            assert!(matches!(read, Processed::Invalid(Invalid::Policy(found)) if found == breach), "{read:?}");
            assert!(devices[index].group().take_changes().is_empty());
        }
        devices[1].disk = honest.clone();
        devices[1].crash();
    }
    all_agree(&mut devices);
    for index in 0..4 {
        all_hear(&mut devices, index, &mut log, "the room goes on");
    }
    let pending = devices[2].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    all_follow(&mut devices, &row);
}

#[test]
fn an_envelope_that_lies_is_refused() {
    let (mut devices, mut log) = group_of(2);
    type Lie = fn(&mut Vec<u8>);
    let lies: [(Lie, FrankingError); 4] = [
        (|envelope| *envelope.last_mut().unwrap() ^= 1, FrankingError::Signature),
        (|envelope| envelope[1] = 2, FrankingError::Malformed),
        (|envelope| envelope.push(0), FrankingError::Malformed),
        (|envelope| envelope[8] ^= 1, FrankingError::Tag),
    ];
    for (lie, error) in lies {
        let id = devices[1].random_id();
        let mut rng = devices[1].rng.clone();
        let sealed = devices[1].group().seal_lie(b"hello", id, lie, &mut rng).unwrap();
        devices[1].save();
        let row = log.message(&(sealed, id));
        let read = devices[0].read(&row);
        assert!(matches!(read, Processed::Invalid(Invalid::Franking(found)) if found == error), "{read:?} not {error}");
    }
    let row = log.message(&devices[1].seal("an honest one"));
    assert_eq!(devices[0].message(&row).content, b"an honest one");
}

#[test]
fn path_secrets_spoiled_for_one_send_only_that_one_into_repair() {
    let (mut devices, mut log) = group_of(4);
    devices[1].group().provider.crypto().spoil.store(3, std::sync::atomic::Ordering::Relaxed);
    let pending = devices[1].commit(Change::update(Update::KeepMemberKey));
    let row = log.commit(&pending);
    let mut victims = Vec::new();
    for index in [0, 2, 3] {
        match devices[index].read(&row) {
            Processed::Commit(_) => devices[index].group().merge_staged().unwrap(),
            Processed::NeedsRepair(Repair::PathSecret) => victims.push(index),
            other => panic!("{other:?}"),
        }
    }
    devices[1].follow(&row);
    assert_eq!(victims.len(), 1);
    // The victim knocks, is swapped, and all are together again.
    let victim = victims[0];
    let package = devices[victim].key_package();
    let pending = devices[1].commit(Change::swap(victim as u32, package));
    let row = log.commit(&pending);
    for index in [0, 1, 2, 3] {
        if index == victim {
            devices[index].join(&pending);
        } else {
            devices[index].follow(&row);
        }
    }
    all_agree(&mut devices);
}
