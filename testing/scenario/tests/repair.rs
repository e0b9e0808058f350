//! Loss, lateness, races and bad insiders, between real engines over real sockets: nobody is shown an error, nothing is lost.

use anyhow::{Context as _, Result, ensure};
use parlour_client::api::{ConversationId, ConversationState, Intent, Reply, Target};
use parlour_proto::frames::{ClientFrame, EntryChange, Push, Request, RowBody, ServerFrame};
use parlour_proto::ids::{Digest, MemberKey, RoomId};
use parlour_scenario::device::{Device, WireRoom, claim, noise};
use parlour_scenario::host::Host;
use parlour_scenario::insider::Insider;
use parlour_scenario::meddler::{Fate, Meddler, Rule};
use parlour_scenario::person::{Person, Place, befriend, exactly_once, talk};
use parlour_scenario::rows::{FailingRows, Side};
use parlour_scenario::wire::{Role, Wire};
use rand_core::OsRng;
use std::sync::atomic::Ordering;

/// Ana and Ben, friends; their conversation on each side.
struct Pair {
    ana: Person,
    ben: Person,
    at_ana: ConversationId,
    at_ben: ConversationId,
}

async fn pair(host: &Host) -> Result<Pair> {
    let ana = Person::on_bell(host.scratch(), "ana", "+4930000001", host.site()).await?;
    let ben = Person::on_bell(host.scratch(), "ben", "+4930000002", host.site()).await?;
    let (at_ana, at_ben) = befriend(&ana, &ben).await?;
    Ok(Pair { ana, ben, at_ana, at_ben })
}

/// A group made by the first of them, who is everybody's friend; the conversation on each side.
async fn group(people: &[&Person], title: &str) -> Result<Vec<ConversationId>> {
    let (maker, others) = people.split_first().context("somebody")?;
    let members = others.iter().map(|person| Target::Address(person.address.clone())).collect();
    let made = maker.ask(Intent::CreateGroup { title: title.to_owned(), members }).await?;
    let Reply::Conversation(made) = made else { anyhow::bail!("{made:?}") };
    let mut all = vec![made.id];
    for person in others {
        let all_there = |c: &parlour_client::api::Conversation| c.is_group && c.members.len() == others.len();
        all.push(person.until_conversation(all_there).await?);
    }
    Ok(all)
}

/// Everybody says something, everybody hears everybody.
async fn all_talk(people: &[(&Person, ConversationId)], mark: &str) -> Result<()> {
    for (index, (person, conversation)) in people.iter().enumerate() {
        person.say(*conversation, &format!("{mark} {index}")).await?;
    }
    for (listener, (person, conversation)) in people.iter().enumerate() {
        for index in (0..people.len()).filter(|index| *index != listener) {
            person.until_heard(*conversation, &format!("{mark} {index}")).await?;
        }
    }
    Ok(())
}

/// Nobody was shown less than was said.
async fn nothing_unreadable(people: &[&Person]) -> Result<()> {
    for person in people {
        let status = person.status().await?;
        ensure!(status.unreadable == 0, "{}: {status:?}", person.address);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_client_between_any_two_writes() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, at_ana, at_ben } = pair(&host).await?;
    let (home_of_ana, home_of_ben) = (ana.stop().await, ben.stop().await);
    let mut written = Vec::new();
    let mut deaths = 0;
    // The n-th write of whoever writes, and of whoever reads, is the last one; until n is more than there are.
    for (nth, side) in (1..).flat_map(|nth| [(nth, Side::Before), (nth, Side::After)]) {
        let (rows, left_ana) = FailingRows::new(home_of_ana.rows()?, nth, side);
        let ana = Person::start_on(Box::new(rows), &home_of_ana).await?;
        let (rows, left_ben) = FailingRows::new(home_of_ben.rows()?, nth, side);
        let ben = Person::start_on(Box::new(rows), &home_of_ben).await?;
        let syncing = ben.runner.submit(Intent::Sync).await;
        let mut attempted = Vec::new();
        if ana.sync().await.is_ok() {
            for number in 0..2 {
                let text = format!("write {nth} {side:?} {number}");
                let stored = ana.say(at_ana, &text).await.is_ok();
                attempted.push((text, stored));
                if !stored {
                    break;
                }
            }
        }
        if left_ana.load(Ordering::SeqCst) > 0 {
            let _ = ana.until_sent().await;
        }
        if let Ok(syncing) = syncing {
            let _ = syncing.done().await;
        }
        let (home_again_ana, home_again_ben) = (ana.stop().await, ben.stop().await);
        let died = [&left_ana, &left_ben].map(|left| left.load(Ordering::SeqCst) == 0);
        deaths += died.iter().filter(|died| **died).count();
        // Both come back; what was told to be stored arrives.
        let (ana, ben) = (Person::back(&home_again_ana).await?, Person::back(&home_again_ben).await?);
        ana.until_sent().await?;
        let mine: Vec<String> =
            ana.messages(at_ana).await?.into_iter().filter(|m| m.from.is_none()).map(|m| m.text).collect();
        for (text, stored) in attempted {
            let kept = mine.contains(&text);
            ensure!(kept || !stored, "{text:?} was stored and is gone");
            if kept {
                written.push(text);
            }
        }
        let last = format!("after {nth} {side:?}");
        ana.say(at_ana, &last).await?;
        written.push(last.clone());
        exactly_once(&written, &ben.until_heard(at_ben, &last).await?).with_context(|| format!("{nth} {side:?}"))?;
        nothing_unreadable(&[&ana, &ben]).await?;
        ana.stop().await;
        ben.stop().await;
        if died == [false, false] {
            break;
        }
    }
    ensure!(deaths > 12, "only {deaths} deaths: the test does not bite");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn crash_before_the_merge() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let cid = Person::on_bell(host.scratch(), "cid", "+4930000003", host.site()).await?;
    befriend(&ana, &cid).await?;
    let mut place = ana.stop().await;
    let mut groups = 0;
    // A group is a room, a commit with two joiners, and first words: the maker dies at each of its writes.
    for (nth, side) in (1..).flat_map(|nth| [(nth, Side::Before), (nth, Side::After)]) {
        let (rows, left) = FailingRows::new(place.rows()?, nth, side);
        let ana = Person::start_on(Box::new(rows), &place).await?;
        let title = format!("group {nth} {side:?}");
        let made = async {
            ana.sync().await?;
            let members = [&ben, &cid].map(|person| Target::Address(person.address.clone())).to_vec();
            ana.ask(Intent::CreateGroup { title: title.clone(), members }).await?;
            ana.until_sent().await
        };
        let _ = made.await;
        let died = left.load(Ordering::SeqCst) == 0;
        place = ana.stop().await;
        let ana = Person::back(&place).await?;
        if let Some(group) = ana.conversations().await?.into_iter().find(|c| c.title == title) {
            groups += 1;
            let mark = format!("in {title}");
            ana.say(group.id, &mark).await?;
            for person in [&ben, &cid] {
                let there = person.until_conversation(|c| c.is_group && c.title == title).await?;
                person.until_heard(there, &mark).await.with_context(|| mark.clone())?;
            }
        }
        nothing_unreadable(&[&ana, &ben, &cid]).await?;
        place = ana.stop().await;
        if !died {
            break;
        }
    }
    ensure!(groups > 4, "only {groups} groups came to be: the test does not bite");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn home_restored_from_an_old_copy() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, at_ana, at_ben } = pair(&host).await?;
    talk((&ana, at_ana), (&ben, at_ben), "before").await?;
    let place = ana.stop().await;
    let copy = host.scratch().join("copy");
    place.copy_to(&copy)?;

    // Life goes on: generations are used, on both sides.
    let ana = Person::back(&place).await?;
    for round in 0..3 {
        talk((&ana, at_ana), (&ben, at_ben), &format!("forgotten {round}")).await?;
    }
    let place = ana.stop().await;
    place.restore(&copy)?;
    let ana = Person::back(&place).await?;
    talk((&ana, at_ana), (&ben, at_ben), "restored").await?;
    talk((&ben, at_ben), (&ana, at_ana), "again").await?;
    let heard = ben.heard(at_ben).await?;
    for text in ["before one", "forgotten 0 one", "forgotten 2 one", "restored one", "again other"] {
        ensure!(heard.iter().filter(|heard| *heard == text).count() == 1, "{text:?} in {heard:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_device_mls_state_wiped() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, at_ana, at_ben } = pair(&host).await?;
    talk((&ana, at_ana), (&ben, at_ben), "before").await?;
    let place = ana.stop().await;
    {
        let mut rows = place.rows()?;
        let groups = rows.load(b"lg")?;
        ensure!(!groups.is_empty(), "there is MLS state to wipe");
        let wipe = groups.into_iter().map(|(key, _)| (key, None)).collect();
        rows.commit(&parlour_client::api::Changes(wipe))?;
    }
    // Ben writes into the room that Ana can no longer read.
    ben.say(at_ben, "into the dark").await?;
    let ana = Person::back(&place).await?;
    talk((&ana, at_ana), (&ben, at_ben), "mended").await?;
    let heard = ana.until_heard(at_ana, "into the dark").await?;
    ensure!(heard.iter().filter(|text| *text == "into the dark").count() == 1, "{heard:?}");
    Ok(())
}

/// Holds a Welcome back until the next row of its room has come, and swaps the two.
#[derive(Default)]
struct LateWelcome {
    held: Option<parlour_proto::frames::Row>,
    swapped: usize,
}

impl Rule for LateWelcome {
    fn answered(&mut self, role: Role, frame: &ServerFrame) -> Fate {
        let ServerFrame::Push(Push::Rows(rows)) = frame else { return Fate::Pass };
        if role != Role::Inbox {
            return Fate::Pass;
        }
        let mut out = Vec::new();
        for row in rows {
            let mut row = row.clone();
            match &mut self.held {
                None if matches!(row.body, RowBody::Welcome { .. }) => self.held = Some(row),
                Some(held) if held.room == row.room => {
                    std::mem::swap(&mut held.seq, &mut row.seq);
                    out.push(row);
                    out.extend(self.held.take());
                    self.swapped += 1;
                }
                _ => out.push(row),
            }
        }
        let frame = (!out.is_empty()).then_some(ServerFrame::Push(Push::Rows(out)));
        Fate::Instead(frame.into_iter().collect())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn welcome_late() -> Result<()> {
    let host = Host::up().await?;
    let meddler = Meddler::before(host.site(), LateWelcome::default()).await?;
    let ana = Person::on_bell(host.scratch(), "ana", "+4930000001", host.site()).await?;
    let place = Place::new(host.scratch(), "ben", meddler.site);
    // The development outbox is a page of the server itself.
    let direct = Person::sign_up(&Place { site: host.site(), ..place.clone() }, "bell", "+4930000002", "").await?;
    direct.stop().await;
    let ben = Person::back(&place).await?;
    let (at_ana, at_ben) = befriend(&ana, &ben).await?;
    talk((&ana, at_ana), (&ben, at_ben), "talk").await?;
    ensure!(ben.heard(at_ben).await?[0] == "may I?", "the first message, which came before the Welcome, is there");
    ensure!(meddler.with(|rule| rule.swapped) > 0, "nothing was swapped: the test does not bite");
    nothing_unreadable(&[&ana, &ben]).await
}

/// Lets the server have one kind of request, and loses its answer and the socket.
struct LostAnswer {
    wanted: fn(&Request) -> bool,
    under_way: Option<u64>,
    lost: usize,
    most: usize,
}

impl LostAnswer {
    fn new(wanted: fn(&Request) -> bool, most: usize) -> Self {
        Self { wanted, under_way: None, lost: 0, most }
    }
}

impl Rule for LostAnswer {
    fn asked(&mut self, _: Role, frame: &ClientFrame) {
        if self.lost < self.most && (self.wanted)(&frame.request) {
            self.under_way = Some(frame.id);
        }
    }

    fn answered(&mut self, _: Role, frame: &ServerFrame) -> Fate {
        let ServerFrame::Answer { id, result: Ok(_) } = frame else { return Fate::Pass };
        if self.under_way != Some(*id) {
            return Fate::Pass;
        }
        self.under_way = None;
        self.lost += 1;
        Fate::Cut
    }
}

async fn group_behind(wanted: fn(&Request) -> bool, most: usize) -> Result<()> {
    let host = Host::up().await?;
    let meddler = Meddler::before(host.site(), LostAnswer::new(wanted, 0)).await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let cid = Person::on_bell(host.scratch(), "cid", "+4930000003", host.site()).await?;
    befriend(&ana, &cid).await?;
    let mut place = ana.stop().await;
    place.site = meddler.site;
    let ana = Person::back(&place).await?;
    meddler.with(|rule| rule.most = most);
    let there = group(&[&ana, &ben, &cid], "behind a bad line").await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1]), (&cid, there[2])], "hello").await?;
    ensure!(meddler.with(|rule| rule.lost) == most, "no answer was lost: the test does not bite");
    for (person, conversation) in [(&ben, there[1]), (&cid, there[2])] {
        let heard = person.heard(conversation).await?;
        ensure!(heard.iter().filter(|text| *text == "hello 0").count() == 1, "{heard:?}");
    }
    nothing_unreadable(&[&ana, &ben, &cid]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_commit_whose_answer_was_lost() -> Result<()> {
    group_behind(|request| matches!(request, Request::Commit(_)), 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn accepted_message_whose_answer_was_lost() -> Result<()> {
    group_behind(|request| matches!(request, Request::Send { .. }), 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn created_room_whose_answer_was_lost() -> Result<()> {
    group_behind(|request| matches!(request, Request::CreateRoom { .. }), 1).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claimed_packages_whose_answer_was_lost() -> Result<()> {
    group_behind(|request| matches!(request, Request::DoorClaim { .. } | Request::Claim { .. }), 2).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_across_a_removal() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let cid = Person::on_bell(host.scratch(), "cid", "+4930000003", host.site()).await?;
    befriend(&ana, &cid).await?;
    let there = group(&[&ana, &ben, &cid], "three").await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1]), (&cid, there[2])], "hello").await?;

    // Ben keeps writing while Ana removes Cid, who writes, too.
    let texts = |who: &str| (0..20).map(|n| format!("{who} across {n}")).collect::<Vec<_>>();
    let (of_ben, of_cid) = (texts("ben"), texts("cid"));
    let remove = async {
        let member = cid.account().await?;
        ana.ask(Intent::RemoveMember { conversation: there[0], member }).await.map(drop)
    };
    let ben_writes = async {
        for text in &of_ben {
            ben.say(there[1], text).await?;
        }
        anyhow::Ok(())
    };
    let cid_writes = async {
        for text in &of_cid {
            // Once the removal has arrived, the conversation is closed.
            if cid.say(there[2], text).await.is_err() {
                break;
            }
        }
        anyhow::Ok(())
    };
    let (removed, ben_wrote, cid_wrote) = tokio::join!(remove, ben_writes, cid_writes);
    removed.and(ben_wrote).and(cid_wrote)?;
    ben.until_sent().await?;
    let last = of_ben.last().context("a text")?;
    let at_ana = ana.until_heard(there[0], last).await?;
    exactly_once(&of_ben, &at_ana)?;

    // Who is left agrees on what came and in which order; Cid gets nothing more.
    cid.until_state(there[2], ConversationState::Closed).await?;
    ana.say(there[0], "without Cid").await?;
    ben.until_heard(there[1], "without Cid").await?;
    let seen = async |person: &Person, conversation| -> Result<Vec<String>> {
        Ok(person.messages(conversation).await?.into_iter().map(|message| message.text).collect())
    };
    let (at_ana, at_ben) = (seen(&ana, there[0]).await?, seen(&ben, there[1]).await?);
    ensure!(at_ana == at_ben, "one order for all screens:\n{at_ana:?}\n{at_ben:?}");
    cid.sync().await?;
    ensure!(!seen(&cid, there[2]).await?.contains(&"without Cid".to_owned()), "a removed member reads on");
    nothing_unreadable(&[&ana, &ben]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_racing_commits() -> Result<()> {
    let host = Host::up().await?;
    let mut people = Vec::new();
    for n in 0..10 {
        people.push(Person::on_bell(host.scratch(), &format!("p{n}"), &format!("+49300001{n:02}"), host.site()).await?);
    }
    for other in &people[1..] {
        befriend(&people[0], other).await?;
    }
    let all: Vec<&Person> = people.iter().collect();
    let there = group(&all, "ten").await?;
    let rooms: Vec<_> = all.iter().copied().zip(there.iter().copied()).collect();
    // Each brings somebody new, all at once: ten commits on one head.
    let mut guests = Vec::new();
    for (n, (host_of_guest, _)) in rooms.iter().enumerate() {
        let guest = Person::on_bell(host.scratch(), &format!("g{n}"), &format!("+49300002{n:02}"), host.site()).await?;
        befriend(host_of_guest, &guest).await?;
        guests.push(guest);
    }
    let adds = rooms.iter().zip(&guests).map(|((person, conversation), guest)| {
        let members = vec![Target::Address(guest.address.clone())];
        person.ask(Intent::AddMembers { conversation: *conversation, members })
    });
    for added in futures_util::future::join_all(adds).await {
        added?;
    }
    let mut everybody = rooms.clone();
    for guest in &guests {
        let at_guest = guest.until_conversation(|c| c.is_group && c.members.len() == 19).await?;
        everybody.push((guest, at_guest));
    }
    all_talk(&everybody, "after the race").await?;
    nothing_unreadable(&everybody.iter().map(|(person, _)| *person).collect::<Vec<_>>()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn key_packages_exhausted() -> Result<()> {
    let host = Host::up().await?;
    let ben = Person::on_bell(host.scratch(), "ben", "+4930000002", host.site()).await?;
    // His packages are at the server: the first claim gets one of its own.
    let (_, mut wire) = Device::sign_up(host.site(), "+4930000090").await?;
    ben.until("key packages", async || {
        let given = claim(&mut wire, "+4930000002", RoomId::random(&mut OsRng)).await?;
        Ok(given.ok().filter(|given| !given.devices[0].last_resort).map(drop))
    })
    .await?;
    let place = ben.stop().await;
    // Strangers take all of Ben's packages while he is away.
    let mut last_resort = false;
    let mut claimed = 0;
    for stranger in 0..12 {
        let (_, mut wire) = Device::sign_up(host.site(), &format!("+493000009{stranger:02}")).await?;
        for _ in 0..20 {
            let given = claim(&mut wire, "+4930000002", RoomId::random(&mut OsRng)).await??;
            claimed += 1;
            last_resort |= given.devices[0].last_resort;
        }
        if last_resort {
            break;
        }
    }
    ensure!(last_resort, "{claimed} claims did not exhaust the pool");
    let ana = Person::on_bell(host.scratch(), "ana", "+4930000001", host.site()).await?;
    let (at_ana, _) = ana.write(Target::Address("+4930000002@bell".into()), "by the last resort").await?;
    ana.until_sent().await?;
    let ben = Person::back(&place).await?;
    let at_ben = ben.request().await?;
    ben.accept(at_ben).await?;
    talk((&ana, at_ana), (&ben, at_ben), "talk").await?;
    nothing_unreadable(&[&ana, &ben]).await?;
    // The pool is filled again: the next stranger gets a package of its own.
    let (_, mut wire) = Device::sign_up(host.site(), "+4930000999").await?;
    let given = claim(&mut wire, "+4930000002", RoomId::random(&mut OsRng)).await??;
    ensure!(!given.devices[0].last_resort, "the pool was not refilled");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_entry_flooded() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, at_ana, at_ben } = pair(&host).await?;
    let place = ben.stop().await;
    // A stranger floods the entry that Ben has not opened; before that, with something too large to pass.
    let (_, mut inbox) = Device::sign_up(host.site(), "+4930000077").await?;
    let mut outbox = Wire::connect(host.site(), Role::Outbox).await?;
    let id = RoomId::random(&mut OsRng);
    let claimed = claim(&mut inbox, "+4930000002", id).await??;
    let mut room = WireRoom::create_as(&mut inbox, id).await?;
    room.add(&mut outbox, &claimed).await?;
    outbox.granted(room.message(40_000)).await?;
    for _ in 0..200 {
        outbox.granted(room.message(500)).await?;
    }
    ana.say(at_ana, "through the flood").await?;
    ana.until_sent().await?;

    // What reaches Ben: one Welcome and one small message of the stranger, and what Ana wrote.
    let rows = Meddler::before(host.site(), Count::default()).await?;
    let ben = Person::back(&Place { site: rows.site, ..place }).await?;
    ben.until_heard(at_ben, "through the flood").await?;
    let (welcomes, messages) = rows.with(|count| (count.welcomes, count.messages.clone()));
    ensure!(welcomes == 1, "{welcomes} Welcomes");
    let of_room = messages.iter().filter(|(room_of, _)| *room_of == id).collect::<Vec<_>>();
    ensure!(of_room.len() == 1 && of_room[0].1 <= 16 * 1024, "{of_room:?}");
    talk((&ana, at_ana), (&ben, at_ben), "dry").await
}

/// Counts what a client is given.
#[derive(Default)]
struct Count {
    welcomes: usize,
    messages: Vec<(RoomId, usize)>,
}

impl Rule for Count {
    fn answered(&mut self, _: Role, frame: &ServerFrame) -> Fate {
        if let ServerFrame::Push(Push::Rows(rows)) = frame {
            for row in rows {
                match &row.body {
                    RowBody::Welcome { .. } => self.welcomes += 1,
                    RowBody::Message { payload, .. } => self.messages.push((row.room, payload.len())),
                    _ => {}
                }
            }
        }
        Fate::Pass
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn void_commit_by_an_insider() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let mallory = Person::on_bell(host.scratch(), "mallory", "+4930000666", host.site()).await?;
    befriend(&ana, &mallory).await?;
    let there = group(&[&ana, &ben, &mallory], "with Mallory").await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1]), (&mallory, there[2])], "hello").await?;
    let place = mallory.stop().await;
    let mut insiders = Insider::all(&mut *place.rows()?, host.site()).await?;
    let insider = insiders.iter_mut().find(|insider| insider.group.members().len() == 3).context("in the group")?;

    // Noise, and noise right behind noise.
    let next = || Digest(noise(32).as_ref().try_into().unwrap_or_default());
    insider.force(noise(300), next(), Vec::new()).await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1])], "after noise").await?;
    insider.force(noise(300), next(), Vec::new()).await?;
    insider.force(noise(30), next(), Vec::new()).await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1])], "after both").await?;
    for (person, conversation) in [(&ana, there[0]), (&ben, there[1])] {
        let mut heard = person.heard(conversation).await?;
        heard.sort();
        let before = heard.len();
        heard.dedup();
        ensure!(heard.len() == before, "something came twice: {heard:?}");
    }
    // And with manners again, Mallory is just a member.
    let mallory = Person::back(&place).await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1]), (&mallory, there[2])], "peace").await?;
    Ok(())
}

/// A void commit by Mallory that throws Ben's entry out; then he speaks first, alone, or Ana does.
async fn thrown_out_by_a_void_commit(victim_first: bool) -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let mallory = Person::on_bell(host.scratch(), "mallory", "+4930000666", host.site()).await?;
    befriend(&ana, &mallory).await?;
    let there = group(&[&ana, &ben, &mallory], "with Mallory").await?;
    all_talk(&[(&ana, there[0]), (&ben, there[1]), (&mallory, there[2])], "hello").await?;
    let place = mallory.stop().await;
    let mut insiders = Insider::all(&mut *place.rows()?, host.site()).await?;
    let insider = insiders.iter_mut().find(|insider| insider.group.members().len() == 3).context("in the group")?;
    let account = ben.account().await?.account.0;
    let of_ben = insider.group.members().into_iter().find(|member| member.account().id == account);
    let member_key = MemberKey(of_ben.context("Ben is in the group")?.member_key());
    let next = Digest(noise(32).as_ref().try_into()?);
    if victim_first {
        ana.go_offline().await?;
    }
    insider.force(noise(300), next, vec![EntryChange::Remove { member_key }]).await?;
    if victim_first {
        // Nobody is there who could let him in again; he waits, and so does what he says.
        ben.say(there[1], "to whoever is there").await?;
        ana.sync().await?;
        ana.until_heard(there[0], "to whoever is there").await?;
    } else {
        ana.say(there[0], "back in").await?;
        ben.until_heard(there[1], "back in").await?;
    }
    all_talk(&[(&ana, there[0]), (&ben, there[1])], "after the entry").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn void_commit_that_throws_somebody_out() -> Result<()> {
    thrown_out_by_a_void_commit(false).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn void_commit_that_throws_out_who_speaks_first() -> Result<()> {
    thrown_out_by_a_void_commit(true).await
}

/// Mallory's commits are valid for MLS, but one takes Ben's entry away, and one takes back the commit that brought Ben in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn void_commit_that_is_valid_for_mls() -> Result<()> {
    let host = Host::up().await?;
    let Pair { ana, ben, .. } = pair(&host).await?;
    let mallory = Person::on_bell(host.scratch(), "mallory", "+4930000666", host.site()).await?;
    befriend(&ana, &mallory).await?;
    let there = group(&[&ana, &mallory], "with Mallory").await?;
    let members = vec![Target::Address(ben.address.clone())];
    ana.ask(Intent::AddMembers { conversation: there[0], members }).await?;
    let at_ben = ben.until_conversation(|c| c.is_group && c.members.len() == 2).await?;
    all_talk(&[(&ana, there[0]), (&ben, at_ben), (&mallory, there[1])], "hello").await?;
    let place = mallory.stop().await;
    let mut insiders = Insider::all(&mut *place.rows()?, host.site()).await?;
    let insider = insiders.iter_mut().find(|insider| insider.group.members().len() == 3).context("in the group")?;
    let account = ben.account().await?.account.0;
    let of_ben = insider.group.members().into_iter().find(|member| member.account().id == account);
    let member_key = MemberKey(of_ben.context("Ben is in the group")?.member_key());
    ana.go_offline().await?;
    ben.go_offline().await?;

    let brought_in = insider.log().await?.head;
    insider.follow(vec![brought_in], Vec::new()).await?;
    ana.sync().await?;
    ben.sync().await?;
    all_talk(&[(&ana, there[0]), (&ben, at_ben)], "brought back").await?;

    let mallory = Person::back(&place).await?;
    all_talk(&[(&ana, there[0]), (&ben, at_ben), (&mallory, there[1])], "with manners").await?;
    let place = mallory.stop().await;
    let mut insiders = Insider::all(&mut *place.rows()?, host.site()).await?;
    let insider = insiders.iter_mut().find(|insider| insider.group.members().len() == 3).context("in the group")?;
    insider.follow(Vec::new(), vec![EntryChange::Remove { member_key }]).await?;
    all_talk(&[(&ana, there[0]), (&ben, at_ben)], "after the entry").await?;
    for (person, conversation) in [(&ana, there[0]), (&ben, at_ben)] {
        let mut heard = person.heard(conversation).await?;
        let before = heard.len();
        heard.sort();
        heard.dedup();
        ensure!(heard.len() == before, "something came twice: {heard:?}");
    }
    Ok(())
}
