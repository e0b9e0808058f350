//! What is written is read again.

use super::*;
use parlour_client::api::{
    Backup, Body, ConversationId, Device, Ends, Expiry, GroupLink, HeldKind, HeldRow, Holdings, Identity, Joining,
    KeptHistory, LinkEnd, Mention, Message, MessageState, Notice, Request, Showing, Target, Timer, Unlisted,
};
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, DeviceId, Digest, MessageId, UnixMillis};

fn there_and_back<T: Wire + std::fmt::Debug>(message: &T) {
    let bytes = encode(Tab(7), message);
    let (tab, back) = decode::<T>(&bytes).expect("it decodes");
    assert_eq!(tab, Tab(7));
    assert_eq!(format!("{back:?}"), format!("{message:?}"));
    assert!(decode::<T>(&bytes[..bytes.len() - 1]).is_none(), "a part is not taken for the whole");
    assert!(decode::<T>(&[bytes.as_slice(), &[0]].concat()).is_none(), "nor is more");
}

fn message() -> Message {
    let account = AccountRef { app: AppId::parse("bell").unwrap(), account: AccountId([3; 16]) };
    Message {
        mentions: vec![Mention { start: 0, end: 4, account: account.clone() }],
        id: MessageId([1; 16]),
        order: 5,
        from: None,
        from_name: Some("Ana".to_owned()),
        text: "שלום 👋".to_owned(),
        in_reply_to: Some(MessageId([2; 16])),
        edited: true,
        deleted: false,
        reactions: vec![(account, "👍".to_owned())],
        time: UnixMillis(1_700_000_000_000),
        state: MessageState::Read,
        expires: Some(UnixMillis(1_800_000_000_000)),
        timer: Some(Timer::Reading(30)),
        kept: true,
        notice: Some(Notice::Expiry { expiry: Expiry { after_s: Some(3_600), archive: true }, existing: true }),
    }
}

#[test]
fn calls_come_back_as_they_were() {
    let to = Target::Conversation(ConversationId([9; 16]));
    let body = Body::Text { text: "hello".to_owned(), in_reply_to: None, timer: None };
    there_and_back(&ToWorker::Hello);
    there_and_back(&ToWorker::Begin);
    there_and_back(&ToWorker::Call { id: 1, call: Call::Intent(Intent::Send { to, body }) });
    there_and_back(&ToWorker::Call { id: 2, call: Call::Keep { key: "keys/1".to_owned(), value: None } });
    there_and_back(&ToWorker::Call { id: u64::MAX, call: Call::Wipe });
}

#[test]
fn answers_and_events_come_back_as_they_were() {
    let connections = vec![(IdentityId(0), Connection::Waiting(UnixMillis(5)))];
    there_and_back(&FromWorker::Ready);
    there_and_back(&FromWorker::Here { owner: 4, build: "b".to_owned(), connections });
    there_and_back(&FromWorker::Answer { id: 3, result: Ok(Outcome::Reply(Reply::Messages(vec![message(); 3]))) });
    there_and_back(&FromWorker::Answer { id: 3, result: Err(Failure::NotFound("conversation")) });
    there_and_back(&FromWorker::Events(vec![
        Event::Message {
            conversation: ConversationId([8; 16]),
            message: message()
        };
        2
    ]));
}

#[test]
fn devices_and_drafts_come_back_as_they_were() {
    let conversation = ConversationId([9; 16]);
    let call = |intent| ToWorker::Call { id: 1, call: Call::Intent(intent) };
    for intent in [
        Intent::OfferLink,
        Intent::ConfirmLink { yes: true },
        Intent::CancelLink,
        Intent::Link { code: "482719356021".to_owned(), name: "Firefox on Linux".to_owned() },
        Intent::Devices,
        Intent::NameDevice { name: "Kitchen".to_owned() },
        Intent::RevokeDevice { device: DeviceId([4; 16]) },
        Intent::PutDraft { conversation, text: None },
        Intent::PutDraft { conversation, text: Some("so far".to_owned()) },
        Intent::Drafts,
        Intent::As(IdentityId(1), Box::new(Intent::Drafts)),
        Intent::LinkAccount { code: "482719356021".to_owned(), name: "Firefox on Linux".to_owned() },
        Intent::Unlink { identity: IdentityId(1) },
        Intent::SetShowing { device: DeviceId([4; 16]), showing: Showing { off: true, quiet: Some((1320, 420)) } },
        Intent::Readers { conversation, message: MessageId([1; 16]) },
        Intent::Backup,
        Intent::Holdings,
        Intent::Archive { before: None, limit: 50 },
        Intent::Archive { before: Some(UnixMillis(7)), limit: 50 },
        Intent::SetBackup { history: KeptHistory::Off },
        Intent::SetBackup { history: KeptHistory::Days(30) },
        Intent::SetBackup { history: KeptHistory::All },
    ] {
        there_and_back(&call(intent));
    }
    let device = Device {
        id: DeviceId([4; 16]),
        name: "Kitchen".to_owned(),
        this: true,
        added: UnixMillis(1),
        seen: None,
        showing: Showing::default(),
    };
    let other = Device { this: false, seen: Some(UnixMillis(2)), ..device.clone() };
    let account = AccountRef { app: AppId::parse("bell").unwrap(), account: AccountId([3; 16]) };
    let digits = "482719356021".to_owned();
    let identity = Identity {
        id: IdentityId(1),
        account: account.clone(),
        address: "ana@den".to_owned(),
        name: "Ana".to_owned(),
        showing: Showing { off: false, quiet: Some((0, 1)) },
        reports: parlour_client::api::Reports { delivered: true, read: false, typing: true },
    };
    for reply in [
        Reply::Readers(vec![(account.clone(), MessageState::Read)]),
        Reply::LinkCode { code: digits.clone(), scan: digits, until: UnixMillis(600_000) },
        Reply::Linked { account, address: "ana@den".to_owned() },
        Reply::Archive(vec![(conversation, message())]),
        Reply::Holdings(Holdings {
            kinds: vec![HeldKind { number: 4, name: "rule".into(), why: "reach".into(), erased: "you".into() }],
            rows: vec![
                HeldRow { kind: 4, which: "from den".into(), day: Some(7), bytes: 300, ends: Ends::WithAccount },
                HeldRow { kind: 4, which: String::new(), day: None, bytes: 0, ends: Ends::At(UnixMillis(5)) },
            ],
            unlisted: vec![Unlisted { name: "entries".into(), why: "sealed".into(), at_most: "400 days".into() }],
        }),
        Reply::Backup(Backup {
            history: KeptHistory::Days(30),
            here: true,
            complete: false,
            since: Some(UnixMillis(5)),
            messages: 7,
            bytes: 900,
            left_out: true,
        }),
        Reply::Devices(vec![device.clone(), other.clone()]),
        Reply::Drafts(vec![(conversation, "so far".to_owned())]),
    ] {
        there_and_back(&FromWorker::Answer { id: 3, result: Ok(Outcome::Reply(reply)) });
    }
    let ends = [LinkEnd::WrongCode, LinkEnd::Gone, LinkEnd::Expired];
    let mut events: Vec<Event> = ends.map(|why| Event::LinkEnded { why }).into();
    events.extend([
        Event::LinkAsked { name: "Firefox on Linux".to_owned() },
        Event::Devices { identity: IdentityId(0), devices: vec![device, other], new: Some(DeviceId([4; 16])) },
        Event::Identities(vec![identity]),
        Event::Restored { identity: IdentityId(1), backup: UnixMillis(600_000) },
        Event::History { to: None, done: 3, of: 1200 },
        Event::History { to: Some(DeviceId([4; 16])), done: 0, of: 0 },
        Event::Draft { conversation, text: Some("so far".to_owned()) },
    ]);
    there_and_back(&FromWorker::Events(events));
}

#[test]
fn what_brings_people_into_groups_comes_back_as_it_was() {
    let conversation = ConversationId([9; 16]);
    let account = AccountRef { app: AppId::parse("bell").unwrap(), account: AccountId([3; 16]) };
    let id = Digest([5; 32]);
    for intent in [
        Intent::AddMembers { conversation, members: vec![Target::Account(account.clone())] },
        Intent::Uninvite { conversation, member: account.clone() },
        Intent::CreateGroupLink { conversation, approve: true, uses: 3, ttl_s: 60 },
        Intent::GroupLinks { conversation },
        Intent::RevokeGroupLink { link: id },
        Intent::JoinByLink { link: "parlour:invite/bell/a.b".to_owned() },
        Intent::Joining,
        Intent::StopJoining { join: conversation },
    ] {
        there_and_back(&ToWorker::Call { id: 1, call: Call::Intent(intent) });
    }
    let link = GroupLink { id, text: "a.b".to_owned(), approve: false, uses: 1, until: UnixMillis(7) };
    let request = Request {
        id: conversation,
        from: account.clone(),
        time: UnixMillis(1),
        text: None,
        claimed_name: None,
        claimed_address: None,
        group: Some("Choir".to_owned()),
        joins: Some(conversation),
    };
    for reply in [
        Reply::GroupLink(link.clone()),
        Reply::GroupLinks(vec![link]),
        Reply::Joining(vec![Joining { id: conversation, since: UnixMillis(1), by: Some(account) }]),
        Reply::Requests(vec![request]),
    ] {
        there_and_back(&FromWorker::Answer { id: 3, result: Ok(Outcome::Reply(reply)) });
    }
    there_and_back(&FromWorker::Events(vec![Event::Earlier { conversation }]));
    there_and_back(&FromWorker::Events(vec![Event::JoinEnded { join: conversation, joined: None }]));
}

#[test]
fn nothing_that_changes_the_world_twice_is_repeated() {
    let invite = Intent::CreateInvite { uses: 1, ttl_s: 60 };
    assert!(!Call::Intent(invite).is_repeatable());
    assert!(Call::Intent(Intent::Conversations).is_repeatable());
    let device = DeviceId([4; 16]);
    for once in [Intent::ConfirmLink { yes: true }, Intent::RevokeDevice { device }] {
        assert!(!Call::Intent(once.clone()).is_repeatable());
        assert!(!Call::Intent(Intent::As(IdentityId(1), Box::new(once))).is_repeatable());
    }
    assert!(Call::Intent(Intent::As(IdentityId(1), Box::new(Intent::Drafts))).is_repeatable());
}
