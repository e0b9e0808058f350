//! Requests between protobuf and typed values.

use super::field::{
    account_ref, bounded, digest, fixed, grant, handle, link, links, list, malformed, opaque, present, put,
    put_account_ref, put_reach_rule, reach_rule, text,
};
use super::schema as pb;
use crate::frames::{
    AppId, Commit, EntryChange, KeyPackageUpload, MAX_BACKUP_CHUNK_BYTES, MAX_CODE_BYTES, MAX_ENTRY_CHANGES,
    MAX_FRAME_BYTES, MAX_KEY_PACKAGE_BYTES, MAX_KEY_PACKAGES_PER_FRAME, MAX_KNOCK_BYTES, MAX_MESSAGE_BYTES,
    MAX_RELAY_BYTES, MAX_VOIDS, MAX_WHISPER_BYTES, MemberProof, Pool, Request, Rights, Welcome, Who,
};
use crate::ids::UnixMillis;
use crate::problem::Problem;
use pb::Request as P;

/// Protobuf to a request.
pub(super) fn request(from: P) -> Result<Request, Problem> {
    Ok(match from {
        P::Send(m) => Request::Send {
            room: fixed(&m.room, "room")?,
            message_id: fixed(&m.message_id, "message_id")?,
            send_key: fixed(&m.send_key, "send_key")?,
            tag: fixed(&m.tag, "tag")?,
            payload: bounded(m.payload, MAX_MESSAGE_BYTES, "message")?,
        },
        P::SignedSend(m) => {
            let send = present(m.send, "send")?;
            Request::SignedSend {
                room: fixed(&send.room, "room")?,
                message_id: fixed(&send.message_id, "message_id")?,
                send_key: fixed(&send.send_key, "send_key")?,
                tag: fixed(&send.tag, "tag")?,
                payload: bounded(send.payload, MAX_MESSAGE_BYTES, "message")?,
                proof: Box::new(proof(m.proof)?),
            }
        }
        P::Ack(m) => Request::Ack { seq: m.seq },
        P::Commit(m) => Request::Commit(Box::new(commit(m)?)),
        P::DoorClaim(m) => Request::DoorClaim {
            account: account_ref(m.account)?,
            door: fixed(&m.door, "door")?,
            room: fixed(&m.room, "room")?,
        },
        P::OpenEntry(m) => Request::OpenEntry { room: fixed(&m.room, "room")?, proof: proof(m.proof)? },
        P::LeaveEntry(m) => Request::LeaveEntry { room: fixed(&m.room, "room")?, proof: proof(m.proof)? },
        P::FetchLog(m) => Request::FetchLog { room: fixed(&m.room, "room")?, after: m.after, proof: proof(m.proof)? },
        P::Knock(m) => Request::Knock {
            room: fixed(&m.room, "room")?,
            knock_id: fixed(&m.knock_id, "knock_id")?,
            payload: bounded(m.payload, MAX_KNOCK_BYTES, "knock")?,
            proof: proof(m.proof)?,
        },
        P::SetSuccessor(m) => Request::SetSuccessor {
            room: fixed(&m.room, "room")?,
            successor: fixed(&m.successor, "successor")?,
            proof: proof(m.proof)?,
        },
        P::Apps(_) => Request::Apps,
        P::RequestCode(m) => Request::RequestCode { app: AppId::parse(&m.app)?, handle: handle(m.handle)? },
        P::ProveCode(m) => Request::ProveCode {
            app: AppId::parse(&m.app)?,
            handle: handle(m.handle)?,
            code: text(m.code, MAX_CODE_BYTES, "code")?,
        },
        P::OpaqueRegister(m) => Request::OpaqueRegister {
            app: AppId::parse(&m.app)?,
            handle: handle(m.handle)?,
            message: opaque(m.message)?,
        },
        P::OpaqueRegisterFinish(m) => Request::OpaqueRegisterFinish { message: opaque(m.message)? },
        P::OpaqueLogin(m) => {
            Request::OpaqueLogin { app: AppId::parse(&m.app)?, handle: handle(m.handle)?, message: opaque(m.message)? }
        }
        P::OpaqueLoginFinish(m) => Request::OpaqueLoginFinish { message: opaque(m.message)? },
        P::Register(m) => Request::Register {
            ticket: fixed(&m.ticket, "ticket")?,
            account: fixed(&m.account, "account")?,
            root_key: fixed(&m.root_key, "root_key")?,
            links: links(m.links)?,
            device: fixed(&m.device, "device")?,
        },
        P::AccountOfTicket(m) => Request::AccountOfTicket { ticket: fixed(&m.ticket, "ticket")? },
        P::AddDevice(m) => Request::AddDevice {
            ticket: fixed(&m.ticket, "ticket")?,
            link: link(m.link)?,
            device: fixed(&m.device, "device")?,
        },
        P::Authenticate(m) => {
            Request::Authenticate { device: fixed(&m.device, "device")?, signature: fixed(&m.signature, "signature")? }
        }
        P::PublishKeyPackages(m) => Request::PublishKeyPackages {
            pool: pool(m.pool)?,
            packages: list(m.packages, MAX_KEY_PACKAGES_PER_FRAME, "list of key packages", upload)?,
        },
        P::AppendDeviceList(m) => Request::AppendDeviceList { link: link(m.link)? },
        P::Claim(m) => Request::Claim { who: who(m.who)?, room: fixed(&m.room, "room")? },
        P::OwnGrant(m) => {
            Request::OwnGrant { room: fixed(&m.room, "room")?, member_key: fixed(&m.member_key, "member_key")? }
        }
        P::CreateRoom(m) => Request::CreateRoom {
            room: fixed(&m.room, "room")?,
            member_key: fixed(&m.member_key, "member_key")?,
            send_key: fixed(&m.send_key, "send_key")?,
        },
        P::Reach(_) => Request::Reach,
        P::SetReach(m) => Request::SetReach { from: AppId::parse(&m.app)?, rule: reach_rule(m.rule)? },
        P::CreateInvite(m) => {
            let (uses, ttl_s, everywhere) = (m.uses, m.ttl_s, m.everywhere);
            Request::CreateInvite { digest: digest(&m.digest)?, uses, ttl_s, everywhere }
        }
        P::RevokeInvite(m) => Request::RevokeInvite { digest: m.digest.map(|d| digest(&d)).transpose()? },
        P::PutDoor(m) => Request::PutDoor { digest: digest(&m.digest)? },
        P::DropDoor(m) => Request::DropDoor { digest: digest(&m.digest)? },
        P::Block(m) => Request::Block { account: account_ref(m.account)? },
        P::Unblock(m) => Request::Unblock { account: account_ref(m.account)? },
        P::DeleteAccount(m) => Request::DeleteAccount { signature: fixed(&m.signature, "signature")? },
        P::OpenRelay(_) => Request::OpenRelay,
        // Any number: one that cannot be is answered like one that is not open.
        P::JoinRelay(m) => Request::JoinRelay { slot: m.slot },
        P::Relay(m) => Request::Relay { payload: bounded(m.payload, MAX_RELAY_BYTES, "relay payload")? },
        P::CloseRelay(_) => Request::CloseRelay,
        P::DropKeyPackages(_) => Request::DropKeyPackages,
        P::PutBackup(m) => Request::PutBackup {
            name: fixed(&m.name, "name of a chunk")?,
            chunk: bounded(m.chunk, MAX_BACKUP_CHUNK_BYTES, "chunk")?,
        },
        P::DropBackup(m) => Request::DropBackup { name: fixed(&m.name, "name of a chunk")? },
        P::Backup(m) if m.name.is_empty() => Request::Backup { after: None },
        P::Backup(m) => Request::Backup { after: Some(fixed(&m.name, "name of a chunk")?) },
        P::Holdings(m) => Request::Holdings { after: super::holdings::cursor(m.after)? },
        P::OwnAccount(_) => Request::OwnAccount,
        P::ClaimOwn(m) => Request::ClaimOwn { device: fixed(&m.device, "device")?, room: fixed(&m.room, "room")? },
        P::Whisper(m) => Request::Whisper {
            room: fixed(&m.room, "room")?,
            send_key: fixed(&m.send_key, "send_key")?,
            payload: bounded(m.payload, MAX_WHISPER_BYTES, "whisper")?,
        },
    })
}

fn commit(m: pb::Commit) -> Result<Commit, Problem> {
    if m.voids.len() > MAX_VOIDS {
        return Err(super::field::too_large("list of void rows", MAX_VOIDS));
    }
    Ok(Commit {
        room: fixed(&m.room, "room")?,
        head: m.head,
        commit_id: fixed(&m.commit_id, "commit_id")?,
        payload: bounded(m.payload, MAX_FRAME_BYTES, "commit")?,
        next_send_key: fixed(&m.next_send_key, "next_send_key")?,
        changes: list(m.changes, MAX_ENTRY_CHANGES, "list of entry changes", change)?,
        voids: m.voids,
        welcome: m.welcome.map(welcome).transpose()?,
        member_key: fixed(&m.member_key, "member_key")?,
        signature: fixed(&m.signature, "signature")?,
    })
}

fn change(from: pb::EntryChange) -> Result<EntryChange, Problem> {
    Ok(match present(from.change, "entry change")? {
        pb::Change::Add(add) => EntryChange::Add {
            member_key: fixed(&add.member_key, "member_key")?,
            grant: grant(add.grant)?,
            rights: rights(add.rights)?,
        },
        pb::Change::Remove(key) => EntryChange::Remove { member_key: fixed(&key, "member_key")? },
        pb::Change::Attributed(on) => EntryChange::Attributed { on },
        pb::Change::Rekey(key) => EntryChange::Rekey { new: fixed(&key, "member_key")? },
    })
}

/// A right that this version does not know is refused: it cannot be enforced.
fn rights(bits: u32) -> Result<Rights, Problem> {
    u8::try_from(bits)
        .ok()
        .map(Rights)
        .filter(|rights| Rights::ALL.allow(*rights))
        .ok_or_else(|| malformed("unknown rights"))
}

fn welcome(from: pb::Welcome) -> Result<Welcome, Problem> {
    let part = |part: pb::WelcomePart| Ok((fixed(&part.member_key, "member_key")?, part.part));
    Ok(Welcome { shared: from.shared, parts: list(from.parts, MAX_ENTRY_CHANGES, "list of Welcome parts", part)? })
}

fn proof(from: Option<pb::MemberProof>) -> Result<MemberProof, Problem> {
    let from = present(from, "proof")?;
    Ok(MemberProof {
        member_key: fixed(&from.member_key, "member_key")?,
        time: UnixMillis(from.time),
        signature: fixed(&from.signature, "signature")?,
    })
}

fn pool(number: u32) -> Result<Pool, Problem> {
    match number {
        1 => Ok(Pool::Door),
        2 => Ok(Pool::Stranger),
        3 => Ok(Pool::LastResort),
        _ => Err(malformed("unknown pool")),
    }
}

fn upload(from: pb::KeyPackageUpload) -> Result<KeyPackageUpload, Problem> {
    Ok(KeyPackageUpload {
        key_package: bounded(from.key_package, MAX_KEY_PACKAGE_BYTES, "key package")?,
        member_key: fixed(&from.member_key, "member_key")?,
    })
}

fn who(from: Option<pb::Who>) -> Result<Who, Problem> {
    Ok(match present(from, "who")? {
        pb::Who::Address(at) => Who::Address { app: AppId::parse(&at.app)?, handle: handle(at.handle)? },
        pb::Who::Account(account) => Who::Account(account_ref(Some(account))?),
        pb::Who::Invite(token) => Who::Invite(fixed(&token, "invite")?),
    })
}

/// A request to protobuf. One match, however long: the compiler then finds the variant that was forgotten.
pub(super) fn put_request(from: &Request) -> P {
    match from {
        Request::Send { room, message_id, send_key, tag, payload } => P::Send(pb::Send {
            room: put(&room.0),
            message_id: put(&message_id.0),
            send_key: put(&send_key.0),
            tag: put(tag),
            payload: payload.clone(),
        }),
        Request::SignedSend { room, message_id, send_key, tag, payload, proof } => P::SignedSend(pb::SignedSend {
            send: Some(pb::Send {
                room: put(&room.0),
                message_id: put(&message_id.0),
                send_key: put(&send_key.0),
                tag: put(tag),
                payload: payload.clone(),
            }),
            proof: put_proof(proof),
        }),
        Request::Ack { seq } => P::Ack(pb::Ack { seq: *seq }),
        Request::Commit(commit) => P::Commit(put_commit(commit)),
        Request::DoorClaim { account, door, room } => {
            P::DoorClaim(pb::DoorClaim { account: put_account_ref(account), door: put(&door.0), room: put(&room.0) })
        }
        Request::OpenEntry { room, proof } => {
            P::OpenEntry(pb::EntryRequest { room: put(&room.0), proof: put_proof(proof) })
        }
        Request::LeaveEntry { room, proof } => {
            P::LeaveEntry(pb::EntryRequest { room: put(&room.0), proof: put_proof(proof) })
        }
        Request::FetchLog { room, after, proof } => {
            P::FetchLog(pb::FetchLog { room: put(&room.0), proof: put_proof(proof), after: *after })
        }
        Request::Knock { room, knock_id, payload, proof } => P::Knock(pb::Knock {
            room: put(&room.0),
            proof: put_proof(proof),
            knock_id: put(&knock_id.0),
            payload: payload.clone(),
        }),
        Request::SetSuccessor { room, successor, proof } => P::SetSuccessor(pb::SetSuccessor {
            room: put(&room.0),
            proof: put_proof(proof),
            successor: put(&successor.0),
        }),
        Request::RequestCode { app, handle } => {
            P::RequestCode(pb::RequestCode { app: app.as_str().to_owned(), handle: handle.clone() })
        }
        Request::ProveCode { app, handle, code } => {
            P::ProveCode(pb::ProveCode { app: app.as_str().to_owned(), handle: handle.clone(), code: code.clone() })
        }
        Request::OpaqueRegister { app, handle, message } => P::OpaqueRegister(opaque_start(app, handle, message)),
        Request::OpaqueRegisterFinish { message } => {
            P::OpaqueRegisterFinish(pb::OpaqueFinish { message: message.clone() })
        }
        Request::OpaqueLogin { app, handle, message } => P::OpaqueLogin(opaque_start(app, handle, message)),
        Request::OpaqueLoginFinish { message } => P::OpaqueLoginFinish(pb::OpaqueFinish { message: message.clone() }),
        Request::Register { ticket, account, root_key, links, device } => P::Register(pb::Register {
            ticket: put(&ticket.0),
            account: put(&account.0),
            root_key: put(root_key),
            links: links.clone(),
            device: put(&device.0),
        }),
        Request::AccountOfTicket { ticket } => P::AccountOfTicket(pb::AccountOfTicket { ticket: put(&ticket.0) }),
        Request::AddDevice { ticket, link, device } => {
            P::AddDevice(pb::AddDevice { ticket: put(&ticket.0), link: link.clone(), device: put(&device.0) })
        }
        Request::Authenticate { device, signature } => {
            P::Authenticate(pb::Authenticate { device: put(&device.0), signature: put(signature) })
        }
        Request::PublishKeyPackages { pool, packages } => P::PublishKeyPackages(pb::PublishKeyPackages {
            pool: put_pool(*pool),
            packages: packages.iter().map(put_upload).collect(),
        }),
        Request::AppendDeviceList { link } => P::AppendDeviceList(pb::AppendDeviceList { link: link.clone() }),
        Request::Claim { who, room } => P::Claim(pb::Claim { room: put(&room.0), who: Some(put_who(who)) }),
        Request::OwnGrant { room, member_key } => {
            P::OwnGrant(pb::OwnGrant { room: put(&room.0), member_key: put(&member_key.0) })
        }
        Request::CreateRoom { room, member_key, send_key } => P::CreateRoom(pb::CreateRoom {
            room: put(&room.0),
            member_key: put(&member_key.0),
            send_key: put(&send_key.0),
        }),
        Request::Reach => P::Reach(pb::Empty {}),
        Request::SetReach { from, rule } => {
            P::SetReach(pb::Reach { app: from.as_str().to_owned(), rule: put_reach_rule(*rule) })
        }
        Request::CreateInvite { digest, uses, ttl_s, everywhere } => {
            let (uses, ttl_s, everywhere) = (*uses, *ttl_s, *everywhere);
            P::CreateInvite(pb::CreateInvite { digest: put(&digest.0), uses, ttl_s, everywhere })
        }
        Request::RevokeInvite { digest } => {
            P::RevokeInvite(pb::RevokeInvite { digest: digest.as_ref().map(|d| put(&d.0)) })
        }
        Request::PutDoor { digest } => P::PutDoor(pb::Door { digest: put(&digest.0) }),
        Request::DropDoor { digest } => P::DropDoor(pb::Door { digest: put(&digest.0) }),
        Request::Block { account } => P::Block(pb::Block { account: put_account_ref(account) }),
        Request::Unblock { account } => P::Unblock(pb::Block { account: put_account_ref(account) }),
        Request::DeleteAccount { signature } => P::DeleteAccount(pb::DeleteAccount { signature: put(signature) }),
        Request::OpenRelay => P::OpenRelay(pb::Empty {}),
        Request::JoinRelay { slot } => P::JoinRelay(pb::RelaySlot { slot: *slot }),
        Request::Relay { payload } => P::Relay(pb::RelayPayload { payload: payload.clone() }),
        Request::CloseRelay => P::CloseRelay(pb::Empty {}),
        Request::DropKeyPackages => P::DropKeyPackages(pb::Empty {}),
        Request::PutBackup { name, chunk } => P::PutBackup(pb::BackupChunk { name: put(name), chunk: chunk.clone() }),
        Request::DropBackup { name } => P::DropBackup(pb::BackupName { name: put(name) }),
        Request::Backup { after } => {
            P::Backup(pb::BackupName { name: after.map(|name| put(&name)).unwrap_or_default() })
        }
        Request::Holdings { after } => P::Holdings(pb::HoldingsRequest { after: after.clone().unwrap_or_default() }),
        Request::OwnAccount => P::OwnAccount(pb::Empty {}),
        Request::ClaimOwn { device, room } => P::ClaimOwn(pb::ClaimOwn { device: put(&device.0), room: put(&room.0) }),
        Request::Whisper { room, send_key, payload } => {
            P::Whisper(pb::Whisper { room: put(&room.0), send_key: put(&send_key.0), payload: payload.clone() })
        }
        Request::Apps => P::Apps(pb::Empty {}),
    }
}

fn opaque_start(app: &AppId, handle: &str, message: &bytes::Bytes) -> pb::OpaqueStart {
    pb::OpaqueStart { app: app.as_str().to_owned(), handle: handle.to_owned(), message: message.clone() }
}

fn put_commit(commit: &Commit) -> pb::Commit {
    pb::Commit {
        room: put(&commit.room.0),
        head: commit.head,
        commit_id: put(&commit.commit_id.0),
        payload: commit.payload.clone(),
        next_send_key: put(&commit.next_send_key.0),
        changes: commit.changes.iter().map(put_change).collect(),
        voids: commit.voids.clone(),
        welcome: commit.welcome.as_ref().map(put_welcome),
        member_key: put(&commit.member_key.0),
        signature: put(&commit.signature),
    }
}

fn put_change(change: &EntryChange) -> pb::EntryChange {
    let change = match change {
        EntryChange::Add { member_key, grant, rights } => pb::Change::Add(pb::AddEntry {
            member_key: put(&member_key.0),
            grant: grant.clone(),
            rights: u32::from(rights.0),
        }),
        EntryChange::Remove { member_key } => pb::Change::Remove(put(&member_key.0)),
        EntryChange::Rekey { new } => pb::Change::Rekey(put(&new.0)),
        EntryChange::Attributed { on } => pb::Change::Attributed(*on),
    };
    pb::EntryChange { change: Some(change) }
}

fn put_welcome(welcome: &Welcome) -> pb::Welcome {
    let part = |(key, part): &(crate::ids::MemberKey, bytes::Bytes)| pb::WelcomePart {
        member_key: put(&key.0),
        part: part.clone(),
    };
    pb::Welcome { shared: welcome.shared.clone(), parts: welcome.parts.iter().map(part).collect() }
}

fn put_proof(proof: &MemberProof) -> Option<pb::MemberProof> {
    Some(pb::MemberProof { member_key: put(&proof.member_key.0), time: proof.time.0, signature: put(&proof.signature) })
}

fn put_pool(pool: Pool) -> u32 {
    match pool {
        Pool::Door => 1,
        Pool::Stranger => 2,
        Pool::LastResort => 3,
    }
}

fn put_upload(upload: &KeyPackageUpload) -> pb::KeyPackageUpload {
    pb::KeyPackageUpload { key_package: upload.key_package.clone(), member_key: put(&upload.member_key.0) }
}

fn put_who(who: &Who) -> pb::Who {
    match who {
        Who::Address { app, handle } => {
            pb::Who::Address(pb::Address { app: app.as_str().to_owned(), handle: handle.clone() })
        }
        Who::Account(account) => {
            pb::Who::Account(pb::AccountRef { app: account.app.as_str().to_owned(), account: put(&account.account.0) })
        }
        Who::Invite(token) => pb::Who::Invite(put(&token.0)),
    }
}
