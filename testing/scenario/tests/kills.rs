//! A server that is killed again and again under load, and an oracle that remembers what was acknowledged.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{ConversationId, Intent, Reply, Target};
use parlour_proto::frames::{Answer, Pool, Push, Request, RowBody, ServerFrame};
use parlour_proto::ids::{MessageId, RoomId};
use parlour_scenario::device::{Device, WireRoom, claim, noise};
use parlour_scenario::person::{Person, befriend, exactly_once};
use parlour_scenario::process::Server;
use parlour_scenario::site::Site;
use parlour_scenario::wire::{Role, Wire};
use parlour_scenario::{PATIENCE, seeded};
use rand_core::{OsRng, RngCore as _};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// If `PARLOUR_KILLS` does not say otherwise.
const KILLS: u32 = 20;
/// The same for the power; each takes longer.
const CUTS: u32 = 10;
const WIRE_PAIRS: usize = 3;
const REAL_PAIRS: usize = 2;
/// Messages of a wire-level writer that wait for their answer.
const UNDER_WAY: usize = 16;

/// Acknowledgements so far, and whether the writers shall end.
struct Load {
    acknowledged: watch::Sender<u64>,
    over: watch::Sender<bool>,
}

/// A writer at wire level: what it was told is stored, by message id.
async fn write_on(site: Site, room: Arc<WireRoom>, load: Arc<Load>) -> Result<BTreeMap<MessageId, u64>> {
    let mut acknowledged = BTreeMap::new();
    let mut open: Vec<(MessageId, bytes::Bytes)> = Vec::new();
    loop {
        let over = *load.over.borrow();
        if over && open.is_empty() {
            return Ok(acknowledged);
        }
        let Ok(mut wire) = Wire::connect(site, Role::Outbox).await else {
            tokio::task::yield_now().await;
            continue;
        };
        // What has no answer goes again, the same bytes.
        let again = std::mem::take(&mut open);
        let _ = write_until_cut(&mut wire, &room, &load, again, &mut open, &mut acknowledged).await;
    }
}

async fn write_until_cut(
    wire: &mut Wire,
    room: &WireRoom,
    load: &Load,
    again: Vec<(MessageId, bytes::Bytes)>,
    open: &mut Vec<(MessageId, bytes::Bytes)>,
    acknowledged: &mut BTreeMap<MessageId, u64>,
) -> Result<()> {
    let mut flights = HashMap::new();
    *open = again;
    for (message_id, payload) in open.iter() {
        flights.insert(wire.send(send(room, *message_id, payload.clone())).await?, *message_id);
    }
    loop {
        while open.len() < UNDER_WAY && !*load.over.borrow() {
            let (message_id, payload) = (MessageId::random(&mut OsRng), noise(300));
            open.push((message_id, payload.clone()));
            flights.insert(wire.send(send(room, message_id, payload)).await?, message_id);
        }
        if open.is_empty() {
            return Ok(());
        }
        let ServerFrame::Answer { id, result } = wire.receive().await? else { continue };
        let message_id = flights.remove(&id).context("an answer to a question")?;
        match result {
            Ok(Answer::Accepted { room_seq, .. }) => {
                open.retain(|(open, _)| *open != message_id);
                acknowledged.insert(message_id, room_seq);
                load.acknowledged.send_modify(|count| *count += 1);
            }
            Ok(other) => anyhow::bail!("{other:?}"),
            // Being stored or not stored: asked again on the next socket.
            Err(problem) => anyhow::bail!("{problem}"),
        }
    }
}

fn send(room: &WireRoom, message_id: MessageId, payload: bytes::Bytes) -> Request {
    Request::Send { room: room.id, message_id, send_key: room.send_key.clone(), tag: [1; 32], payload }
}

/// A reader at wire level: in which places of the room it was given each message, until it has all of its goal.
async fn read_on(
    site: Site,
    device: Device,
    mut goal: watch::Receiver<Option<BTreeSet<MessageId>>>,
) -> Result<BTreeMap<MessageId, BTreeSet<u64>>> {
    let mut seen: BTreeMap<MessageId, BTreeSet<u64>> = BTreeMap::new();
    loop {
        let Ok(mut wire) = device.sign_in(site).await else {
            tokio::task::yield_now().await;
            continue;
        };
        loop {
            let has_all = |seen: &BTreeMap<MessageId, _>, goal: &Option<BTreeSet<MessageId>>| {
                goal.as_ref().is_some_and(|goal| goal.iter().all(|id| seen.contains_key(id)))
            };
            if has_all(&seen, &goal.borrow()) {
                return Ok(seen);
            }
            let push = tokio::select! {
                push = wire.push() => push,
                changed = goal.changed() => { changed?; continue }
            };
            let Ok(push) = push else { break };
            let Push::Rows(rows) = push else { continue };
            let Some(last) = rows.last().map(|row| row.seq) else { continue };
            for row in rows {
                if let RowBody::Message { message_id, .. } = row.body {
                    seen.entry(message_id).or_default().insert(row.room_seq);
                }
            }
            if wire.ack(last).await.is_err() {
                break;
            }
        }
    }
}

/// Writes on without minding the server, until it is over; all that was stored here.
async fn real_writer(person: &Person, conversation: ConversationId, name: usize, load: &Load) -> Result<Vec<String>> {
    let mut written = Vec::new();
    let mut over = load.over.subscribe();
    let mut acknowledged = load.acknowledged.subscribe();
    while !*over.borrow_and_update() {
        let text = format!("pair {name} number {}", written.len());
        person.say(conversation, &text).await?;
        written.push(text);
        // A few for each hundred of the others: the pace of the load, not of a clock.
        let next = *acknowledged.borrow() + 20;
        tokio::select! {
            _ = over.changed() => {}
            found = acknowledged.wait_for(|count| *count >= next) => { found?; }
        }
    }
    Ok(written)
}

fn often(times: u32) -> Result<u32> {
    std::env::var("PARLOUR_KILLS").map_or(Ok(times), |kills| Ok(kills.parse()?))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_twenty_times_under_load_every_acknowledged_message_arrives_exactly_once() -> Result<()> {
    acknowledged_is_delivered(Server::up()?, Server::kill, often(KILLS)?).await
}

/// What was written and not synced is gone, each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_power_is_cut_under_load_every_acknowledged_message_arrives_exactly_once() -> Result<()> {
    acknowledged_is_delivered(Server::up_on_power()?, Server::cut_power, often(CUTS)?).await
}

async fn acknowledged_is_delivered(mut server: Server, end: fn(&mut Server) -> Result<()>, times: u32) -> Result<()> {
    let site = server.site();
    let load = Arc::new(Load { acknowledged: watch::channel(0).0, over: watch::channel(false).0 });

    let mut real = Vec::new();
    for pair in 0..REAL_PAIRS {
        let name = |role: &str| format!("{role}{pair}");
        let one = Person::on_bell(server.scratch(), &name("one"), &format!("+493000010{pair}"), site).await?;
        let other = Person::on_bell(server.scratch(), &name("other"), &format!("+493000020{pair}"), site).await?;
        let (at_one, at_other) = befriend(&one, &other).await?;
        real.push((one, at_one, other, at_other));
    }
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for pair in 0..WIRE_PAIRS {
        let (_, mut inbox) = Device::sign_up(site, &format!("+493000030{pair}")).await?;
        let (mut reader, mut reader_inbox) = Device::sign_up(site, &format!("+493000040{pair}")).await?;
        reader.publish(&mut reader_inbox, Pool::Stranger, 1).await?;
        let mut outbox = Wire::connect(site, Role::Outbox).await?;
        let id = RoomId::random(&mut OsRng);
        let claimed = claim(&mut inbox, &reader.number, id).await??;
        let mut room = WireRoom::create_as(&mut inbox, id).await?;
        room.add(&mut outbox, &claimed).await?;
        let member_key = claimed.devices[0].member_key;
        let key = reader.member(&member_key).context("the reader's own key")?;
        let proof = parlour_scenario::device::proof(key, "open", &id, &[]);
        outbox.granted(Request::OpenEntry { room: id, proof }).await?;
        drop(reader_inbox);
        writers.push(tokio::spawn(write_on(site, Arc::new(room), load.clone())));
        let (tell_goal, goal) = watch::channel(None);
        readers.push((tell_goal, tokio::spawn(read_on(site, reader, goal))));
    }

    let real_writers = futures_util::future::join_all(
        real.iter().enumerate().map(|(pair, (one, at_one, ..))| real_writer(one, *at_one, pair, &load)),
    );
    let killer = async {
        let mut rng = seeded(20);
        let mut acknowledged = load.acknowledged.subscribe();
        for kill in 0..times {
            // At a random moment of the load: somewhere between the first answers and the middle of many.
            let moment = *acknowledged.borrow() + 1 + u64::from(rng.next_u32() % 150);
            timeout(PATIENCE, acknowledged.wait_for(|count| *count >= moment))
                .await
                .with_context(|| format!("the load stands still before kill {kill}"))??;
            end(&mut server)?;
            server.start()?;
        }
        load.over.send_replace(true);
        anyhow::Ok(server)
    };
    let (written, server) = tokio::join!(real_writers, killer);
    let server = server?;

    // The oracle: what was acknowledged is there, once, in the place that was acknowledged.
    let mut total = 0;
    for (writer, (goal, reader)) in writers.into_iter().zip(readers) {
        let acknowledged = timeout(PATIENCE, writer).await.context("a writer does not end")???;
        total += acknowledged.len();
        goal.send_replace(Some(acknowledged.keys().copied().collect()));
        let seen = timeout(PATIENCE, reader).await.context("an acknowledged message does not come")???;
        for (id, room_seq) in &acknowledged {
            let places = &seen[id];
            ensure!(places.len() == 1, "one message, {} places in the room", places.len());
            ensure!(places.contains(room_seq), "answered {room_seq}, delivered {places:?}");
        }
        let distinct: BTreeSet<_> = seen.values().flatten().collect();
        ensure!(distinct.len() == seen.len(), "two messages in one place");
    }
    ensure!(total > 500, "only {total} messages: no load");
    for ((one, _, other, at_other), written) in real.iter().zip(written) {
        let written = written?;
        one.until_sent().await?;
        ensure!(written.len() > 10, "only {} messages of a real pair", written.len());
        let last = written.last().context("a text")?;
        exactly_once(&written, &other.until_heard(*at_other, last).await?)?;
        let status = other.status().await?;
        ensure!(status.unreadable == 0, "{status:?}");
    }
    ensure!(!server.log()?.contains("ERROR"), "an ERROR is a bug: {}", server.log()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_people_meet() -> Result<()> {
    let mut server = Server::up()?;
    let site = server.site();
    let mut people = Vec::new();
    for n in 0..4 {
        people.push(Person::on_bell(server.scratch(), &format!("p{n}"), &format!("+493000050{n}"), site).await?);
    }
    // First contacts, acceptances and a group, each with its share of kills.
    let (first, others) = people.split_first().context("somebody")?;
    let meet = async {
        for other in others {
            befriend(first, other).await?;
        }
        let members = others.iter().map(|other| Target::Address(other.address.clone())).collect();
        let made = first.ask(Intent::CreateGroup { title: "after all".to_owned(), members }).await?;
        let Reply::Conversation(group) = made else { anyhow::bail!("{made:?}") };
        let texts: Vec<String> = (0..10).map(|n| format!("to all {n}")).collect();
        for text in &texts {
            first.say(group.id, text).await?;
        }
        for other in others {
            let there = other.until_conversation(|c| c.is_group).await?;
            exactly_once(&texts, &other.until_heard(there, "to all 9").await?)?;
        }
        anyhow::Ok(())
    };
    let mut rng = seeded(21);
    let mut meet = std::pin::pin!(meet);
    let mut kills = 0;
    loop {
        // A random moment, not a state: whatever is under way then. All of it takes a quarter of a second on a fast machine.
        let moment = Duration::from_millis(5 + u64::from(rng.next_u32() % 100));
        match timeout(if kills < 12 { moment } else { PATIENCE }, &mut meet).await {
            Ok(met) => break met?,
            Err(_) => {
                ensure!(kills < 12, "they do not find together");
                server.kill()?;
                server.start()?;
                kills += 1;
            }
        }
    }
    ensure!(kills > 2, "only {kills} kills: the test does not bite");
    for person in &people {
        let status = person.status().await?;
        ensure!(status.unreadable == 0, "{}: {status:?}", person.address);
    }
    ensure!(!server.log()?.contains("ERROR"), "an ERROR is a bug: {}", server.log()?);
    Ok(())
}

#[test]
fn told_to_stop_at_once_it_stops_in_order() -> Result<()> {
    let mut server = Server::up()?;
    for _ in 0..5 {
        ensure!(server.stop()? == 0, "it ends as if it had failed");
        server.start()?;
    }
    Ok(())
}
