//! What is said, as content, and back. Beside the parts of [`parlour_proto::content`] its
//! [extensions](parlour_proto::content::extension) are used.
//!
//! A hello rides on the first text, because one message is all that passes to an `asked` entry. Asking for unreadable
//! messages again is a report with status `error`.

mod lists;

pub(crate) use lists::links_bytes;

use crate::expiry::{Ends, StoredTimer, unix_s};
use crate::rows::codec::{Dec, Enc, Stored as _, record};
use crate::state::{Saying, StoredPicture};
use bytes::Bytes;
use parlour_proto::content::extension::{AFTER, AGAIN, HELLO, LASTS, ROSTER};
use parlour_proto::content::{
    Content, ContentError, Control, Expires, ExtensionName, ExtensionValue, Introduction, Part, Picture, Report,
    Status, clean_name,
};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{MessageId, Secret, UnixMillis};
use rand_core::CryptoRngCore;

/// What a hello has beside the device list, bytes.
pub(crate) const HELLO_BYTES: usize = 1024;

record! {
    /// What was said before under this id is said once more.
    struct Again {
        message: MessageId,
        over: Option<u32>,
    }
}

record! {
    /// Who somebody is: root and device list to verify, the rest as they say.
    struct Hello {
        root: [u8; 32],
        links: Vec<Bytes>,
        /// The sender lets us in.
        accepts: bool,
        door: Option<Secret>,
        name: Option<String>,
        address: Option<String>,
    }
}

record! {
    /// One account of a roster.
    struct Known {
        account: AccountRef,
        root: [u8; 32],
        links: Vec<Bytes>,
    }
}

/// What a received message says.
pub(crate) enum Heard {
    Text {
        text: String,
        in_reply_to: Option<MessageId>,
        ends: Option<Ends>,
    },
    Edit {
        message: MessageId,
        text: String,
    },
    Delete {
        message: MessageId,
    },
    Reaction {
        message: MessageId,
        emoji: String,
    },
    Reports(Vec<Report>),
    Again {
        message: MessageId,
        text: String,
        in_reply_to: Option<MessageId>,
        ends: Option<Ends>,
        /// In seconds of unix time: when it is over at the latest.
        over: Option<u32>,
    },
    Roster {
        known: Vec<Known>,
        title: String,
    },
    Title(String),
    Picture(Option<Picture>),
    Profile {
        name: String,
        picture: Option<Picture>,
    },
    Leave(Bytes),
    Link(Bytes),
    Invitation(String),
    Join(Secret),
    /// To own devices, or to somebody who was added to a group.
    Own(Bytes),
    /// Only a hello, or something of a newer version.
    Nothing,
    /// Something that should be shown, but this version cannot.
    Unsupported,
}

impl Heard {
    /// Whether somebody who does not get it misses something on the screen.
    pub(crate) fn is_shown(&self) -> bool {
        match self {
            Heard::Text { .. }
            | Heard::Edit { .. }
            | Heard::Delete { .. }
            | Heard::Reaction { .. }
            | Heard::Again { .. } => true,
            Heard::Title(_) | Heard::Picture(_) | Heard::Invitation(_) | Heard::Unsupported => true,
            Heard::Reports(_) | Heard::Roster { .. } | Heard::Profile { .. } | Heard::Leave(_) | Heard::Link(_) => {
                false
            }
            Heard::Join(_) | Heard::Own(_) | Heard::Nothing => false,
        }
    }
}

fn extension(content: &mut Content, name: &str, put: impl FnOnce(&mut Enc)) -> Result<(), ContentError> {
    let mut out = Enc::new(Vec::new());
    put(&mut out);
    content.extensions.insert(ExtensionName::Text(name.to_owned()), ExtensionValue::new(out.into_writer())?);
    Ok(())
}

fn find<'c>(content: &'c Content, name: &str) -> Option<&'c [u8]> {
    content.extensions.get(&ExtensionName::Text(name.to_owned())).map(ExtensionValue::as_bytes)
}

/// What else a message needs that is not in its [`Saying`].
#[derive(Default)]
pub(crate) struct Around {
    pub(crate) hello: Option<Hello>,
    pub(crate) leave: Option<Bytes>,
    pub(crate) roster: Vec<Known>,
    pub(crate) title: String,
    pub(crate) name: String,
    pub(crate) picture: Option<Picture>,
    /// By the server's clock.
    pub(crate) now: UnixMillis,
    /// It is said anew for this one.
    pub(crate) of: Option<MessageId>,
    /// What this device said before.
    pub(crate) after: Option<MessageId>,
}

/// Makes content.
///
/// # Errors
/// [`ContentError`] when something is longer than allowed.
pub(crate) fn write(saying: &Saying, around: Around, rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, ContentError> {
    let mut salt = [0; 16];
    rng.fill_bytes(&mut salt);
    let mut content = Content::new(salt, Part::Null);
    let introduction = |hello: &Option<Hello>| {
        let hello = hello.clone();
        hello.map(|h| Introduction { door: h.door, name: h.name, address: h.address }).unwrap_or_default()
    };
    let reports = |messages: &[MessageId], status| {
        Part::Reports(messages.iter().map(|message| Report { message: *message, status }).collect())
    };
    match saying {
        Saying::Text { text, in_reply_to, timer } => {
            content.body = Part::text(text);
            content.in_reply_to = *in_reply_to;
            content.expires = timer.as_ref().map(|timer| timer.expires(around.now));
            if let Some(StoredTimer::Sending { seconds }) = timer {
                extension(&mut content, LASTS, |out| seconds.put(out))?;
            }
        }
        Saying::Edit { message, text } => {
            content.body = Part::text(text);
            content.replaces = Some(*message);
        }
        Saying::Delete { message } => {
            content.body = Part::Delete;
            content.replaces = Some(*message);
        }
        Saying::Reaction { message, emoji } => {
            content.body = Part::Reaction { emoji: emoji.clone() };
            content.in_reply_to = Some(*message);
        }
        Saying::Delivered { messages } => content.body = reports(messages, Status::Delivered),
        Saying::Read { messages } => content.body = reports(messages, Status::Read),
        Saying::Missing { messages } => content.body = reports(messages, Status::Error),
        Saying::Hello => content.body = Part::Control(Control::Hello(introduction(&around.hello))),
        Saying::Accept => content.body = Part::Control(Control::Accept(introduction(&around.hello))),
        Saying::Leave => {
            content.body = Part::Control(Control::Leave { request: around.leave.unwrap_or_default() });
        }
        Saying::Profile => {
            content.body = Part::Control(Control::Profile { name: around.name, picture: around.picture });
        }
        Saying::Own { note } | Saying::Handover { note } => content.body = Part::Own(note.clone()),
        Saying::Picture { picture } => {
            let picture = picture.as_ref().and_then(StoredPicture::shown);
            content.body = Part::Control(Control::GroupPicture { picture });
        }
        Saying::Invitation { .. } => content.body = Part::Control(Control::Invitation { title: around.title }),
        Saying::Join { secret } => content.body = Part::Control(Control::Join { secret: secret.clone() }),
        Saying::Title { title } => content.body = Part::Control(Control::GroupTitle { title: title.clone() }),
        Saying::Again { message, text, in_reply_to, expires, timer } => {
            content.body = Part::text(text);
            content.in_reply_to = *in_reply_to;
            let end = expires.map(unix_s);
            let counted = timer.as_ref().map(|timer| timer.expires(around.now));
            content.expires = counted.or(end.map(|unix_s| Expires::At { unix_s }));
            extension(&mut content, AGAIN, |out| Again { message: *message, over: end }.put(out))?;
        }
        // It is written as what it says ([`crate::asides`]).
        Saying::Anew { .. } => {}
        Saying::Roster { .. } => {
            content.body = Part::Control(Control::GroupTitle { title: around.title });
            let mut roster = around.roster;
            lists::shorten_roster(&mut content, &mut roster)?;
            extension(&mut content, ROSTER, |out| roster.put(out))?;
        }
    }
    if let Some(message) = around.of {
        extension(&mut content, AGAIN, |out| Again { message, over: None }.put(out))?;
    }
    if let Some(after) = around.after {
        extension(&mut content, AFTER, |out| after.put(out))?;
    }
    if let Some(mut hello) = around.hello {
        lists::shorten(&mut content, &mut hello)?;
        extension(&mut content, HELLO, |out| hello.put(out))?;
    }
    content.encode()
}

/// What a message says.
pub(crate) struct Said {
    /// Who the sender says to be, if that is in it.
    pub(crate) hello: Option<Hello>,
    pub(crate) heard: Heard,
    /// It is no text, and said anew for this one.
    pub(crate) of: Option<MessageId>,
    /// What its device said before.
    pub(crate) after: Option<MessageId>,
}

/// Reads content.
pub(crate) fn read(bytes: &[u8]) -> Option<Said> {
    let content = Content::decode(bytes).ok()?;
    let mut hello = match find(&content, HELLO) {
        Some(value) => Some(Hello::take(&mut Dec::new(value)).ok()?),
        None => None,
    };
    if let Some(hello) = &mut hello {
        hello.name = hello.name.as_deref().and_then(clean_name);
        hello.address = hello.address.as_deref().and_then(clean_name);
        lists::complete(&content, hello);
    }
    let after = find(&content, AFTER).and_then(|value| MessageId::take(&mut Dec::new(value)).ok());
    let again = find(&content, AGAIN).and_then(|value| Again::take(&mut Dec::new(value)).ok());
    let again_of = again.as_ref().map(|again| again.message);
    let mut roster: Option<Vec<Known>> = find(&content, ROSTER).and_then(|value| Vec::take(&mut Dec::new(value)).ok());
    if let Some(roster) = &mut roster {
        lists::complete_roster(&content, roster);
    }
    let lasts = find(&content, LASTS).and_then(|value| u32::take(&mut Dec::new(value)).ok());
    let (in_reply_to, ends) = (content.in_reply_to, content.expires);
    let heard = match (content.body, content.replaces) {
        (Part::Text(text), Some(message)) => Heard::Edit { message, text: text.text },
        (Part::Text(text), None) => match again {
            Some(Again { message, over }) => {
                let ends = ends.map(|ends| Ends::new(ends, None));
                Heard::Again { message, text: text.text, in_reply_to, ends, over }
            }
            None => Heard::Text { text: text.text, in_reply_to, ends: ends.map(|ends| Ends::new(ends, lasts)) },
        },
        (Part::Delete, Some(message)) => Heard::Delete { message },
        (Part::Reaction { emoji }, _) => {
            in_reply_to.map_or(Heard::Nothing, |message| Heard::Reaction { message, emoji })
        }
        (Part::Reports(reports), _) => Heard::Reports(reports),
        (Part::Control(Control::GroupTitle { title }), _) => match roster {
            Some(known) => Heard::Roster { known, title },
            None => Heard::Title(title),
        },
        (Part::Control(Control::GroupPicture { picture }), _) => Heard::Picture(picture),
        (Part::Control(Control::Leave { request }), _) => Heard::Leave(request),
        (Part::Control(Control::Profile { name, picture }), _) => Heard::Profile { name, picture },
        (Part::Control(Control::DeviceListLink { link }), _) => Heard::Link(link),
        (Part::Control(Control::Invitation { title }), _) => Heard::Invitation(title),
        (Part::Control(Control::Join { secret }), _) => Heard::Join(secret),
        (Part::Unsupported { .. }, _) => Heard::Unsupported,
        (Part::Own(note), _) => Heard::Own(note),
        (Part::Control(_) | Part::Null | Part::Delete, _) => Heard::Nothing,
    };
    let of = again_of.filter(|_| !matches!(heard, Heard::Again { .. }));
    Some(Said { hello, heard, of, after })
}
