//! Whispers: for whoever is there and let in, and gone then.

use std::task::{Context, Poll};

use parlour_proto::frames::{MAX_WHISPER_ENTRIES, Push, ServerFrame};

use super::*;
use crate::{
    mailboxes::{Live, RoomForRows, Taken},
    rooms::{Whisper, Whispered},
};

impl World {
    pub(super) async fn whisper(&self, epoch: u8, text: &'static [u8]) -> Result<Whispered, Refused> {
        let whisper = Whisper { room: ROOM, send_key: secret(epoch), payload: Bytes::from_static(text) };
        self.rooms.whisper(&whisper, self.now).await
    }

    /// A member's socket that has read all that waited.
    fn connect(&self, who: &Member) -> Arc<Live> {
        let live = self.mailboxes.connect(who.mailbox);
        assert_eq!(next(&live), Some(Taken::ReadQueue));
        assert!(live.go_direct());
        live
    }
}

fn next(live: &Live) -> Option<Taken> {
    let mut cx = Context::from_waker(futures_util::task::noop_waker_ref());
    match live.poll_take(&mut cx, RoomForRows::Yes) {
        Poll::Ready(taken) => Some(taken),
        Poll::Pending => None,
    }
}

/// All that a socket has been handed, rows left out.
fn heard(live: &Live) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| next(live))
        .filter_map(|taken| match taken {
            Taken::Whisper(frame) => match wire::decode_server(frame) {
                Ok(ServerFrame::Push(Push::Whisper { room: ROOM, payload })) => Some(payload.to_vec()),
                other => panic!("{other:?}"),
            },
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn whoever_is_connected_hears_it_and_nobody_later() {
    let (world, ann, bob, _) = pair().await;
    let at_ann = world.connect(&ann);
    let before = world.rows(&bob).await;
    assert_eq!(world.whisper(1, b"one").await.unwrap(), Whispered::HandedOn);
    assert_eq!(heard(&at_ann), [b"one"], "the server does not know whose it is");
    let at_bob = world.connect(&bob);
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
    assert_eq!(world.rows(&bob).await, before);
    world.whisper(1, b"two").await.unwrap();
    assert_eq!((heard(&at_ann), heard(&at_bob)), (vec![b"two".to_vec()], vec![b"two".to_vec()]));
    world.mailboxes.disconnect(&bob.mailbox, &at_bob);
    assert_eq!(world.whisper(1, b"three").await.unwrap(), Whispered::HandedOn);
    let at_bob = world.connect(&bob);
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn a_whisper_reads_and_writes_nothing() {
    let (world, _, bob, _) = pair().await;
    let at_bob = world.connect(&bob);
    world.send(1, 1, b"the room is in memory").await.unwrap();
    let census = world.store.census().await.unwrap();
    let after = world.store.reopen();
    for _ in 0..3 {
        assert_eq!(world.whisper(1, b"without a store").await.unwrap(), Whispered::HandedOn);
    }
    assert_eq!(heard(&at_bob).len(), 3);
    assert!(world.send(2, 1, b"x").await.is_err(), "the store has ended");
    assert_eq!(after.census().await.unwrap(), census);
}

#[tokio::test]
async fn an_asked_entry_hears_nothing_until_it_is_opened() {
    let world = World::new().await;
    let (ann, bob) = (Member::new(1), Member::new(2));
    world.create(&ann).await;
    let change = EntryChange::Add { member_key: bob.key(), grant: world.grant(&bob, false), rights: Rights::ALL };
    world.commit(&ann.commit(1, 0, 1, vec![change])).await.unwrap();
    world.send(1, 1, b"hello").await.unwrap();
    let at_bob = world.connect(&bob);
    world.whisper(1, b"writing").await.unwrap();
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
    world.rooms.open_entry(ROOM, &bob.proof("open", &[], world.now), world.now).await.unwrap();
    world.whisper(1, b"writing").await.unwrap();
    assert_eq!(heard(&at_bob), [b"writing"]);
    world.rooms.leave_entry(ROOM, &bob.proof("leave", &[], world.now), world.now).await.unwrap();
    world.whisper(1, b"still writing").await.unwrap();
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn only_the_newest_send_key_whispers() {
    let (world, ann, bob, head) = pair().await;
    let at_bob = world.connect(&bob);
    world.commit(&ann.commit(2, head, 2, vec![])).await.unwrap();
    assert!(world.send(1, 1, b"a message still passes").await.is_ok());
    for epoch in [0, 1, 9] {
        assert_eq!(code(world.whisper(epoch, b"x").await), Code::WrongSendKey);
    }
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
    let elsewhere = Whisper { room: RoomId([9; 16]), send_key: secret(2), payload: Bytes::new() };
    assert_eq!(code(world.rooms.whisper(&elsewhere, world.now).await), Code::NoSuchRoom);
    // Whoever has no key uses up nobody's share.
    for _ in 0..100 {
        let _ = world.whisper(1, b"x").await;
    }
    assert_eq!(world.whisper(2, b"x").await.unwrap(), Whispered::HandedOn);
}

#[tokio::test]
async fn a_flood_is_dropped_and_messages_pass() {
    let (mut world, _, bob, _) = pair().await;
    let at_bob = world.connect(&bob);
    let mut handed_on = 0;
    for n in 0..100 {
        handed_on += u32::from(world.whisper(1, b"flood").await.unwrap() == Whispered::HandedOn);
        world.send(n, 1, b"hello").await.unwrap();
    }
    assert_eq!(handed_on, 16);
    assert_eq!(heard(&at_bob).len(), 16);
    assert_eq!(world.texts(&bob).await.len(), 100);
    world.pass_ms(1_000);
    for _ in 0..4 {
        assert_eq!(world.whisper(1, b"again").await.unwrap(), Whispered::HandedOn);
    }
    assert_eq!(world.whisper(1, b"again").await.unwrap(), Whispered::Dropped);
}

#[tokio::test]
async fn in_a_large_room_nobody_whispers() {
    let (world, ann, bob, mut head) = pair().await;
    let at_bob = world.connect(&bob);
    let crowd: Vec<Member> = (3..=MAX_WHISPER_ENTRIES as u8).map(Member::new).collect();
    let changes = crowd.iter().map(|who| add(&world, who, Rights(0))).collect();
    head = world.commit(&ann.commit(2, head, 2, changes)).await.unwrap();
    assert_eq!(world.whisper(2, b"as many as may be").await.unwrap(), Whispered::HandedOn);
    assert_eq!(heard(&at_bob).len(), 1);
    world.commit(&ann.commit(3, head, 3, vec![add(&world, &Member::new(200), Rights(0))])).await.unwrap();
    assert_eq!(world.whisper(3, b"too many").await.unwrap(), Whispered::Dropped);
    assert_eq!(heard(&at_bob), Vec::<Vec<u8>>::new());
}
