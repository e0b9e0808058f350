//! Problem codes: what a peer learns when something is refused. Stable, few, and less than what is logged.

use std::fmt;

/// A stable code on the wire. The number never changes its meaning; an unknown number reads as [`Code::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Code {
    /// A code of a newer server.
    Unknown = 0,
    /// The frame is not valid protobuf, lacks a field, or a field has the wrong size.
    Malformed = 1,
    /// The frame, or a field in it, is larger than allowed.
    TooLarge = 2,
    /// The request is not allowed on this socket in its present state (for example before signing in).
    OutOfPlace = 3,
    /// The client speaks a protocol version that this server no longer answers: please update.
    PleaseUpdate = 4,
    /// Too many requests; try again after `retry_after_ms`.
    SlowDown = 5,
    /// The server could not do it now (for example: it is stopping); try again.
    Unavailable = 6,
    /// The server's disk is full: nothing is accepted for storing; reading goes on.
    Full = 7,
    /// A fault inside the server; it was logged.
    Internal = 8,

    /// No such app here, or the app does not use this way of signing in.
    NoSuchApp = 20,
    /// The handle is not valid in this app, or could be confused with another one.
    BadHandle = 21,
    /// The handle belongs to somebody, or is in quarantine.
    HandleTaken = 22,
    /// One-time code, password or signature is wrong; also what unknown users get.
    NotAuthenticated = 23,
    /// The code, ticket, invite, grant or relay has expired, or was used before.
    Expired = 24,
    /// Tried too often; a new code is needed.
    TriesExhausted = 25,
    /// The device list change does not follow from the list that the server holds.
    BadDeviceList = 26,
    /// The device is not (or no longer) on the account's list.
    NotADevice = 27,

    /// Nobody there, or not for you: both answer alike.
    NotReachable = 40,
    /// The account's budget of new people is used up; `retry_after_ms` says when it refills.
    TooManyNewPeople = 41,

    /// No such room, or not for this key: both answer alike.
    NoSuchRoom = 60,
    /// The handshake head moved; `head` has the current one: process it and try again.
    Behind = 61,
    /// The send key is not valid (any more): process the room's commits and encrypt again.
    WrongSendKey = 62,
    /// The entry lacks the right for this.
    NoRight = 63,
    /// A grant is not valid for this room and member key, or was used.
    BadGrant = 64,
    /// The signature by the member key is wrong or stale.
    BadSignature = 65,
    /// The room id is taken.
    RoomExists = 66,
    /// The log does not go back that far: rebuild.
    LogGone = 67,
    /// The room has a successor; `successor` names it.
    Succeeded = 68,
    /// The room is in attributed mode: process its commits, and sign what is sent with the member key.
    Attributed = 69,
}

impl Code {
    /// All codes that this version knows.
    pub const ALL: [Code; 28] = [
        Code::Malformed,
        Code::TooLarge,
        Code::OutOfPlace,
        Code::PleaseUpdate,
        Code::SlowDown,
        Code::Unavailable,
        Code::Full,
        Code::Internal,
        Code::NoSuchApp,
        Code::BadHandle,
        Code::HandleTaken,
        Code::NotAuthenticated,
        Code::Expired,
        Code::TriesExhausted,
        Code::BadDeviceList,
        Code::NotADevice,
        Code::NotReachable,
        Code::TooManyNewPeople,
        Code::NoSuchRoom,
        Code::Behind,
        Code::WrongSendKey,
        Code::NoRight,
        Code::BadGrant,
        Code::BadSignature,
        Code::RoomExists,
        Code::LogGone,
        Code::Succeeded,
        Code::Attributed,
    ];

    /// The code with this number.
    pub fn from_number(number: u32) -> Code {
        Code::ALL.into_iter().find(|code| *code as u32 == number).unwrap_or(Code::Unknown)
    }
}

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The stable code.
    pub code: Code,
    /// One English sentence for developers: what was wrong and what to do next. Never personal data.
    pub detail: String,
    /// When trying again makes sense, milliseconds from now; 0 if never or at once.
    pub retry_after_ms: u64,
    /// With [`Code::Behind`]: the room's handshake head.
    pub head: u64,
    /// With [`Code::Succeeded`]: the room that follows.
    pub successor: Option<crate::ids::RoomId>,
}

impl Problem {
    /// A problem with a code and a sentence.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), retry_after_ms: 0, head: 0, successor: None }
    }

    /// The same, with a time after which to try again.
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = ms;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.detail, self.code)
    }
}

impl std::error::Error for Problem {}
