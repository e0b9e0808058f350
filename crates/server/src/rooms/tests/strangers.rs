//! Ten thousand strangers and one mailbox.

use super::*;

/// Each of ten thousand strangers makes a room and asks Bob into it, within an hour: his mailbox takes what an hour takes, of each one
/// Welcome and one message.
#[tokio::test]
async fn ten_thousand_requests_fill_a_mailbox_with_what_an_hour_takes() {
    const STRANGERS: u32 = 10_000;
    let mut world = World::new().await;
    let eve = Member::new(1);
    let mut taken = 0;
    for n in 0..STRANGERS {
        world.pass_ms(300);
        let mut room = [7; 16];
        room[..4].copy_from_slice(&n.to_be_bytes());
        let (room, rng) = (RoomId(room), &mut rng(u64::from(n)));
        let mut seed = [9; 32];
        seed[..4].copy_from_slice(&n.to_be_bytes());
        let bob = Member { signing: SigningKey::from_bytes(&seed), mailbox: MailboxId([2; 16]) };
        world.rooms.create(room, eve.key(), secret(0).digest(), eve.mailbox, world.now, rng).await.unwrap();
        let grant = Grant::new(bob.mailbox, false, world.now, rng).seal(&world.keys, &room, &bob.key(), rng).into();
        let change = EntryChange::Add { member_key: bob.key(), grant, rights: Rights::ALL };
        let commit = eve.sign(Commit { room, ..eve.commit(1, 0, 1, vec![change]) });
        match world.rooms.commit(&commit, world.now, rng).await {
            Ok(_) => taken += 1,
            Err(refused) => assert_eq!(refused.problem().code, Code::SlowDown),
        }
    }
    let hours = 300 * u64::from(STRANGERS) / 3_600_000 + 1;
    assert!(taken <= 500 + 500 * hours, "{taken} requests");
    let limit = QueueLimit { rows: usize::MAX, bytes: usize::MAX };
    let waiting = world.store.queue_range(QueueId::Mailbox([2; 16]), Seq::START, limit).await.unwrap();
    assert_eq!(waiting.len() as u64, taken);
}
