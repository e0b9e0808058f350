//! Content to CBOR, in the one deterministic way.

use super::control::{ADDRESS, BYTES, DOOR, IMAGE, MEDIA_TYPE, NAME};
use super::{
    Content, ContentError, Control, Expires, ExtensionName, MAX_CONTENT_BYTES, MAX_CONTROL_BYTES, MAX_EMOJI_BYTES,
    MAX_EXTENSIONS, MAX_LANGUAGE_BYTES, MAX_OWN_BYTES, MAX_REPORTS, MAX_TEXT_BYTES, MAX_TOPIC_BYTES, Part, Report,
    Text, TextFormat,
};
use crate::ids::MessageId;
use minicbor::Encoder;
use std::convert::Infallible;

pub(super) const VERSION: u8 = 1;

/// Dispositions (draft-ietf-mimi-content §4.2).
pub(super) mod disposition {
    pub(in super::super) const UNSPECIFIED: u8 = 0;
    pub(in super::super) const RENDER: u8 = 1;
    pub(in super::super) const REACTION: u8 = 2;
    pub(in super::super) const SESSION: u8 = 7;
}

/// Cardinalities (draft-ietf-mimi-content §4.2).
pub(super) const NULL_PART: u8 = 0;
pub(super) const SINGLE_PART: u8 = 1;

pub(super) const PLAIN: &str = "text/plain;charset=utf-8";
pub(super) const MARKDOWN: &str = "text/markdown;variant=GFM-MIMI";
pub(super) const REPORTS: &str = "application/mimi-message-status";
pub(super) const CONTROL: &str = "application/vnd.parlour.control";
pub(super) const OWN: &str = "application/vnd.parlour.own";

type Cbor<'a> = Encoder<&'a mut Vec<u8>>;
type Done = Result<(), minicbor::encode::Error<Infallible>>;

pub(super) fn content(from: &Content) -> Result<Vec<u8>, ContentError> {
    check(from)?;
    let part = part(&from.body)?;
    let mut out = Vec::with_capacity(64 + part.len());
    out.push(VERSION);
    put_content(from, &mut Encoder::new(&mut out)).map_err(|_| ContentError::Malformed)?;
    out.extend(part);
    within(out.len(), MAX_CONTENT_BYTES, "message")?;
    Ok(out)
}

fn check(from: &Content) -> Result<(), ContentError> {
    within(from.topic.len(), MAX_TOPIC_BYTES, "topic")?;
    within(from.extensions.len(), MAX_EXTENSIONS, "list of extensions")?;
    for name in from.extensions.keys() {
        if let ExtensionName::Text(name) = name {
            within(name.len(), 255, "name of extension")?;
            if name.is_empty() {
                return Err(ContentError::Malformed);
            }
        }
    }
    match &from.body {
        Part::Text(text) => {
            within(text.text.len(), MAX_TEXT_BYTES, "text")?;
            within(text.language.len(), MAX_LANGUAGE_BYTES, "language")
        }
        Part::Reaction { emoji } => within(emoji.len(), MAX_EMOJI_BYTES, "reaction"),
        Part::Reports(reports) => within(reports.len(), MAX_REPORTS, "list of reports"),
        Part::Control(control) => {
            let bytes = control.fields().bytes.map_or(0, |bytes| bytes.len());
            within(bytes, MAX_CONTROL_BYTES, "control part")
        }
        Part::Own(note) => within(note.len(), MAX_OWN_BYTES, "note to own devices"),
        Part::Unsupported { .. } => Err(ContentError::Malformed),
        Part::Null | Part::Delete => Ok(()),
    }
}

pub(super) fn within(len: usize, limit: usize, what: &'static str) -> Result<(), ContentError> {
    if len <= limit { Ok(()) } else { Err(ContentError::TooLong(what)) }
}

/// Everything before the part.
fn put_content(from: &Content, out: &mut Cbor<'_>) -> Done {
    out.array(7)?.bytes(&from.salt)?;
    put_id(from.replaces.as_ref(), out)?;
    out.bytes(&from.topic)?;
    match from.expires {
        None => out.null()?,
        Some(Expires::AfterReading { seconds }) => out.array(2)?.bool(true)?.u32(seconds)?,
        Some(Expires::At { unix_s }) => out.array(2)?.bool(false)?.u32(unix_s)?,
    };
    put_id(from.in_reply_to.as_ref(), out)?;
    out.map(from.extensions.len() as u64)?;
    for (name, value) in &from.extensions {
        out.writer_mut().extend(extension_name(name));
        out.writer_mut().extend(value.as_bytes());
    }
    Ok(())
}

fn put_id(id: Option<&MessageId>, out: &mut Cbor<'_>) -> Done {
    match id {
        Some(id) => out.bytes(&id.0)?,
        None => out.null()?,
    };
    Ok(())
}

/// A name as CBOR: what names are ordered by.
pub(super) fn extension_name(name: &ExtensionName) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    let written = match name {
        ExtensionName::Number(number) => encoder.i64(*number).is_ok(),
        ExtensionName::Text(text) => encoder.str(text).is_ok(),
    };
    debug_assert!(written, "a vector takes everything");
    out
}

fn part(body: &Part) -> Result<Vec<u8>, ContentError> {
    let mut out = Vec::new();
    put_part(body, &mut Encoder::new(&mut out)).map_err(|_| ContentError::Malformed)?;
    Ok(out)
}

fn put_part(body: &Part, out: &mut Cbor<'_>) -> Done {
    match body {
        Part::Null | Part::Unsupported { .. } => put_null(disposition::UNSPECIFIED, out),
        Part::Delete => put_null(disposition::RENDER, out),
        Part::Reaction { emoji } if emoji.is_empty() => put_null(disposition::REACTION, out),
        Part::Reaction { emoji } => put_single(disposition::REACTION, "", PLAIN, emoji.as_bytes(), out),
        Part::Text(Text { format, language, text }) => {
            let content_type = match format {
                TextFormat::Plain => PLAIN,
                TextFormat::Markdown => MARKDOWN,
            };
            put_single(disposition::RENDER, language, content_type, text.as_bytes(), out)
        }
        Part::Reports(reports) => {
            let mut inner = Vec::with_capacity(reports.len() * 19 + 3);
            put_reports(reports, &mut Encoder::new(&mut inner))?;
            put_single(disposition::UNSPECIFIED, "", REPORTS, &inner, out)
        }
        Part::Control(control) => {
            let mut inner = Vec::new();
            put_control(control, &mut Encoder::new(&mut inner))?;
            put_single(disposition::SESSION, "", CONTROL, &inner, out)
        }
        Part::Own(note) => put_single(disposition::SESSION, "", OWN, note, out),
    }
}

fn put_null(disposition: u8, out: &mut Cbor<'_>) -> Done {
    out.array(3)?.u8(disposition)?.str("")?.u8(NULL_PART)?;
    Ok(())
}

fn put_single(disposition: u8, language: &str, content_type: &str, content: &[u8], out: &mut Cbor<'_>) -> Done {
    out.array(5)?.u8(disposition)?.str(language)?.u8(SINGLE_PART)?.str(content_type)?.bytes(content)?;
    Ok(())
}

fn put_reports(reports: &[Report], out: &mut Cbor<'_>) -> Done {
    out.array(reports.len() as u64)?;
    for report in reports {
        out.array(2)?.bytes(&report.message.0)?.u8(report.status.number())?;
    }
    Ok(())
}

fn put_control(control: &Control, out: &mut Cbor<'_>) -> Done {
    let fields = control.fields();
    let picture = [fields.media_type.is_some(), fields.image.is_some()];
    let len = [fields.door.is_some(), fields.name.is_some(), fields.address.is_some(), fields.bytes.is_some()];
    let len = len.into_iter().chain(picture);
    out.array(2)?.u16(control.kind())?.map(len.filter(|there| *there).count() as u64)?;
    if let Some(door) = &fields.door {
        out.u8(DOOR)?.bytes(&door.0)?;
    }
    if let Some(name) = &fields.name {
        out.u8(NAME)?.str(name)?;
    }
    if let Some(address) = &fields.address {
        out.u8(ADDRESS)?.str(address)?;
    }
    if let Some(bytes) = &fields.bytes {
        out.u8(BYTES)?.bytes(bytes)?;
    }
    if let Some(media_type) = &fields.media_type {
        out.u8(MEDIA_TYPE)?.str(media_type)?;
    }
    if let Some(image) = &fields.image {
        out.u8(IMAGE)?.bytes(image)?;
    }
    Ok(())
}
