//! The oracles: what counts as failure (the list is at the head of the crate), held against the book once all is mended.

use std::collections::{BTreeMap, BTreeSet};

use parlour_client::api::{Conversation, ConversationState, Intent, Message, MessageState, Reply, Timer};
use parlour_proto::ids::MessageId;
use parlour_store::UnixTime;

use crate::{
    book::{Key, Said, Seat},
    director::Director,
};

/// So many messages of a conversation are looked at.
const LOOK: u32 = 400;
/// A text that is over may still stand so long: the sweep does not come on the second.
const SLACK_MS: u64 = 90_000;
/// Rows at the server are rounded up to the hour, and swept every hour.
const SERVER_SLACK_S: u64 = 3 * 3_600;

/// What one seat shows of one conversation.
struct Screen {
    seat: usize,
    view: Conversation,
    messages: Vec<Message>,
}

/// Nothing waits anywhere.
pub(crate) fn is_quiet(d: &mut Director) -> bool {
    (0..d.book.seats.len()).filter(|seat| d.book.seats[*seat].live).collect::<Vec<_>>().into_iter().all(|seat| {
        let settled = |view: &Conversation| {
            matches!(view.state, ConversationState::Open | ConversationState::Closed | ConversationState::Asked)
                || view.state == ConversationState::Request
        };
        let status = d.look(seat, Intent::Status);
        let rests = matches!(status, Some(Reply::Status(status)) if status.queued == status.held);
        rests && d.conversations(seat).iter().all(settled)
    })
}

/// Looks at everything.
pub(crate) fn judge(d: &mut Director) {
    let mut screens = BTreeMap::<Key, Vec<Screen>>::new();
    for seat in 0..d.book.seats.len() {
        if !d.book.seats[seat].live {
            continue;
        }
        let (home, me) = (d.book.seats[seat].home, d.book.seats[seat].person);
        if d.w.homes[home].engine.is_none() {
            d.w.faults.push(format!("seat {seat} (home {home}) does not run after healing"));
            continue;
        }
        judge_status(d, seat);
        let mut seen = BTreeMap::<String, usize>::new();
        for view in d.conversations(seat) {
            let messages = d.messages(seat, view.id, LOOK);
            for message in messages.iter().filter(|message| message.text.starts_with('m')) {
                *seen.entry(message.text.clone()).or_default() += 1;
            }
            // Who could not be reached is nobody's account: what was said to them tells whom it was for.
            let by_text = || messages.iter().find_map(|message| d.book.find(&message.id)).map(|at| d.book.said[at].key);
            let key = d.book.key(me, &view).or_else(|| by_text().filter(|_| view.members.is_empty() && !view.is_group));
            if let Some(key) = key {
                screens.entry(key).or_default().push(Screen { seat, view, messages });
            }
        }
        for (text, times) in seen.into_iter().filter(|(_, times)| *times > 1) {
            d.w.faults.push(format!("seat {seat} shows {text:?} {times} times"));
        }
    }
    judge_shown(d, &screens);
    for (key, screens) in &screens {
        for screen in screens {
            judge_screen(d, *key, screen);
        }
        judge_histories(d, *key, screens);
    }
    judge_server(d);
}

/// Nothing is stored at the server a sweep after its end.
pub(crate) fn judge_server(d: &mut Director) {
    let overdue = d.w.store.overdue(UnixTime((d.w.now() / 1_000).saturating_sub(SERVER_SLACK_S)));
    if overdue.rows + overdue.queue_rows > 0 {
        d.w.faults.push(format!("{} rows at the server are there after their time", overdue.rows + overdue.queue_rows));
    }
}

fn judge_status(d: &mut Director, seat: usize) {
    let Some(Reply::Status(status)) = d.look(seat, Intent::Status) else {
        return d.w.faults.push(format!("seat {seat} does not say how it is"));
    };
    let before = std::mem::replace(&mut d.book.seats[seat].unreadable, status.unreadable);
    let me = &d.book.seats[seat];
    // A device that was put back uses keys that it used before, until it notices: others ask it for what it said with them.
    let shares = |other: &Seat| other.put_back && d.book.may_share(me.person, other.person);
    if status.unreadable > before && !me.restored && !d.book.seats.iter().any(shares) {
        d.w.faults.push(format!("seat {seat} could not read {} messages", status.unreadable - before));
    }
    if status.queued > status.held {
        d.w.faults.push(format!("seat {seat} has {} things that never get through", status.queued - status.held));
    }
}

/// What its author's device says was sent is shown wherever it must be.
fn judge_shown(d: &mut Director, screens: &BTreeMap<Key, Vec<Screen>>) {
    for at in d.book.judged..d.book.said.len() {
        let said = d.book.said[at].clone();
        let Some(message) = said.message.filter(|_| !said.deleted && said.timer.is_none()) else { continue };
        if !d.book.seats[said.seat].live || d.book.apart.contains(&said.key) || d.book.short.contains(&said.key) {
            continue;
        }
        let author = d.book.seats[said.seat].person;
        let there = screens.get(&said.key).map(Vec::as_slice).unwrap_or_default();
        if !d.book.is_steady(said.key, author, said.at) && !matches!(said.key, Key::Pair(..)) {
            continue;
        }
        if d.is_old(&said) {
            continue;
        }
        // An invitation to a group is a request of its own, beside the conversation of the two.
        let mut owns = there.iter().filter(|screen| screen.seat == said.seat);
        let restored = d.book.seats[said.seat].since > said.at;
        let shown = owns.clone().flat_map(|screen| &screen.messages).find(|shown| shown.id == message);
        match shown {
            None if restored => continue,
            None if owns.all(|own| own.messages.len() >= LOOK as usize) => continue,
            None => {
                d.w.faults.push(format!("seat {} does not show what it has said: {:?}", said.seat, said.text));
                continue;
            }
            Some(shown) if matches!(shown.state, MessageState::Queued | MessageState::Failed) => continue,
            Some(_) => {}
        }
        for reader in said.readers.clone() {
            judge_reader(d, &said, message, reader, there);
        }
    }
}

fn judge_reader(d: &mut Director, said: &Said, message: MessageId, reader: usize, there: &[Screen]) {
    let author = d.book.seats[said.seat].person;
    if d.book.people[reader].gone {
        return;
    }
    let steady = d.book.is_steady(said.key, reader, said.at);
    for seat in 0..d.book.seats.len() {
        let it = &d.book.seats[seat];
        if it.person != reader || !it.live || it.since >= said.at {
            continue;
        }
        let open = there.iter().find(|screen| screen.seat == seat && screen.view.state == ConversationState::Open);
        let Some(screen) = open else {
            let state = there.iter().find(|screen| screen.seat == seat).map(|screen| screen.view.state);
            // A home put back to what it was may have forgotten that it let somebody in, or that there was anybody: it asks again.
            let forgot = it.restored && matches!(state, None | Some(ConversationState::Request));
            if steady && reader != author && !forgot {
                d.w.faults.push(format!(
                    "seat {seat} has {:?} not open ({state:?}), where seat {} said {:?}",
                    said.key, said.seat, said.text
                ));
            }
            continue;
        };
        // A pair has one beginning only: what was said in it is there once it is open.
        if !steady && !matches!(said.key, Key::Pair(..)) {
            continue;
        }
        d.looked += 1;
        let found = screen.messages.iter().find(|shown| shown.id == message);
        match found {
            Some(shown) if shown.text == said.text || said.edits.contains(&shown.text) || shown.deleted => {}
            Some(shown) => {
                d.w.faults.push(format!("seat {seat} shows {:?} instead of {:?}", shown.text, said.text));
            }
            None if screen.messages.len() >= LOOK as usize => {}
            None => d.w.faults.push(format!(
                "seat {seat} does not show {:?}, which seat {} sent in {:?}",
                said.text, said.seat, said.key
            )),
        }
    }
}

/// Order within a sender, and what is over.
fn judge_screen(d: &mut Director, key: Key, screen: &Screen) {
    let now = d.w.now();
    let seat = screen.seat;
    let since = d.book.seats[seat].since;
    let mut last = BTreeMap::<usize, usize>::new();
    for message in &screen.messages {
        let Some(at) = d.book.find(&message.id) else { continue };
        let said = &d.book.said[at];
        let over = match said.timer {
            Some(Timer::Sending(s)) if message.state != MessageState::Failed => {
                message.time.0 + u64::from(s) * 1_000 + SLACK_MS < now
            }
            _ => message.expires.is_some_and(|expires| expires.0 + SLACK_MS < now) && !message.kept,
        };
        let text = said.text.clone();
        let known = since.max(d.book.seats[said.seat].since);
        let (author, judged) = (said.seat, said.at > known && at >= d.book.judged);
        if over && !message.deleted {
            d.w.faults.push(format!("seat {seat} shows {text:?} after its time"));
        }
        if matches!(message.state, MessageState::Queued | MessageState::Failed) || !judged {
            continue;
        }
        if let Some(before) = last.insert(author, at).filter(|before| *before > at) {
            let before = &d.book.said[before].text;
            d.w.faults.push(format!("seat {seat} shows {before:?} before {text:?} in {key:?}: out of order"));
        }
    }
}

/// One history: what two screens both show stands in the same order, and the same people are in it.
fn judge_histories(d: &mut Director, key: Key, screens: &[Screen]) {
    let judged = d.book.judged;
    let of = |screen: &Screen| -> Vec<MessageId> {
        let settled =
            screen.messages.iter().filter(|message| {
                !matches!(message.state, MessageState::Queued | MessageState::Failed)
                    && d.book.find(&message.id).filter(|at| *at >= judged).map(|at| &d.book.said[at]).is_some_and(
                        |said| said.at > d.book.seats[screen.seat].since.max(d.book.seats[said.seat].since),
                    )
            });
        settled.map(|message| message.id).collect()
    };
    let open = |screen: &&Screen| screen.view.state == ConversationState::Open;
    let Some(first) = screens.iter().find(open) else { return };
    let order = of(first);
    let mut found = Vec::new();
    let people = |screen: &Screen| -> BTreeSet<usize> {
        let others = screen.view.members.iter().filter_map(|member| d.book.person(&member.account));
        others.chain([d.book.seats[screen.seat].person]).collect()
    };
    for other in screens.iter().filter(open).filter(|other| other.seat != first.seat) {
        let theirs = of(other);
        let in_both: BTreeSet<&MessageId> =
            order.iter().collect::<BTreeSet<_>>().intersection(&theirs.iter().collect()).copied().collect();
        let one: Vec<_> = order.iter().filter(|id| in_both.contains(id)).collect();
        let two: Vec<_> = theirs.iter().filter(|id| in_both.contains(id)).collect();
        if one != two {
            let at = one.iter().zip(&two).position(|(one, two)| one != two).unwrap_or(0);
            let text =
                |id: Option<&MessageId>| id.and_then(|id| d.book.find(id)).map(|at| d.book.said[at].text.clone());
            found.push(format!(
                "two histories of {key:?}: seats {} and {}: {:?} and {:?} at {at}",
                first.seat,
                other.seat,
                text(one.get(at).copied()),
                text(two.get(at).copied())
            ));
        }
        if people(first) != people(other) {
            found.push(format!(
                "seats {} and {} see others in {key:?}: {:?}, {:?}",
                first.seat,
                other.seat,
                people(first),
                people(other)
            ));
        }
    }
    d.w.faults.extend(found);
}
