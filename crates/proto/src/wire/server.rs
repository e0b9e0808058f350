//! Answers and pushes between protobuf and typed values.

use super::field::{
    account_ref, bounded, fixed, grant, links, list, malformed, opaque, present, put, put_account_ref, put_reach_rule,
    reach_rule, text,
};
use super::schema as pb;
use crate::frames::{
    AccountView, Answer, AppId, AppInfo, Claimed, ClaimedDevice, Log, MAX_APPS, MAX_BACKUP_CHUNK_BYTES,
    MAX_BACKUP_CHUNKS, MAX_ENTRY_CHANGES, MAX_KEY_PACKAGE_BYTES, MAX_MESSAGE_BYTES, MAX_RELAY_BYTES,
    MAX_ROWS_PER_FRAME, MAX_VOIDS, MAX_WHISPER_BYTES, Push, RELAY_SLOTS, Row, RowBody, ServerFrame, SignIn, SignedIn,
};
use crate::ids::UnixMillis;
use crate::problem::{Code, Problem};
use pb::Body as P;

/// Most bytes of a problem's sentence that are kept.
const MAX_DETAIL_BYTES: usize = 1024;
/// Longest name of an app for people, bytes.
const MAX_APP_NAME_BYTES: usize = 256;
/// Longest domain name, bytes (RFC 1035 §2.3.4), and a port.
const MAX_DOMAIN_BYTES: usize = 253 + 6;
/// Most devices in a claim.
const MAX_CLAIMED: usize = crate::device_list::MAX_DEVICES;

/// Protobuf to an answer or a push.
pub(super) fn frame(id: u64, body: P) -> Result<ServerFrame, Problem> {
    let answer = match body {
        P::Accepted(m) => Answer::Accepted {
            room_seq: m.room_seq,
            time: UnixMillis(m.time),
            stamp: fixed(&m.stamp, "stamp")?,
            closed: list(m.closed, MAX_ENTRY_CHANGES, "list of closed entries", |key| fixed(&key, "member_key"))?,
        },
        P::Done(_) => Answer::Done,
        P::Problem(m) => return Ok(ServerFrame::Answer { id, result: Err(problem(m)?) }),
        P::Claimed(m) => Answer::Claimed(Claimed {
            view: view(present(m.view, "view")?)?,
            devices: list(m.devices, MAX_CLAIMED, "list of devices", claimed_device)?,
        }),
        P::Log(m) => Answer::Log(Log {
            head: m.head,
            rows: list(m.rows, MAX_ROWS_PER_FRAME, "list of rows", row)?,
            more: m.more,
            successor: m.successor.map(|room| fixed(&room, "successor")).transpose()?,
        }),
        P::Grant(m) => Answer::Grant { grant: grant(m.grant)? },
        P::Apps(m) => Answer::Apps(list(m.apps, MAX_APPS, "list of apps", app_info)?),
        P::Ticket(m) => Answer::Ticket { ticket: fixed(&m.ticket, "ticket")?, exists: m.exists },
        P::Opaque(m) => Answer::Opaque { message: opaque(m.message)? },
        P::Account(m) => Answer::Account(view(m)?),
        P::Registered(m) => Answer::Registered(signed_in(m)?),
        P::SignedIn(m) => Answer::SignedIn(signed_in(m)?),
        P::Pools(m) => Answer::Pools { door: m.door, stranger: m.stranger, last_resort_used: m.last_resort_used },
        P::Reach(m) => Answer::Reach(list(m.rules, MAX_APPS, "list of rules", |rule| {
            Ok((AppId::parse(&rule.app)?, reach_rule(rule.rule)?))
        })?),
        P::Backup(m) => Answer::Backup {
            chunks: list(m.chunks, MAX_BACKUP_CHUNKS, "list of chunks", |m| {
                Ok((fixed(&m.name, "name of a chunk")?, bounded(m.chunk, MAX_BACKUP_CHUNK_BYTES, "chunk")?))
            })?,
            more: m.more,
        },
        P::Holdings(m) => Answer::Holdings(super::holdings::holdings(m)?),
        P::RelayOpened(m) if m.slot < RELAY_SLOTS => Answer::Relay { slot: m.slot },
        P::RelayOpened(_) => return Err(malformed("a relay's slot has six digits")),
        push @ (P::Rows(_)
        | P::CaughtUp(_)
        | P::PoolsLow(_)
        | P::Hello(_)
        | P::Closing(_)
        | P::DeviceList(_)
        | P::Relay(_)
        | P::RelayClosed(_)
        | P::Whisper(_)) => {
            if id != 0 {
                return Err(malformed("a push carries a request's id"));
            }
            return Ok(ServerFrame::Push(self::push(push)?));
        }
    };
    Ok(ServerFrame::Answer { id, result: Ok(answer) })
}

fn push(body: P) -> Result<Push, Problem> {
    Ok(match body {
        P::Rows(m) => Push::Rows(list(m.rows, MAX_ROWS_PER_FRAME, "list of rows", row)?),
        P::CaughtUp(_) => Push::CaughtUp,
        P::PoolsLow(m) => Push::PoolsLow { door: m.door, stranger: m.stranger, last_resort_used: m.last_resort_used },
        P::Hello(m) => Push::Hello { version: m.version, nonce: fixed(&m.nonce, "nonce")?, time: UnixMillis(m.time) },
        P::Closing(m) => Push::Closing(problem(m)?),
        P::DeviceList(m) => Push::DeviceList { length: m.length },
        P::Relay(m) => Push::Relay { payload: bounded(m.payload, MAX_RELAY_BYTES, "relay payload")? },
        P::RelayClosed(_) => Push::RelayClosed,
        P::Whisper(m) => {
            Push::Whisper { room: fixed(&m.room, "room")?, payload: bounded(m.payload, MAX_WHISPER_BYTES, "whisper")? }
        }
        _ => return Err(malformed("an answer where a push should be")),
    })
}

/// Protobuf to one row.
pub(super) fn row(from: pb::Row) -> Result<Row, Problem> {
    let body = match present(from.body, "row body")? {
        pb::RowBody::Message(m) => RowBody::Message {
            message_id: fixed(&m.message_id, "message_id")?,
            tag: fixed(&m.tag, "tag")?,
            stamp: fixed(&m.stamp, "stamp")?,
            payload: bounded(m.payload, MAX_MESSAGE_BYTES, "message")?,
        },
        pb::RowBody::Commit(m) => RowBody::Commit {
            commit_id: fixed(&m.commit_id, "commit_id")?,
            payload: m.payload,
            next_send_key: fixed(&m.next_send_key, "next_send_key")?,
            voids: list(m.voids, MAX_VOIDS, "list of void rows", Ok)?,
            member_key: fixed(&m.member_key, "member_key")?,
            entries: fixed(&m.entries, "entries")?,
        },
        pb::RowBody::Welcome(m) => RowBody::Welcome {
            member_key: fixed(&m.member_key, "member_key")?,
            shared: m.shared,
            part: m.part,
            asked: m.asked,
        },
        pb::RowBody::Knock(m) => RowBody::Knock {
            knock_id: fixed(&m.knock_id, "knock_id")?,
            member_key: fixed(&m.member_key, "member_key")?,
            payload: bounded(m.payload, crate::frames::MAX_KNOCK_BYTES, "knock")?,
        },
        pb::RowBody::Successor(m) => RowBody::Successor {
            successor: fixed(&m.successor, "successor")?,
            member_key: fixed(&m.member_key, "member_key")?,
        },
    };
    Ok(Row {
        seq: from.seq,
        room: fixed(&from.room, "room")?,
        room_seq: from.room_seq,
        time: UnixMillis(from.time),
        body,
    })
}

fn problem(mut from: pb::Problem) -> Result<Problem, Problem> {
    let end = from.detail.floor_char_boundary(MAX_DETAIL_BYTES);
    from.detail.truncate(end);
    Ok(Problem {
        code: Code::from_number(from.code),
        detail: from.detail,
        retry_after_ms: from.retry_after_ms,
        head: from.head,
        successor: from.successor.map(|room| fixed(&room, "successor")).transpose()?,
    })
}

fn view(from: pb::AccountView) -> Result<AccountView, Problem> {
    Ok(AccountView {
        account: account_ref(from.account)?,
        root_key: fixed(&from.root_key, "root_key")?,
        links: links(from.links)?,
    })
}

fn claimed_device(from: pb::ClaimedDevice) -> Result<ClaimedDevice, Problem> {
    Ok(ClaimedDevice {
        device: fixed(&from.device, "device")?,
        key_package: bounded(from.key_package, MAX_KEY_PACKAGE_BYTES, "key package")?,
        member_key: fixed(&from.member_key, "member_key")?,
        grant: grant(from.grant)?,
        last_resort: from.last_resort,
    })
}

fn app_info(from: pb::AppInfo) -> Result<AppInfo, Problem> {
    Ok(AppInfo {
        app: AppId::parse(&from.app)?,
        name: text(from.name, MAX_APP_NAME_BYTES, "app name")?,
        domain: text(from.domain, MAX_DOMAIN_BYTES, "domain")?,
        sign_in: match from.sign_in {
            1 => SignIn::Phone,
            2 => SignIn::Username,
            3 => SignIn::AtHandle,
            _ => return Err(malformed("unknown way of signing in")),
        },
        expiry_s: from.expiry_s,
        expiry_least_s: from.expiry_least_s,
        expiry_most_s: from.expiry_most_s,
    })
}

/// One for each pool.
const MOST_NEWEST: usize = 3;

fn signed_in(from: pb::SignedIn) -> Result<SignedIn, Problem> {
    let pools = from.pools.unwrap_or_default();
    Ok(SignedIn {
        account: account_ref(from.account)?,
        time: UnixMillis(from.time),
        incarnation: from.incarnation,
        backup: UnixMillis(from.backup),
        door: pools.door,
        stranger: pools.stranger,
        last_resort_used: pools.last_resort_used,
        newest: from.newest.iter().take(MOST_NEWEST).map(|key| fixed(key, "member key")).collect::<Result<_, _>>()?,
        list: from.list,
    })
}

/// An answer to protobuf.
pub(super) fn put_answer(from: &Answer) -> P {
    match from {
        Answer::Done => P::Done(pb::Empty {}),
        Answer::Apps(apps) => P::Apps(pb::Apps { apps: apps.iter().map(put_app_info).collect() }),
        Answer::Ticket { ticket, exists } => P::Ticket(pb::Ticket { ticket: put(&ticket.0), exists: *exists }),
        Answer::Opaque { message } => P::Opaque(pb::OpaqueAnswer { message: message.clone() }),
        Answer::Account(view) => P::Account(put_view(view)),
        Answer::Registered(state) => P::Registered(put_signed_in(state)),
        Answer::SignedIn(state) => P::SignedIn(put_signed_in(state)),
        Answer::Pools { door, stranger, last_resort_used } => {
            P::Pools(pb::Pools { door: *door, stranger: *stranger, last_resort_used: *last_resort_used })
        }
        Answer::Claimed(claimed) => P::Claimed(pb::Claimed {
            view: Some(put_view(&claimed.view)),
            devices: claimed.devices.iter().map(put_claimed_device).collect(),
        }),
        Answer::Grant { grant } => P::Grant(pb::Grant { grant: grant.clone() }),
        Answer::Reach(rules) => P::Reach(pb::ReachSettings {
            rules: rules
                .iter()
                .map(|(app, rule)| pb::Reach { app: app.as_str().to_owned(), rule: put_reach_rule(*rule) })
                .collect(),
        }),
        Answer::Accepted { room_seq, time, stamp, closed } => P::Accepted(pb::Accepted {
            room_seq: *room_seq,
            time: time.0,
            stamp: put(stamp),
            closed: closed.iter().map(|key| put(&key.0)).collect(),
        }),
        Answer::Log(log) => P::Log(pb::Log {
            head: log.head,
            rows: log.rows.iter().map(put_row).collect(),
            more: log.more,
            successor: log.successor.as_ref().map(|room| put(&room.0)),
        }),
        Answer::Backup { chunks, more } => P::Backup(pb::BackupChunks {
            chunks: chunks
                .iter()
                .map(|(name, chunk)| pb::BackupChunk { name: put(name), chunk: chunk.clone() })
                .collect(),
            more: *more,
        }),
        Answer::Holdings(held) => P::Holdings(super::holdings::put_holdings(held)),
        Answer::Relay { slot } => P::RelayOpened(pb::RelaySlot { slot: *slot }),
    }
}

/// A push to protobuf.
pub(super) fn put_push(from: &Push) -> P {
    match from {
        Push::Hello { version, nonce, time } => {
            P::Hello(pb::Hello { version: *version, nonce: put(nonce), time: time.0 })
        }
        Push::Rows(rows) => P::Rows(pb::Rows { rows: rows.iter().map(put_row).collect() }),
        Push::CaughtUp => P::CaughtUp(pb::Empty {}),
        Push::PoolsLow { door, stranger, last_resort_used } => {
            P::PoolsLow(pb::Pools { door: *door, stranger: *stranger, last_resort_used: *last_resort_used })
        }
        Push::DeviceList { length } => P::DeviceList(pb::DeviceList { length: *length }),
        Push::Relay { payload } => P::Relay(pb::RelayPayload { payload: payload.clone() }),
        Push::RelayClosed => P::RelayClosed(pb::Empty {}),
        Push::Whisper { room, payload } => P::Whisper(pb::Whispered { room: put(&room.0), payload: payload.clone() }),
        Push::Closing(problem) => P::Closing(put_problem(problem)),
    }
}

/// A problem to protobuf.
pub(super) fn put_problem(from: &Problem) -> pb::Problem {
    pb::Problem {
        code: from.code as u32,
        detail: from.detail.clone(),
        retry_after_ms: from.retry_after_ms,
        head: from.head,
        successor: from.successor.as_ref().map(|room| put(&room.0)),
    }
}

/// One row to protobuf.
pub(super) fn put_row(from: &Row) -> pb::Row {
    let body = match &from.body {
        RowBody::Message { message_id, tag, stamp, payload } => pb::RowBody::Message(pb::MessageRow {
            message_id: put(&message_id.0),
            tag: put(tag),
            stamp: put(stamp),
            payload: payload.clone(),
        }),
        RowBody::Commit { commit_id, payload, next_send_key, voids, member_key, entries } => {
            pb::RowBody::Commit(pb::CommitRow {
                commit_id: put(&commit_id.0),
                payload: payload.clone(),
                next_send_key: put(&next_send_key.0),
                voids: voids.clone(),
                member_key: put(&member_key.0),
                entries: put(&entries.0),
            })
        }
        RowBody::Welcome { member_key, shared, part, asked } => pb::RowBody::Welcome(pb::WelcomeRow {
            member_key: put(&member_key.0),
            shared: shared.clone(),
            part: part.clone(),
            asked: *asked,
        }),
        RowBody::Knock { knock_id, member_key, payload } => pb::RowBody::Knock(pb::KnockRow {
            knock_id: put(&knock_id.0),
            member_key: put(&member_key.0),
            payload: payload.clone(),
        }),
        RowBody::Successor { successor, member_key } => {
            pb::RowBody::Successor(pb::SuccessorRow { successor: put(&successor.0), member_key: put(&member_key.0) })
        }
    };
    pb::Row { seq: from.seq, room: put(&from.room.0), room_seq: from.room_seq, time: from.time.0, body: Some(body) }
}

fn put_app_info(app: &AppInfo) -> pb::AppInfo {
    pb::AppInfo {
        app: app.app.as_str().to_owned(),
        name: app.name.clone(),
        domain: app.domain.clone(),
        sign_in: match app.sign_in {
            SignIn::Phone => 1,
            SignIn::Username => 2,
            SignIn::AtHandle => 3,
        },
        expiry_s: app.expiry_s,
        expiry_least_s: app.expiry_least_s,
        expiry_most_s: app.expiry_most_s,
    }
}

fn put_view(view: &AccountView) -> pb::AccountView {
    pb::AccountView {
        account: put_account_ref(&view.account),
        root_key: put(&view.root_key),
        links: view.links.clone(),
    }
}

fn put_signed_in(state: &SignedIn) -> pb::SignedIn {
    pb::SignedIn {
        account: put_account_ref(&state.account),
        time: state.time.0,
        incarnation: state.incarnation,
        backup: state.backup.0,
        pools: Some(pb::Pools { door: state.door, stranger: state.stranger, last_resort_used: state.last_resort_used }),
        newest: state.newest.iter().map(|key| put(&key.0)).collect(),
        list: state.list,
    }
}

fn put_claimed_device(device: &ClaimedDevice) -> pb::ClaimedDevice {
    pb::ClaimedDevice {
        device: put(&device.device.0),
        key_package: device.key_package.clone(),
        member_key: put(&device.member_key.0),
        grant: device.grant.clone(),
        last_resort: device.last_resort,
    }
}
