//! What is inside an application message: CBOR after draft-ietf-mimi-content-08, a version byte in front.
//!
//! ```text
//! content = 0x01 || CBOR [ salt, replaces, topic, expires, in_reply_to, extensions, part ]
//! part    = [ disposition, language, 0 ] | [ disposition, language, 1, content type, content ]
//! ```
//!
//! What differs from the draft:
//! - Message ids are the 16 random bytes of the frame, not a SHA-256 over sender, room and message: the id is there before
//!   the message is encrypted, a retry keeps it, and the server (which orders by it) learns nothing of the content.
//! - Sender and room are not repeated as extensions 1 and 2: MLS and the frame authenticate both.
//! - A status report is the list of `[id, status]` alone, without a time of its own; its row's time is used.
//! - Taking a reaction back names the message reacted to (`in_reply_to`), not the reaction.
//! - Multi-part and external parts read as [`Part::Unsupported`], until something here sends them.
//!
//! Encoding is deterministic (RFC 8949 §4.2). Decoding takes any content whose lengths are definite and whose bounds hold;
//! it ignores nothing silently but unknown keys of control parts. Padding is added where it is encrypted.

mod control;
mod decode;
mod encode;
pub mod mention;
mod name;

pub use control::{Control, Introduction, MAX_PICTURE_BYTES, PICTURE_TYPES, Picture};
pub use name::{MAX_DISPLAY_NAME_CHARS, MAX_NAME_BYTES, clean_name};

use crate::ids::MessageId;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;

/// Names of the extensions that engines use, and what they hold (CBOR): `docs/protocol.md`, "Content".
pub mod extension {
    /// `[root, [link…], accepts, door?, name?, address?]`, with the first message into a room: who I am, verifiable.
    pub const HELLO: &str = "parlour.hello";
    /// `[message, over?]`: this text was said before under that id, and is sent once more for who could not read it. It is over at
    /// `over` (seconds of unix time) at the latest.
    pub const AGAIN: &str = "parlour.again";
    /// `[[account, root, [link…]]…]`, with a group's title: who is there, and how to verify them.
    pub const ROSTER: &str = "parlour.roster";
    /// Followed by `.0`, `.1`, …: a piece of a packed device list ([`crate::device_list::unpack`]) that does not fit into a hello
    /// or roster, whose list is empty then.
    pub const LINKS: &str = "parlour.links";
    /// A message id: what the same device said before in the room. Who did not get that asks for it.
    pub const AFTER: &str = "parlour.after";
    /// Seconds, with an end at an instant: so long after the time of its row the message is over, whatever its author's clock said.
    pub const LASTS: &str = "parlour.lasts";
}

/// The largest content, bytes.
pub const MAX_CONTENT_BYTES: usize = 128 * 1024;
/// The longest text, bytes.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;
/// The longest reaction, bytes.
pub const MAX_EMOJI_BYTES: usize = 64;
/// The longest topic, bytes.
pub const MAX_TOPIC_BYTES: usize = 255;
/// The longest language tag, bytes.
pub const MAX_LANGUAGE_BYTES: usize = 35;
/// Most reports in one content.
pub const MAX_REPORTS: usize = 512;
/// Most extensions.
pub const MAX_EXTENSIONS: usize = 16;
/// The largest value of an extension, encoded, bytes.
pub const MAX_EXTENSION_BYTES: usize = 12 * 1024;
/// The largest bytes value inside a control part (a device list link, a request to leave).
pub const MAX_CONTROL_BYTES: usize = 4096;
/// The largest note from one device of an account to the others, bytes.
pub const MAX_OWN_BYTES: usize = 96 * 1024;

/// Why a content cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// Of a version that is not known here.
    #[error("content is of an unknown version")]
    Version,
    /// Not the CBOR that it should be.
    #[error("content is malformed")]
    Malformed,
    /// A bound is passed; the word tells which.
    #[error("{0} is too long")]
    TooLong(&'static str),
}

/// One message as its sender made it.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// Random: makes equal messages different.
    pub salt: [u8; 16],
    /// This takes the place of an earlier message of the same sender.
    pub replaces: Option<MessageId>,
    /// A thread inside the conversation; empty for none.
    pub topic: Vec<u8>,
    /// When it is to vanish, other than the conversation's policy says.
    pub expires: Option<Expires>,
    /// The message that this one answers, or reacts to.
    pub in_reply_to: Option<MessageId>,
    /// Extensions; unknown ones are kept as they are and otherwise ignored.
    pub extensions: BTreeMap<ExtensionName, ExtensionValue>,
    /// What it says.
    pub body: Part,
}

/// When a message is to vanish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expires {
    /// So many seconds after it was read.
    AfterReading {
        /// Seconds.
        seconds: u32,
    },
    /// At an instant.
    At {
        /// Seconds since 1970.
        unix_s: u32,
    },
}

/// The name of an extension. Ordered as CBOR's deterministic encoding orders it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExtensionName {
    /// A number.
    Number(i64),
    /// A text of 1 to 255 bytes.
    Text(String),
}

/// The value of an extension: one well-formed CBOR item, at most [`MAX_EXTENSION_BYTES`].
#[derive(Clone, PartialEq, Eq)]
pub struct ExtensionValue(Vec<u8>);

impl ExtensionValue {
    /// Takes one CBOR item.
    ///
    /// # Errors
    /// `Malformed` when it is none, or more; `TooLong`.
    pub fn new(cbor: Vec<u8>) -> Result<Self, ContentError> {
        decode::check_item(&cbor)?;
        Ok(Self(cbor))
    }

    /// The CBOR item.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What a message says.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// Nothing.
    Null,
    /// Something to read.
    Text(Text),
    /// A reaction to `in_reply_to`; an empty one takes the sender's reaction back.
    Reaction {
        /// One emoji, or a few.
        emoji: String,
    },
    /// The message that `replaces` names is deleted.
    Delete,
    /// What became of messages.
    Reports(Vec<Report>),
    /// From engine to engine; not for reading.
    Control(Control),
    /// From one device of an account to its others, in their own room; or to somebody whom the sender added to a group, in the
    /// conversation with them. At most [`MAX_OWN_BYTES`]. What is in it is the engine's affair.
    Own(Bytes),
    /// Something that this version cannot show: "update the app to see this".
    Unsupported {
        /// Its content type, or empty.
        content_type: String,
    },
}

/// A text.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    /// How it is written.
    pub format: TextFormat,
    /// Language tag (BCP 47), or empty.
    pub language: String,
    /// At most [`MAX_TEXT_BYTES`].
    pub text: String,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextFormat {
    /// As it is.
    Plain,
    /// GFM-MIMI markdown.
    Markdown,
}

/// What became of one message, at the reporter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// The message.
    pub message: MessageId,
    /// What became of it.
    pub status: Status,
}

/// What becomes of a message (draft-ietf-mimi-content, message status).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There, but marked unread.
    Unread,
    /// There.
    Delivered,
    /// Seen.
    Read,
    /// Vanished in time.
    Expired,
    /// Deleted.
    Deleted,
    /// Hidden.
    Hidden,
    /// Could not be read.
    Error,
    /// Of a newer version.
    Other(u8),
}

impl Content {
    /// A content with nothing but a body.
    pub fn new(salt: [u8; 16], body: Part) -> Self {
        Self {
            salt,
            replaces: None,
            topic: Vec::new(),
            expires: None,
            in_reply_to: None,
            extensions: BTreeMap::new(),
            body,
        }
    }

    /// As bytes.
    ///
    /// # Errors
    /// `TooLong` when something passes its bound; `Malformed` for [`Part::Unsupported`], which is only read.
    pub fn encode(&self) -> Result<Vec<u8>, ContentError> {
        encode::content(self)
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`ContentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, ContentError> {
        decode::content(bytes)
    }
}

impl Part {
    /// A plain text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(Text { format: TextFormat::Plain, language: String::new(), text: text.into() })
    }

    fn kind(&self) -> &'static str {
        match self {
            Part::Null => "Null",
            Part::Text(_) => "Text(..)",
            Part::Reaction { .. } => "Reaction(..)",
            Part::Delete => "Delete",
            Part::Reports(_) => "Reports(..)",
            Part::Control(_) => "Control(..)",
            Part::Own(_) => "Own(..)",
            Part::Unsupported { .. } => "Unsupported",
        }
    }
}

impl Status {
    fn number(self) -> u8 {
        match self {
            Status::Unread => 0,
            Status::Delivered => 1,
            Status::Read => 2,
            Status::Expired => 3,
            Status::Deleted => 4,
            Status::Hidden => 5,
            Status::Error => 6,
            Status::Other(number) => number,
        }
    }

    fn from_number(number: u8) -> Self {
        match number {
            0 => Status::Unread,
            1 => Status::Delivered,
            2 => Status::Read,
            3 => Status::Expired,
            4 => Status::Deleted,
            5 => Status::Hidden,
            6 => Status::Error,
            other => Status::Other(other),
        }
    }
}

impl Ord for ExtensionName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        encode::extension_name(self).cmp(&encode::extension_name(other))
    }
}

impl PartialOrd for ExtensionName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.body.kind())
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(..)")
    }
}

impl fmt::Debug for ExtensionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ExtensionValue(..)")
    }
}

#[cfg(test)]
mod tests;
