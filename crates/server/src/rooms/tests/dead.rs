//! Tokens of closed mailboxes go, and nothing is delivered there any more.

use super::*;
use crate::{
    rooms::{
        cell::{STATE, partition},
        state::RoomState,
    },
    testing::NOON,
};

/// The room as it is stored; `None` when it is gone.
async fn stored(world: &World) -> Option<RoomState> {
    let row = world.store.get(&partition(&ROOM), &STATE).await.unwrap()?;
    Some(RoomState::from_bytes(&row.value, &ROOM, &world.keys).unwrap())
}

/// Whether the token of a member is in the room's stored state.
async fn has_token(world: &World, who: &Member) -> bool {
    let state = stored(world).await.unwrap();
    let entry = state.entry(&who.key()).unwrap();
    assert_eq!(entry.dead, entry.token.is_empty());
    !entry.token.is_empty()
}

#[tokio::test]
async fn a_dead_token_goes_with_the_next_message() {
    let (world, ann, bob, head) = pair().await;
    world.send(1, 1, b"before").await.unwrap();
    world.mailboxes.close(bob.mailbox, Notice::Gone, world.now).await.unwrap();
    assert!(has_token(&world, &bob).await);
    world.send(2, 1, b"after").await.unwrap();
    assert!(!has_token(&world, &bob).await && has_token(&world, &ann).await);
    assert!(world.rows(&bob).await.is_empty(), "nothing waits for the dead");
    // After a restart, too: the next committer is told whose leaf to remove.
    let world = world.restart().await;
    world.send(3, 1, b"again").await.unwrap();
    let answer = world.rooms.commit(&ann.commit(2, head, 2, vec![]), world.now, &mut rng(3)).await.unwrap();
    assert!(matches!(answer, Answer::Accepted { closed, .. } if closed == vec![bob.key()]));
    let remove = vec![EntryChange::Remove { member_key: bob.key() }];
    let head = stored(&world).await.unwrap().head;
    world.commit(&ann.commit(3, head, 3, remove)).await.unwrap();
    assert!(stored(&world).await.unwrap().entry(&bob.key()).is_none());
}

#[tokio::test]
async fn in_a_room_where_nothing_happens_it_goes_with_the_sweep_of_the_day() {
    for in_memory in [true, false] {
        let (world, ann, bob, head) = pair().await;
        world.mailboxes.close(bob.mailbox, Notice::Gone, world.now).await.unwrap();
        let world = if in_memory { world } else { world.restart().await };
        let expires = world.store.get(&partition(&ROOM), &STATE).await.unwrap().unwrap().expires;
        assert_eq!(world.rooms.tend_tokens(world.now, &mut rng(9)).await.unwrap(), 1);
        assert!(!has_token(&world, &bob).await && has_token(&world, &ann).await);
        assert_eq!(world.store.get(&partition(&ROOM), &STATE).await.unwrap().unwrap().expires, expires);
        assert_eq!(world.rooms.tend_tokens(world.now, &mut rng(9)).await.unwrap(), 0, "once");
        // The room lives on.
        world.send(1, 1, b"hello").await.unwrap();
        assert_eq!(world.texts(&ann).await, [b"hello".to_vec()]);
        world.commit(&ann.commit(2, head, 2, vec![])).await.unwrap();
    }
}

#[tokio::test]
async fn a_room_of_the_dead_is_erased() {
    for in_memory in [true, false] {
        let (world, ann, bob, _) = pair().await;
        for who in [&ann, &bob] {
            world.mailboxes.close(who.mailbox, Notice::Gone, world.now).await.unwrap();
        }
        let world = if in_memory { world } else { world.restart().await };
        world.rooms.tend_tokens(world.now, &mut rng(9)).await.unwrap();
        assert!(stored(&world).await.is_none());
        assert_eq!(code(world.send(1, 1, b"anybody?").await), Code::NoSuchRoom);
        let counted = world.store.census().await.unwrap();
        let rows = counted.iter().filter(|count| matches!(count.kind, parlour_store::Counted::Rows(_)));
        assert_eq!(rows.map(|count| count.rows).sum::<u64>(), 2, "two closed mailboxes, and nothing of the room");
    }
}

#[tokio::test]
async fn a_delivery_that_is_resumed_passes_the_dead_by() {
    let (world, ann, bob, _) = pair().await;
    world.store.crash_after(1);
    let _ = world.send(1, 1, b"on its way").await;
    assert!(world.store.has_crashed());
    // The server comes back; before the room is looked at, Bob's account is deleted.
    let store = world.store.reopen();
    let mailboxes = Arc::new(Mailboxes::open(store.clone(), world.keys.clone()).await.unwrap());
    mailboxes.close(bob.mailbox, Notice::Gone, NOON).await.unwrap();
    let world = World::on(store, world.clock.clone(), world.keys.clone(), world.now).await;
    assert_eq!(world.texts(&ann).await, [b"on its way".to_vec()]);
    assert!(world.rows(&bob).await.is_empty());
}

const DAY_MS: u64 = 86_400_000;

#[tokio::test]
async fn tokens_are_sealed_anew_under_a_new_key_and_the_one_before_is_destroyed() {
    for in_memory in [true, false] {
        let (world, ann, bob, _) = pair().await;
        let row = async |world: &World| world.store.get(&partition(&ROOM), &STATE).await.unwrap().unwrap().value;
        let copy = row(&world).await;
        let opens = |bytes: &[u8], keys: &Keys| {
            RoomState::from_bytes(bytes, &ROOM, keys).unwrap().entry(&bob.key()).unwrap().mailbox == bob.mailbox
        };
        let world = if in_memory { world } else { world.restart().await };
        assert_eq!(world.rooms.tend_tokens(world.now, &mut rng(1)).await.unwrap(), 0);
        assert_eq!(row(&world).await, copy, "without a new key nothing is written");
        let later = |days: u64| world.now.plus_ms(days * DAY_MS);
        world.keys.rotate(later(30), &mut rng(2)).unwrap();
        assert_eq!(world.rooms.tend_tokens(later(30), &mut rng(3)).await.unwrap(), 1);
        assert!(opens(&copy, &world.keys), "the key before still opens");
        // A walk that finds none, when the logs of before are gone.
        assert_eq!(world.rooms.tend_tokens(later(60), &mut rng(4)).await.unwrap(), 0);
        assert!(world.keys.has_old_seals());
        assert_eq!(world.rooms.tend_tokens(later(61), &mut rng(5)).await.unwrap(), 0);
        assert!(!world.keys.has_old_seals());
        assert!(!opens(&copy, &world.keys), "a copy of before opens no more");
        let world = world.restart().await;
        world.send(1, 1, b"hello").await.unwrap();
        assert_eq!(world.texts(&ann).await, [b"hello".to_vec()]);
        assert_eq!(world.texts(&bob).await, [b"hello".to_vec()]);
    }
}
