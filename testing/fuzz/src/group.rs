//! A group of two as a state machine: what is delivered, changed, twice, late, or made up.
//!
//! The group is made once and copied by its rows; then each input is a list of steps.

use std::sync::OnceLock;

use parlour_e2ee::{
    Change, ClaimedKeyPackage, Group, Identity, LastResort, Policy, Processed, RowMeta, Rows, Update, WelcomeIn,
    make_key_package,
};

use crate::{
    Plant, bug, edited,
    records::{NOW, account, keys},
    rng,
};

const ROOM: [u8; 16] = [7; 16];

/// Both sides' rows, and what made them.
struct Made {
    alice: Rows,
    bob: Rows,
    package: Rows,
    shared: Vec<u8>,
    part: Vec<u8>,
}

fn made() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(make)
}

fn make() -> Made {
    let mut rng = rng();
    let (alice_keys, bob_keys, alice, bob) = (keys(1), keys(2), account(1), account(2));
    let alice_me = Identity { account: &alice, device: [1; 16], keys: &alice_keys };
    let bob_me = Identity { account: &bob, device: [2; 16], keys: &bob_keys };
    let package = make_key_package(&bob_me, LastResort::No, NOW, &mut rng).expect("a key package");
    let claimed = ClaimedKeyPackage::parse(&package.public, NOW).expect("a good one");
    let claimed = claimed.verify(&bob_keys.signing_public()).expect("signed by the device");
    let policy = Policy::direct(alice.clone(), bob.clone(), &mut rng);
    let mut at_alice = Group::create(&alice_me, ROOM, &policy, &mut rng).expect("a group");
    let pending = at_alice.commit(&alice_me, Change::add(vec![claimed]), [1; 16], &mut rng).expect("a commit");
    at_alice.merge_pending(1).expect("merged");
    let welcome = pending.welcome.expect("somebody was added");
    let (shared, part) = (welcome.shared.to_vec(), welcome.parts[0].bytes.to_vec());
    let rows = package.rows;
    let welcome = WelcomeIn { room: ROOM, shared: &shared, part: &part };
    let mut at_bob = Group::join(&welcome, rows.clone()).expect("a good Welcome").group;
    let rows_of = |group: &mut Group| {
        let mut rows = Rows::default();
        rows.apply(&group.take_changes());
        rows
    };
    Made { alice: rows_of(&mut at_alice), bob: rows_of(&mut at_bob), package: rows, shared, part }
}

fn load(rows: Rows) -> Group {
    Group::load(rows).expect("whole rows").expect("a group")
}

/// The evidence of a message, and a request to leave.
pub(crate) fn evidence_and_leave() -> (Vec<u8>, Vec<u8>) {
    let mut alice = load(made().alice.clone());
    let sealed = alice.seal_message(b"hello", [9; 16], &mut rng()).expect("sealed");
    (sealed.evidence.to_bytes(), alice.request_leave().expect("a request").to_bytes())
}

/// Steps: `0 N EDITS*N` a message, changed; `1` the last one again; `2 N EDITS*N` a commit, changed; `3 N BYTES` made up.
pub(crate) fn group(input: &[u8], plant: Plant) {
    let (alice_keys, alice_account) = (keys(1), account(1));
    let me = Identity { account: &alice_account, device: [1; 16], keys: &alice_keys };
    let mut rng = rng();
    let mut alice = load(made().alice.clone());
    let mut bob = load(made().bob.clone());
    let (mut rest, mut seq, mut last, mut commits) = (input, 1u64, None::<(Vec<u8>, RowMeta)>, 0);
    for _ in 0..12 {
        let Some((&step, after)) = rest.split_first() else { break };
        let len = after.first().map_or(0, |n| usize::from(*n % 16)).min(after.len().saturating_sub(1));
        let (edits, after) = after.split_at_checked(len + 1).map_or((&[][..], &[][..]), |(e, a)| (&e[1..], a));
        rest = after;
        seq += 1;
        let id = [seq as u8; 16];
        match step & 3 {
            0 => {
                let sealed = alice.seal_message(b"hello", id, &mut rng).expect("sealed");
                let row = RowMeta { room_seq: seq, id, next_send_key_digest: None, tag: Some(sealed.tag) };
                let bytes = edited(&sealed.payload, edits);
                let got = matches!(bob.process(&bytes, &row), Ok(Processed::Message(_)));
                assert_eq!(got, bytes == sealed.payload, "what was changed is not read; what was not, is");
                last = got.then_some((bytes, row));
            }
            1 => {
                let Some((bytes, row)) = &last else { continue };
                let again = bob.process(bytes, row);
                assert!(!matches!(again, Ok(Processed::Message(_))), "a message is read once");
                bug(plant, commits > 0);
            }
            2 => {
                let made = alice.commit(&me, Change::update(Update::KeepMemberKey), id, &mut rng).expect("a commit");
                let digest = Some(made.next_send_key_digest);
                let row = RowMeta { room_seq: seq, id, next_send_key_digest: digest, tag: None };
                let bytes = edited(&made.commit, edits);
                match bob.process(&bytes, &row) {
                    Ok(Processed::Commit(_)) => {
                        assert!(bytes == made.commit, "a changed commit is not followed");
                        bob.merge_staged().expect("merged");
                        alice.merge_pending(seq).expect("merged");
                        commits += 1;
                    }
                    // Void: nobody follows it, and its maker makes another.
                    _ => {
                        assert!(bytes != made.commit, "a good commit is followed");
                        alice.clear_pending().expect("cleared");
                    }
                }
            }
            _ => {
                let row = RowMeta { room_seq: seq, id, next_send_key_digest: None, tag: Some([0; 32]) };
                assert!(!matches!(bob.process(edits, &row), Ok(Processed::Message(_) | Processed::Commit(_))));
                let _ = (Group::epoch_of(edits), bob.open_whisper(edits));
            }
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![
        vec![0, 0, 1, 0, 0, 0],
        vec![0, 3, 9, 0, 8, 0, 0],
        vec![2, 0, 0, 0, 1, 0],
        vec![2, 3, 50, 0, 1, 2, 0, 0, 0],
        vec![3, 4, 0, 1, 0, 2, 0, 0],
        vec![0, 0, 2, 0, 0, 0, 2, 3, 1, 0, 2, 0, 0],
    ]
}

/// `WHICH EDITS`: a Welcome whose shared part or own part is changed.
pub(crate) fn welcome(input: &[u8], plant: Plant) {
    let Some((&which, edits)) = input.split_first() else { return };
    let made = made();
    let (mut shared, mut part) = (made.shared.clone(), made.part.clone());
    let changed = if which & 1 == 0 { &mut shared } else { &mut part };
    *changed = edited(changed, edits);
    let is_same = (&shared, &part) == (&made.shared, &made.part);
    let joined = Group::join(&WelcomeIn { room: ROOM, shared: &shared, part: &part }, made.package.clone());
    assert!(joined.is_err() || is_same, "a changed Welcome leads nowhere");
    assert!(joined.is_ok() || !is_same);
    bug(plant, which & 1 == 1 && part.len() < 20);
}

pub(crate) fn welcome_seeds() -> Vec<Vec<u8>> {
    vec![vec![0], vec![1], vec![0, 3, 0, 7], vec![1, 40, 0, 0], vec![1, 9, 1, 0x20], vec![0, 9, 0, 1]]
}
