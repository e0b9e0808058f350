//! What the server has beside rows: files, and what is in memory only. `parlour audit` prints it with the rows.

use super::{Lifetimes, Setting};

/// How long it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// As the operator set it.
    Set(Setting),
    /// In words.
    Words(&'static str),
}

impl Span {
    /// For people.
    pub fn words(self, lifetimes: &Lifetimes) -> String {
        match self {
            Self::Set(setting) => super::span(lifetimes.seconds(setting)),
            Self::Words(words) => words.to_owned(),
        }
    }
}

/// Something that is in no row.
#[derive(Clone, Copy, Debug)]
pub struct Unstored {
    /// What it is, for people.
    pub name: &'static str,
    /// How long.
    pub span: Span,
    /// What ends it before that.
    pub erased: &'static str,
    /// Why it is there at all.
    pub why: &'static str,
}

const fn memory(name: &'static str, span: Span, erased: &'static str, why: &'static str) -> Unstored {
    Unstored { name, span, erased, why }
}

/// What is in memory only: a restart forgets all of it.
pub const MEMORY: &[Unstored] = &[
    memory(
        "one-time codes (keyed hash of the number)",
        Span::Set(Setting::Code),
        "being used; five wrong tries",
        "to prove a number",
    ),
    memory(
        "messages in the development outbox",
        Span::Set(Setting::Code),
        "-",
        "trying things out: `parlour serve` has none",
    ),
    memory(
        "sign-in tickets, with the handle that they prove",
        Span::Set(Setting::Ticket),
        "being used",
        "between proving a handle and being signed in",
    ),
    memory(
        "password exchanges under way",
        Span::Words("the socket, at most 30 s idle"),
        "their second message",
        "OPAQUE takes two messages",
    ),
    memory(
        "sessions: which device a socket is signed in as",
        Span::Words("the socket"),
        "signing out, revoking",
        "to push its rows and to obey it",
    ),
    memory(
        "network addresses of open sockets",
        Span::Words("the socket"),
        "-",
        "at most so many connections from one address",
    ),
    memory(
        "rate limits, some by network address",
        Span::Words("an hour after the last use"),
        "-",
        "floods and guessing",
    ),
    memory(
        "relays for linking devices, with what waits in them",
        Span::Set(Setting::Relay),
        "either side ending it",
        "a device that is not signed in reaches one that is",
    ),
    memory(
        "which rows wait in which mailbox",
        Span::Words("as the rows"),
        "as the rows",
        "stored rows are sealed whole",
    ),
    memory(
        "rooms in use, with the ids of recent messages",
        Span::Words("until others push them out"),
        "a fault",
        "to answer a message without reading the disk",
    ),
    memory("acknowledgements to be written", Span::Words("25 ms"), "being written", "many are written together"),
    memory(
        "whispers on their way to a socket",
        Span::Words("the socket, 16 at most"),
        "being sent",
        "somebody is writing",
    ),
];

/// A kind of file below the data directory; `*` stands for a day's number.
#[derive(Clone, Copy, Debug)]
pub struct File {
    /// Its path below the data directory.
    pub path: &'static str,
    /// What it is.
    pub about: Unstored,
}

const fn file(path: &'static str, name: &'static str, span: Span, erased: &'static str, why: &'static str) -> File {
    File { path, about: Unstored { name, span, erased, why } }
}

const FOREVER: Span = Span::Words("for good");

/// All files that the server makes.
pub const FILES: &[File] = &[
    file("store.db", "the rows", Span::Words("as the rows"), "as the rows", "what this table lists"),
    file(
        "store.db-wal",
        "rows not yet written back",
        Span::Words("3 s without work"),
        "16 MB of it",
        "no accepted message is lost in a crash",
    ),
    file("store.db-shm", "index of store.db-wal", Span::Words("as store.db-wal"), "-", "readers beside the writer"),
    file("lock", "nothing", FOREVER, "-", "one server at a time"),
    file("reserve", "nothing, in 8 MiB", FOREVER, "a full disk", "deleting needs room"),
    file(
        "keys/server.key",
        "key of handles, grants and passwords",
        FOREVER,
        "-",
        "without it the rows are worth nothing",
    ),
    file("keys/store.key", "key of rows", FOREVER, "-", "a copy of the database alone opens nothing"),
    file(
        "keys/day-*.key",
        "key of one day's waiting rows",
        Span::Words("when no row of that day may live"),
        "-",
        "an old copy of the database stays shut",
    ),
    file(
        "keys/seal-*.key",
        "key of mailbox tokens in rooms",
        Span::Words("30 days, and 31 more to open what was sealed"),
        "-",
        "an old copy of the rooms stays shut",
    ),
    file("keys/frank-*.key", "key that stamps one day's messages", Span::Words("30 days"), "-", "reports of abuse"),
    file("parlour.toml", "the configuration", FOREVER, "the operator", "the operator wrote it"),
];

/// The line of a file, by its path below the data directory.
pub fn file_of(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| match file.path.split_once('*') {
        None => file.path == path,
        Some((before, after)) => {
            let day = path.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
            day.is_some_and(|day| !day.is_empty() && day.bytes().all(|byte| byte.is_ascii_digit()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_paths() {
        for known in [
            "store.db",
            "store.db-wal",
            "keys/day-20500.key",
            "keys/frank-1.key",
            "keys/seal-20500.key",
            "parlour.toml",
        ] {
            assert!(file_of(known).is_some(), "{known}");
        }
        for unknown in ["access.log", "keys/day-.key", "keys/day-x.key", "keys/other.key", "day-1.key", ""] {
            assert!(file_of(unknown).is_none(), "{unknown}");
        }
    }
}
