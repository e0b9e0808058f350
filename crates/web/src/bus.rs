//! What pages and the worker say to each other, as values and as bytes.
//!
//! The bytes are CBOR (RFC 8949) by position. They never leave the browser and are never stored: both ends are of one
//! build, which [`FromWorker::Here`] makes sure of.

mod api;
mod codec;

pub use codec::Wire;

use parlour_client::api::{Connection, Event, Failure, IdentityId, Intent, Reply};

/// A page, drawn at random when it loads; 0 is nobody in particular: all pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tab(pub u64);

impl Tab {
    /// All pages.
    pub const ALL: Tab = Tab(0);
}

/// From a page.
#[derive(Debug, Clone)]
pub enum ToWorker {
    /// Who is there? Answered with [`FromWorker::Here`]; from now on this page gets events.
    Hello,
    /// Do something; answered with [`FromWorker::Answer`] of the same number.
    Call {
        /// The page's choice.
        id: u64,
        /// What.
        call: Call,
    },
    /// This page goes away.
    Bye,
    /// This page has the engine's lock: begin. Said to the page's own worker, whenever it may be listening.
    Begin,
}

/// What a page can ask for.
#[derive(Debug, Clone)]
pub enum Call {
    /// Something of the engine. → [`Outcome::Reply`]
    Intent(Intent),
    /// Keeps a note of the screens' own (a setting), sealed like everything else; `None` forgets it. → [`Outcome::Kept`]
    Keep {
        /// Its name.
        key: String,
        /// What to keep.
        value: Option<Vec<u8>>,
    },
    /// The notes whose name starts like this. → [`Outcome::Kept`]
    Kept {
        /// Start of the name.
        prefix: String,
    },
    /// Forgets everything on this device: rows, keys, all of it. → [`Outcome::Kept`], then [`FromWorker::Wiped`]
    Wipe,
}

impl Call {
    /// Whether doing it twice is the same as doing it once, so that it may be asked again when nobody knows whether it
    /// was done (the tab that did the work was closed).
    pub fn is_repeatable(&self) -> bool {
        match self {
            Call::Keep { .. } | Call::Kept { .. } => true,
            Call::Wipe => false,
            Call::Intent(intent) => may_be_repeated(intent),
        }
    }
}

fn may_be_repeated(intent: &Intent) -> bool {
    match intent {
        Intent::As(_, intent) => may_be_repeated(intent),
        intent => matches!(
            intent,
            Intent::Apps
                | Intent::WhoAmI
                | Intent::Sync
                | Intent::GoOffline
                | Intent::Conversations
                | Intent::Messages { .. }
                | Intent::Readers { .. }
                | Intent::MarkRead { .. }
                | Intent::Requests
                | Intent::GroupLinks { .. }
                | Intent::Joining
                | Intent::Reach
                | Intent::SetReach { .. }
                | Intent::SafetyNumber { .. }
                | Intent::SetVerified { .. }
                | Intent::SetReports { .. }
                | Intent::SetName { .. }
                | Intent::SetProfile { .. }
                | Intent::Picture { .. }
                | Intent::Rename { .. }
                | Intent::SetRole { .. }
                | Intent::SetRules { .. }
                | Intent::SetAttributed { .. }
                | Intent::OfferLink
                | Intent::CancelLink
                | Intent::Devices
                | Intent::NameDevice { .. }
                | Intent::SetShowing { .. }
                | Intent::PutDraft { .. }
                | Intent::Drafts
                | Intent::Archive { .. }
                | Intent::Backup
                | Intent::SetBackup { .. }
                | Intent::Status
        ),
    }
}

/// What a call gives back.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one at a time, read and gone")]
pub enum Outcome {
    /// The engine's.
    Reply(Reply),
    /// Notes, by name.
    Kept(Vec<(String, Vec<u8>)>),
}

/// From the worker.
#[derive(Debug, Clone)]
#[allow(clippy::large_enum_variant, reason = "one at a time, read and gone")]
pub enum FromWorker {
    /// The engine is running. To all pages when it starts, to one on its [`ToWorker::Hello`].
    Here {
        /// Drawn at random when the worker starts.
        owner: u64,
        /// Which build it is of; a page of another build loads itself again.
        build: String,
        /// The connections as they are now.
        connections: Vec<(IdentityId, Connection)>,
    },
    /// A call came to its end.
    Answer {
        /// Of the call.
        id: u64,
        /// How.
        result: Result<Outcome, Failure>,
    },
    /// What happened with one transaction, in order (never `Done`). Together, because a message between threads costs more
    /// than an event.
    Events(Vec<Event>),
    /// Everything on this device was forgotten; the worker has ended.
    Wiped,
    /// The engine cannot run, and why, in English, for the curious.
    Broken(String),
    /// The worker is loaded, and waits for [`ToWorker::Begin`].
    Ready,
}

codec::wire_enum! { ToWorker { 0 Hello, 1 Call { id, call }, 2 Bye, 3 Begin } }
codec::wire_enum! { Call { 0 Intent(intent), 1 Keep { key, value }, 2 Kept { prefix }, 3 Wipe } }
codec::wire_enum! { Outcome { 0 Reply(reply), 1 Kept(notes) } }
codec::wire_enum! {
    FromWorker { 0 Here { owner, build, connections }, 1 Answer { id, result }, 2 Events(events), 3 Wiped, 4 Broken(why), 5 Ready }
}

/// One message with who it is from (towards the worker) or for (from the worker).
pub fn encode<T: Wire>(tab: Tab, message: &T) -> Vec<u8> {
    let mut out = codec::Out::new(Vec::new());
    tab.0.put(&mut out);
    message.put(&mut out);
    out.into_writer()
}

/// Reads what [`encode`] wrote; `None` for anything else.
pub fn decode<T: Wire>(bytes: &[u8]) -> Option<(Tab, T)> {
    let mut input = codec::In::new(bytes);
    let tab = Tab(u64::take(&mut input)?);
    let message = T::take(&mut input)?;
    (input.position() == bytes.len()).then_some((tab, message))
}

#[cfg(test)]
mod tests;
