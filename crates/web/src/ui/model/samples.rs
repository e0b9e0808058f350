//! Small conversations and messages for tests.

use parlour_client::api::{
    Conversation, ConversationId, ConversationState, Identity, IdentityId, Message, MessageState, Reports, Request,
    Showing,
};
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, MessageId, UnixMillis};

pub(crate) fn account(n: u8) -> AccountRef {
    AccountRef { app: AppId::parse("bell").unwrap(), account: AccountId([n; 16]) }
}

pub(crate) fn identity(n: u16, app: &str) -> Identity {
    Identity {
        id: IdentityId(n),
        account: AccountRef { app: AppId::parse(app).unwrap(), account: AccountId([n as u8; 16]) },
        address: format!("ada@{app}"),
        name: "Ada".to_owned(),
        showing: Showing::default(),
        reports: Reports { delivered: true, read: true, typing: true },
    }
}

pub(crate) fn chat(n: u8, last_activity: u64) -> Conversation {
    Conversation {
        id: ConversationId([n; 16]),
        identity: IdentityId(0),
        title: format!("Somebody {n}"),
        members: Vec::new(),
        is_group: false,
        state: ConversationState::Open,
        mentioned: false,
        picture: None,
        unread: 0,
        last: None,
        last_activity: UnixMillis(last_activity),
        verified: false,
        group: None,
        expiry: None,
        expiry_range: None,
        kept: false,
    }
}

/// An own message; `n` is its order, its minute, and its id.
pub(crate) fn message(n: u64, text: &str) -> Message {
    Message {
        mentions: Vec::new(),
        id: MessageId(u128::from(n).to_be_bytes()),
        order: n,
        from: None,
        from_name: None,
        text: text.to_owned(),
        in_reply_to: None,
        edited: false,
        deleted: false,
        reactions: Vec::new(),
        time: UnixMillis(n * 60_000),
        state: MessageState::Sent,
        expires: None,
        timer: None,
        kept: false,
        notice: None,
    }
}

pub(crate) fn received(n: u64, text: &str) -> Message {
    Message {
        mentions: Vec::new(),
        from: Some(account(1)),
        from_name: Some("Ana".to_owned()),
        state: MessageState::Received,
        ..message(n, text)
    }
}

pub(crate) fn request(n: u8) -> Request {
    Request {
        id: ConversationId([n; 16]),
        from: account(n),
        time: UnixMillis(0),
        text: Some("hello".to_owned()),
        claimed_name: Some("Eve".to_owned()),
        claimed_address: None,
        group: None,
        joins: None,
    }
}
