//! What is sealed: it opens as it was made, and not at all when it was changed.

use parlour_e2ee::{
    Pairing, Policy, Side, ValueKey, open, open_backup_chunk, open_knock, seal, seal_backup_chunk, seal_knock,
    seal_to_device,
};

use crate::{Plant, bug, edited, records, rng};

/// `KIND LENGTH EDITS`: a value of that kind and length, changed.
pub(crate) fn sealed(input: &[u8], plant: Plant) {
    let [kind, len, edits @ ..] = input else { return };
    let content = vec![0x5a; usize::from(*len) * 7];
    let key = ValueKey::from_bytes([4; 32]);
    let (name, room) = ([5; 16], [6; 16]);
    let policy = Policy::direct(records::account(1), records::account(2), &mut rng());
    let device = records::keys(1);
    let good = match kind & 3 {
        0 => seal(&key, b"place", &content, &mut rng()),
        1 => seal_backup_chunk(&key, &name, &content, &mut rng()),
        2 => seal_knock(&policy, &room, &content, &mut rng()),
        _ => seal_to_device(&device.hpke_public(), b"info", b"place", &content, &mut rng()).expect("a good key"),
    };
    let changed = edited(&good, edits);
    let opened = match kind & 3 {
        0 => open(&key, b"place", &changed).ok().map(|content| content.to_vec()),
        1 => open_backup_chunk(&key, &name, &changed).ok().map(|content| content.to_vec()),
        2 => open_knock(&policy, &room, &changed).ok(),
        _ => device.open(b"info", b"place", &changed).ok().map(|content| content.to_vec()),
    };
    assert_eq!(opened.as_ref(), (changed == good).then_some(&content));
    bug(plant, kind & 3 == 1 && opened.is_none() && changed.len() > good.len());
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..4u8).flat_map(|kind| [vec![kind, 0], vec![kind, 9], vec![kind, 30, 3, 0, 8], vec![kind, 2, 9, 0, 1]]).collect()
}

/// The first message of a pairing, from whoever sits on the relay.
pub(crate) fn pairing(input: &[u8], plant: Plant) {
    let (ours, first) = Pairing::start(Side::Offers, "123412341234", &mut rng());
    let mut other: rand_chacha::ChaCha20Rng = rand_core::SeedableRng::from_seed([8; 32]);
    let (theirs, second) = Pairing::start(Side::Joins, "123412341234", &mut other);
    let changed = edited(&second, input);
    let is_same = changed == second;
    let (Ok(ours), Ok(theirs)) = (ours.finish(&changed), theirs.finish(&first)) else {
        return bug(plant, changed.len() > second.len());
    };
    let sealed = theirs.seal("what", b"secret", &mut other);
    assert_eq!(ours.open("what", &sealed).ok().as_deref(), is_same.then_some(&b"secret"[..]));
    assert!(ours.open("what", input).is_err());
}

pub(crate) fn pairing_seeds() -> Vec<Vec<u8>> {
    vec![vec![], vec![0, 0, 1], vec![1, 0, 9], vec![5, 0, 0]]
}
