//! Attributed mode: whoever floods a room is refused, and the others are not.

use parlour_proto::frames::send_detail;

use super::*;
use crate::rooms::Whispered;

impl World {
    fn signed(&self, who: &Member, id: u64, epoch: u8) -> Send {
        let mut message_id = MessageId([0; 16]);
        message_id.0[8..].copy_from_slice(&id.to_be_bytes());
        let (tag, payload) = ([7; 32], Bytes::from_static(b"text"));
        let detail = send_detail(&message_id, &tag, &payload);
        let by = Some(who.proof("send", &detail, self.now));
        Send { room: ROOM, message_id, send_key: secret(epoch), tag, payload, by }
    }

    async fn take(&self, send: Send) -> Result<(), Refused> {
        self.rooms.send(send, self.now).await?.done().await.map(|_| ())
    }
}

fn refusal(result: Result<(), Refused>) -> Option<Code> {
    result.err().map(|refused| refused.problem().code)
}

/// A room of ann and bob in attributed mode, in epoch 2; its head.
async fn attributed() -> (World, Member, Member, u64) {
    let (world, ann, bob, head) = pair().await;
    let head = world.commit(&bob.commit(9, head, 2, vec![EntryChange::Attributed { on: true }])).await.unwrap();
    (world, ann, bob, head)
}

#[tokio::test]
async fn sends_are_signed_by_an_entry_and_nothing_of_it_is_handed_on() {
    let (world, ann, bob, _) = attributed().await;
    let unsigned = Send { by: None, ..world.signed(&ann, 1, 2) };
    assert_eq!(refusal(world.take(unsigned).await), Some(Code::Attributed));
    let stranger = Member::new(77);
    assert_eq!(refusal(world.take(world.signed(&stranger, 1, 2)).await), Some(Code::NoSuchRoom));
    let other_text = Send { payload: Bytes::from_static(b"other"), ..world.signed(&ann, 1, 2) };
    assert_eq!(refusal(world.take(other_text).await), Some(Code::BadSignature));
    let other_id = Send { message_id: MessageId([5; 16]), ..world.signed(&ann, 1, 2) };
    assert_eq!(refusal(world.take(other_id).await), Some(Code::BadSignature));
    assert_eq!(refusal(world.take(world.signed(&ann, 1, 7)).await), Some(Code::WrongSendKey), "the send key, too");
    assert_eq!(refusal(world.take(world.signed(&ann, 1, 2)).await), None);
    assert_eq!(refusal(world.take(world.signed(&bob, 2, 2)).await), None);
    let rows = world.rows(&bob).await;
    let key = ann.key().0;
    let said: Vec<_> = rows.iter().filter(|row| matches!(row.body, RowBody::Message { .. })).collect();
    assert_eq!(said.len(), 2);
    for row in said {
        let bytes = wire::encode_row(row);
        assert!(!bytes.windows(32).any(|window| window == key), "a row says who sent it");
    }
}

#[tokio::test]
async fn who_sends_too_many_is_told_when_to_come_back_and_the_others_talk() {
    let (mut world, ann, bob, _) = attributed().await;
    let mut taken = 0;
    let wait = loop {
        match world.take(world.signed(&bob, 1_000 + taken, 2)).await {
            Ok(()) => taken += 1,
            Err(refused) => {
                let problem = refused.problem();
                assert_eq!(problem.code, Code::SlowDown);
                break problem.retry_after_ms;
            }
        }
        assert!(taken < 1_000, "nobody stops him");
    };
    assert!((1..=60).contains(&taken) && wait > 0, "{taken} messages, then {wait} ms");
    assert_eq!(refusal(world.take(world.signed(&ann, 1, 2)).await), None, "she has a measure of her own");
    world.pass_ms(wait + 1);
    assert_eq!(refusal(world.take(world.signed(&bob, 5_000, 2)).await), None);
    assert_eq!(refusal(world.take(world.signed(&bob, 5_001, 2)).await), Some(Code::SlowDown));
}

#[tokio::test]
async fn unsigned_floods_use_up_nobodys_measure() {
    let (world, ann, ..) = attributed().await;
    for id in 0..6_000u64 {
        let send = Send { by: None, ..world.signed(&ann, id, 2) };
        assert_eq!(refusal(world.take(send).await), Some(Code::Attributed));
    }
    assert_eq!(refusal(world.take(world.signed(&ann, 9_000, 2)).await), None);
}

#[tokio::test]
async fn it_outlives_a_restart_and_ends_by_a_commit() {
    let (world, ann, bob, head) = attributed().await;
    let world = world.restart().await;
    let unsigned = |id| Send { by: None, ..world.signed(&ann, id, 2) };
    assert_eq!(refusal(world.take(unsigned(1)).await), Some(Code::Attributed));
    assert_eq!(world.whisper(2, b"writes").await.unwrap(), Whispered::Dropped, "what nobody can be held to is dropped");
    world.commit(&ann.commit(10, head, 3, vec![EntryChange::Attributed { on: false }])).await.unwrap();
    let send = Send { by: None, ..world.signed(&bob, 2, 3) };
    assert_eq!(refusal(world.take(send).await), None);
}

#[tokio::test]
async fn a_void_commit_s_mode_is_taken_back_with_it() {
    let (world, ann, bob, head) = pair().await;
    let void = world.commit(&bob.commit(9, head, 2, vec![EntryChange::Attributed { on: true }])).await.unwrap();
    let undo = Commit { voids: vec![void], ..ann.commit(10, void, 3, vec![]) };
    world.commit(&ann.sign(undo)).await.unwrap();
    let send = Send { by: None, ..world.signed(&ann, 1, 3) };
    assert_eq!(refusal(world.take(send).await), None);
}
