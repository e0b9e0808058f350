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
        assert_eq!(world.rooms.drop_dead_tokens(world.now).await.unwrap(), 1);
        assert!(!has_token(&world, &bob).await && has_token(&world, &ann).await);
        assert_eq!(world.store.get(&partition(&ROOM), &STATE).await.unwrap().unwrap().expires, expires);
        assert_eq!(world.rooms.drop_dead_tokens(world.now).await.unwrap(), 0, "once");
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
        world.rooms.drop_dead_tokens(world.now).await.unwrap();
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
