//! Any frame that may be sent.

use crate::frames::{
    AccountRef, AccountView, Answer, AppId, AppInfo, Claimed, ClaimedDevice, Commit, Ends, EntryChange, HeldKind,
    HeldRow, Holdings, KeyPackageUpload, Log, MemberProof, Pool, Push, RELAY_SLOTS, ReachRule, Request, Rights, Row,
    RowBody, SignIn, SignedIn, Unlisted, Welcome, Who,
};
use crate::ids::{AccountId, DeviceId, Digest, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use crate::problem::{Code, Problem};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

fn room() -> impl Strategy<Value = RoomId> {
    any::<[u8; 16]>().prop_map(RoomId)
}

fn message() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId)
}

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 16]>().prop_map(DeviceId)
}

fn key() -> impl Strategy<Value = MemberKey> {
    any::<[u8; 32]>().prop_map(MemberKey)
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

fn secret() -> impl Strategy<Value = Secret> {
    any::<[u8; 32]>().prop_map(Secret)
}

fn time() -> impl Strategy<Value = UnixMillis> {
    any::<u64>().prop_map(UnixMillis)
}

fn signature() -> impl Strategy<Value = [u8; 64]> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(a, b)| {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&a);
        signature[32..].copy_from_slice(&b);
        signature
    })
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn app() -> impl Strategy<Value = AppId> {
    "[a-z0-9-]{1,32}".prop_map(|name| AppId::parse(&name).unwrap())
}

fn account() -> impl Strategy<Value = AccountRef> {
    (app(), any::<[u8; 16]>()).prop_map(|(app, account)| AccountRef { app, account: AccountId(account) })
}

fn proof() -> impl Strategy<Value = MemberProof> {
    (key(), time(), signature()).prop_map(|(member_key, time, signature)| MemberProof { member_key, time, signature })
}

fn handle() -> impl Strategy<Value = String> {
    "\\PC{0,40}"
}

fn rule() -> impl Strategy<Value = ReachRule> {
    prop_oneof![Just(ReachRule::Ask), Just(ReachRule::Invite), Just(ReachRule::Nobody)]
}

fn pool() -> impl Strategy<Value = Pool> {
    prop_oneof![Just(Pool::Door), Just(Pool::Stranger), Just(Pool::LastResort)]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        (app(), handle()).prop_map(|(app, handle)| Who::Address { app, handle }),
        account().prop_map(Who::Account),
        secret().prop_map(Who::Invite),
    ]
}

fn change() -> impl Strategy<Value = EntryChange> {
    prop_oneof![
        (key(), bytes(), 0u8..8).prop_map(|(member_key, grant, rights)| EntryChange::Add {
            member_key,
            grant,
            rights: Rights(rights)
        }),
        key().prop_map(|member_key| EntryChange::Remove { member_key }),
        key().prop_map(|new| EntryChange::Rekey { new }),
        any::<bool>().prop_map(|on| EntryChange::Attributed { on }),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    let welcome = (bytes(), vec((key(), bytes()), 0..4)).prop_map(|(shared, parts)| Welcome { shared, parts });
    let lists = (vec(change(), 0..5), vec(any::<u64>(), 0..5), option::of(welcome));
    ((room(), any::<u64>(), message()), bytes(), digest(), lists, key(), signature()).prop_map(
        |((room, head, commit_id), payload, next_send_key, (changes, voids, welcome), member_key, signature)| Commit {
            room,
            head,
            commit_id,
            payload,
            next_send_key,
            changes,
            voids,
            welcome,
            member_key,
            signature,
        },
    )
}

pub(super) fn any_request() -> impl Strategy<Value = Request> {
    prop_oneof![signing_up(), signed_in_requests(), settings(), outbox()]
}

fn signing_up() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Apps),
        (app(), handle()).prop_map(|(app, handle)| Request::RequestCode { app, handle }),
        (app(), handle(), ".{0,4}").prop_map(|(app, handle, code)| Request::ProveCode { app, handle, code }),
        (app(), handle(), bytes()).prop_map(|(app, handle, message)| Request::OpaqueRegister { app, handle, message }),
        bytes().prop_map(|message| Request::OpaqueRegisterFinish { message }),
        (app(), handle(), bytes()).prop_map(|(app, handle, message)| Request::OpaqueLogin { app, handle, message }),
        bytes().prop_map(|message| Request::OpaqueLoginFinish { message }),
        (secret(), any::<[u8; 16]>(), any::<[u8; 32]>(), vec(bytes(), 0..4), device()).prop_map(
            |(ticket, account, root_key, links, device)| Request::Register {
                ticket,
                account: AccountId(account),
                root_key,
                links,
                device
            }
        ),
        secret().prop_map(|ticket| Request::AccountOfTicket { ticket }),
        (secret(), bytes(), device()).prop_map(|(ticket, link, device)| Request::AddDevice { ticket, link, device }),
        (device(), signature()).prop_map(|(device, signature)| Request::Authenticate { device, signature }),
        any::<u32>().prop_map(|slot| Request::JoinRelay { slot }),
        bytes().prop_map(|payload| Request::Relay { payload }),
        Just(Request::CloseRelay),
        Just(Request::DropKeyPackages),
    ]
}

fn signed_in_requests() -> impl Strategy<Value = Request> {
    let upload = (bytes(), key()).prop_map(|(key_package, member_key)| KeyPackageUpload { key_package, member_key });
    prop_oneof![
        any::<u64>().prop_map(|seq| Request::Ack { seq }),
        (pool(), vec(upload, 0..5)).prop_map(|(pool, packages)| Request::PublishKeyPackages { pool, packages }),
        bytes().prop_map(|link| Request::AppendDeviceList { link }),
        Just(Request::OwnAccount),
        (any::<[u8; 16]>(), bytes()).prop_map(|(name, chunk)| Request::PutBackup { name, chunk }),
        any::<[u8; 16]>().prop_map(|name| Request::DropBackup { name }),
        any::<Option<[u8; 16]>>().prop_map(|after| Request::Backup { after }),
        option::of(vec(any::<u8>(), 1..40)).prop_map(|after| Request::Holdings { after: after.map(Bytes::from) }),
        (device(), room()).prop_map(|(device, room)| Request::ClaimOwn { device, room }),
        Just(Request::OpenRelay),
        (who(), room()).prop_map(|(who, room)| Request::Claim { who, room }),
        (room(), key()).prop_map(|(room, member_key)| Request::OwnGrant { room, member_key }),
        (room(), key(), digest()).prop_map(|(room, member_key, send_key)| Request::CreateRoom {
            room,
            member_key,
            send_key
        }),
        signature().prop_map(|signature| Request::DeleteAccount { signature }),
    ]
}

fn settings() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Reach),
        (app(), rule()).prop_map(|(from, rule)| Request::SetReach { from, rule }),
        (digest(), any::<u32>(), any::<u64>(), any::<bool>()).prop_map(|(digest, uses, ttl_s, everywhere)| {
            Request::CreateInvite { digest, uses, ttl_s, everywhere }
        }),
        option::of(digest()).prop_map(|digest| Request::RevokeInvite { digest }),
        digest().prop_map(|digest| Request::PutDoor { digest }),
        digest().prop_map(|digest| Request::DropDoor { digest }),
        account().prop_map(|account| Request::Block { account }),
        account().prop_map(|account| Request::Unblock { account }),
    ]
}

fn outbox() -> impl Strategy<Value = Request> {
    prop_oneof![
        (room(), message(), secret(), any::<[u8; 32]>(), bytes()).prop_map(
            |(room, message_id, send_key, tag, payload)| Request::Send { room, message_id, send_key, tag, payload }
        ),
        (room(), message(), secret(), any::<[u8; 32]>(), bytes(), proof()).prop_map(
            |(room, message_id, send_key, tag, payload, proof)| Request::SignedSend {
                room,
                message_id,
                send_key,
                tag,
                payload,
                proof: Box::new(proof)
            }
        ),
        commit().prop_map(|commit| Request::Commit(Box::new(commit))),
        (account(), secret(), room()).prop_map(|(account, door, room)| Request::DoorClaim { account, door, room }),
        (room(), proof()).prop_map(|(room, proof)| Request::OpenEntry { room, proof }),
        (room(), proof()).prop_map(|(room, proof)| Request::LeaveEntry { room, proof }),
        (room(), any::<u64>(), proof()).prop_map(|(room, after, proof)| Request::FetchLog { room, after, proof }),
        (room(), message(), bytes(), proof()).prop_map(|(room, knock_id, payload, proof)| Request::Knock {
            room,
            knock_id,
            payload,
            proof
        }),
        (room(), room(), proof()).prop_map(|(room, successor, proof)| Request::SetSuccessor { room, successor, proof }),
        (room(), secret(), bytes()).prop_map(|(room, send_key, payload)| Request::Whisper { room, send_key, payload }),
    ]
}

fn view() -> impl Strategy<Value = AccountView> {
    (account(), any::<[u8; 32]>(), vec(bytes(), 0..4)).prop_map(|(account, root_key, links)| AccountView {
        account,
        root_key,
        links,
    })
}

fn signed_in() -> impl Strategy<Value = SignedIn> {
    let left = (any::<u32>(), any::<u32>(), any::<bool>(), vec(key(), 0..=3));
    (account(), time(), any::<u64>(), time(), left, any::<u32>()).prop_map(
        |(account, time, incarnation, backup, (door, stranger, last_resort_used, newest), list)| SignedIn {
            account,
            time,
            incarnation,
            backup,
            door,
            stranger,
            last_resort_used,
            newest,
            list,
        },
    )
}

fn claimed() -> impl Strategy<Value = Claimed> {
    let device = (device(), bytes(), key(), bytes(), any::<bool>()).prop_map(
        |(device, key_package, member_key, grant, last_resort)| ClaimedDevice {
            device,
            key_package,
            member_key,
            grant,
            last_resort,
        },
    );
    (view(), vec(device, 0..4)).prop_map(|(view, devices)| Claimed { view, devices })
}

fn info() -> impl Strategy<Value = AppInfo> {
    let sign_in = prop_oneof![Just(SignIn::Phone), Just(SignIn::Username), Just(SignIn::AtHandle)];
    let expiry = (any::<u64>(), any::<u64>(), any::<Option<u64>>());
    (app(), "\\PC{0,20}", "[a-z.]{0,20}", sign_in, expiry).prop_map(|(app, name, domain, sign_in, expiry)| {
        let (expiry_s, expiry_least_s, expiry_most_s) = expiry;
        AppInfo { app, name, domain, sign_in, expiry_s, expiry_least_s, expiry_most_s }
    })
}

pub(super) fn any_problem() -> impl Strategy<Value = Problem> {
    let code = prop::sample::select(Code::ALL.to_vec());
    (code, "\\PC{0,80}", any::<u64>(), any::<u64>(), option::of(room())).prop_map(
        |(code, detail, retry_after_ms, head, successor)| Problem { code, detail, retry_after_ms, head, successor },
    )
}

pub(super) fn any_answer() -> impl Strategy<Value = Answer> {
    let log = (any::<u64>(), vec(any_row(), 0..4), any::<bool>(), option::of(room()))
        .prop_map(|(head, rows, more, successor)| Log { head, rows, more, successor });
    let accepted = (any::<u64>(), time(), any::<[u8; 32]>(), vec(key(), 0..4))
        .prop_map(|(room_seq, time, stamp, closed)| Answer::Accepted { room_seq, time, stamp, closed });
    let account = prop_oneof![
        vec(info(), 0..4).prop_map(Answer::Apps),
        (secret(), any::<bool>()).prop_map(|(ticket, exists)| Answer::Ticket { ticket, exists }),
        bytes().prop_map(|message| Answer::Opaque { message }),
        view().prop_map(Answer::Account),
        signed_in().prop_map(Answer::Registered),
        signed_in().prop_map(Answer::SignedIn),
    ];
    prop_oneof![
        Just(Answer::Done),
        account,
        (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(door, stranger, last_resort_used)| Answer::Pools {
            door,
            stranger,
            last_resort_used
        }),
        claimed().prop_map(Answer::Claimed),
        bytes().prop_map(|grant| Answer::Grant { grant }),
        vec((app(), rule()), 0..4).prop_map(Answer::Reach),
        accepted,
        log.prop_map(Answer::Log),
        (0..RELAY_SLOTS).prop_map(|slot| Answer::Relay { slot }),
        (vec((any::<[u8; 16]>(), bytes()), 0..4), any::<bool>())
            .prop_map(|(chunks, more)| Answer::Backup { chunks, more }),
        holdings().prop_map(Answer::Holdings),
    ]
}

fn holdings() -> impl Strategy<Value = Holdings> {
    let kind = (any::<u32>(), ".{0,9}", ".{0,9}", ".{0,9}");
    let kind = kind.prop_map(|(number, name, why, erased)| HeldKind { number, name, why, erased });
    let row = (any::<u32>(), ".{0,9}", any::<Option<u32>>(), any::<u64>(), option::of(time()));
    let row = row.prop_map(|(kind, which, day, bytes, ends)| {
        let ends = ends.map_or(Ends::WithAccount, Ends::At);
        HeldRow { kind, which, day, bytes, ends }
    });
    let unlisted = (".{0,9}", ".{0,9}", ".{0,9}").prop_map(|(name, why, at_most)| Unlisted { name, why, at_most });
    let next = option::of(vec(any::<u8>(), 1..40));
    (vec(kind, 0..4), vec(row, 0..4), vec(unlisted, 0..4), next).prop_map(|(kinds, rows, unlisted, next)| Holdings {
        kinds,
        rows,
        unlisted,
        next: next.map(Bytes::from),
    })
}

pub(super) fn any_push() -> impl Strategy<Value = Push> {
    prop_oneof![
        (any::<u32>(), any::<[u8; 32]>(), time()).prop_map(|(version, nonce, time)| Push::Hello {
            version,
            nonce,
            time
        }),
        vec(any_row(), 0..5).prop_map(Push::Rows),
        Just(Push::CaughtUp),
        (any::<u32>(), any::<u32>(), any::<bool>()).prop_map(|(door, stranger, last_resort_used)| Push::PoolsLow {
            door,
            stranger,
            last_resort_used
        }),
        any::<u32>().prop_map(|length| Push::DeviceList { length }),
        bytes().prop_map(|payload| Push::Relay { payload }),
        Just(Push::RelayClosed),
        (room(), bytes()).prop_map(|(room, payload)| Push::Whisper { room, payload }),
        any_problem().prop_map(Push::Closing),
    ]
}

pub(super) fn any_row() -> impl Strategy<Value = Row> {
    let body = prop_oneof![
        (message(), any::<[u8; 32]>(), any::<[u8; 32]>(), bytes())
            .prop_map(|(message_id, tag, stamp, payload)| RowBody::Message { message_id, tag, stamp, payload }),
        (message(), bytes(), digest(), vec(any::<u64>(), 0..4), key(), digest()).prop_map(
            |(commit_id, payload, next_send_key, voids, member_key, entries)| RowBody::Commit {
                commit_id,
                payload,
                next_send_key,
                voids,
                member_key,
                entries
            }
        ),
        (key(), bytes(), bytes(), any::<bool>()).prop_map(|(member_key, shared, part, asked)| RowBody::Welcome {
            member_key,
            shared,
            part,
            asked
        }),
        (message(), key(), bytes()).prop_map(|(knock_id, member_key, payload)| RowBody::Knock {
            knock_id,
            member_key,
            payload
        }),
        (room(), key()).prop_map(|(successor, member_key)| RowBody::Successor { successor, member_key }),
    ];
    let seq = prop_oneof![Just(0u64), any::<u64>()];
    (seq, room(), any::<u64>(), time(), body).prop_map(|(seq, room, room_seq, time, body)| Row {
        seq,
        room,
        room_seq,
        time,
        body,
    })
}
