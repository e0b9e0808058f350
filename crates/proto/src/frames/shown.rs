//! What logs and metrics may show of frames: kinds and sizes; never handles, codes, keys or ciphertext.

use super::{AccountView, Answer, ClaimedDevice, Commit, KeyPackageUpload, Push, Request, RowBody, Welcome, Who};
use std::fmt;

impl Request {
    /// Its name in the protobuf schema: for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Apps => "apps",
            Request::RequestCode { .. } => "request_code",
            Request::ProveCode { .. } => "prove_code",
            Request::OpaqueRegister { .. } => "opaque_register",
            Request::OpaqueRegisterFinish { .. } => "opaque_register_finish",
            Request::OpaqueLogin { .. } => "opaque_login",
            Request::OpaqueLoginFinish { .. } => "opaque_login_finish",
            Request::Register { .. } => "register",
            Request::AccountOfTicket { .. } => "account_of_ticket",
            Request::AddDevice { .. } => "add_device",
            Request::Authenticate { .. } => "authenticate",
            Request::JoinRelay { .. } => "join_relay",
            Request::Relay { .. } => "relay",
            Request::CloseRelay => "close_relay",
            Request::DropKeyPackages => "drop_key_packages",
            Request::Ack { .. } => "ack",
            Request::PublishKeyPackages { .. } => "publish_key_packages",
            Request::AppendDeviceList { .. } => "append_device_list",
            Request::PutBackup { .. } => "put_backup",
            Request::DropBackup { .. } => "drop_backup",
            Request::Backup { .. } => "backup",
            Request::Holdings { .. } => "holdings",
            Request::OwnAccount => "own_account",
            Request::ClaimOwn { .. } => "claim_own",
            Request::OpenRelay => "open_relay",
            Request::Claim { .. } => "claim",
            Request::OwnGrant { .. } => "own_grant",
            Request::CreateRoom { .. } => "create_room",
            Request::Reach => "reach",
            Request::SetReach { .. } => "set_reach",
            Request::CreateInvite { .. } => "create_invite",
            Request::RevokeInvite { .. } => "revoke_invite",
            Request::PutDoor { .. } => "put_door",
            Request::DropDoor { .. } => "drop_door",
            Request::Block { .. } => "block",
            Request::Unblock { .. } => "unblock",
            Request::DeleteAccount { .. } => "delete_account",
            Request::Send { .. } => "send",
            Request::SignedSend { .. } => "signed_send",
            Request::Commit(_) => "commit",
            Request::DoorClaim { .. } => "door_claim",
            Request::OpenEntry { .. } => "open_entry",
            Request::LeaveEntry { .. } => "leave_entry",
            Request::FetchLog { .. } => "fetch_log",
            Request::Knock { .. } => "knock",
            Request::SetSuccessor { .. } => "set_successor",
            Request::Whisper { .. } => "whisper",
        }
    }
}

impl Answer {
    /// Its name in the protobuf schema: for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Answer::Done => "done",
            Answer::Apps(_) => "apps",
            Answer::Ticket { .. } => "ticket",
            Answer::Opaque { .. } => "opaque",
            Answer::Account(_) => "account",
            Answer::Registered(_) => "registered",
            Answer::SignedIn(_) => "signed_in",
            Answer::Pools { .. } => "pools",
            Answer::Claimed(_) => "claimed",
            Answer::Grant { .. } => "grant",
            Answer::Reach(_) => "reach",
            Answer::Accepted { .. } => "accepted",
            Answer::Log(_) => "log",
            Answer::Backup { .. } => "backup",
            Answer::Holdings(_) => "holdings",
            Answer::Relay { .. } => "relay_opened",
        }
    }
}

impl Push {
    /// Its name in the protobuf schema: for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Push::Hello { .. } => "hello",
            Push::Rows(_) => "rows",
            Push::CaughtUp => "caught_up",
            Push::PoolsLow { .. } => "pools_low",
            Push::DeviceList { .. } => "device_list",
            Push::Relay { .. } => "relay",
            Push::RelayClosed => "relay_closed",
            Push::Whisper { .. } => "whisper",
            Push::Closing(_) => "closing",
        }
    }
}

impl RowBody {
    /// Its name in the protobuf schema: for logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            RowBody::Message { .. } => "message",
            RowBody::Commit { .. } => "commit",
            RowBody::Welcome { .. } => "welcome",
            RowBody::Knock { .. } => "knock",
            RowBody::Successor { .. } => "successor",
        }
    }
}

/// `Debug` of these is their name alone: handles, codes and keys stay out of logs, and so does ciphertext.
macro_rules! named_only {
    ($($kind:ident),*) => {$(
        impl fmt::Debug for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($kind), self.name())
            }
        }
    )*};
}
named_only!(Request, Answer, Push, RowBody);

impl fmt::Debug for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Address { app, .. } => write!(f, "Address(..@{app})"),
            Who::Account(account) => fmt::Debug::fmt(account, f),
            Who::Invite(_) => f.write_str("Invite(..)"),
        }
    }
}

impl fmt::Debug for AccountView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountView({:?}, {} links)", self.account, self.links.len())
    }
}

impl fmt::Debug for KeyPackageUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPackageUpload({:?}, {} bytes)", self.member_key, self.key_package.len())
    }
}

impl fmt::Debug for ClaimedDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClaimedDevice({:?}, {} bytes)", self.device, self.key_package.len())
    }
}

impl fmt::Debug for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Commit({:?}, head {}, {:?}, {} bytes)", self.room, self.head, self.commit_id, self.payload.len())
    }
}

impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Welcome({} + {} bytes)",
            self.shared.len(),
            self.parts.iter().map(|part| part.1.len()).sum::<usize>()
        )
    }
}
