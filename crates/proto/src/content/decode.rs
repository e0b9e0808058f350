//! CBOR to content: every length is checked before anything is kept, and nothing recurses.

use super::control::{ADDRESS, BYTES, DOOR, Fields, IMAGE, MAX_PICTURE_BYTES, MEDIA_TYPE, NAME};
use super::encode::{CONTROL, MARKDOWN, NULL_PART, OWN, PLAIN, REPORTS, SINGLE_PART, VERSION, disposition, within};
use super::{
    Content, ContentError, Control, Expires, ExtensionName, ExtensionValue, MAX_CONTENT_BYTES, MAX_CONTROL_BYTES,
    MAX_EMOJI_BYTES, MAX_EXTENSION_BYTES, MAX_EXTENSIONS, MAX_LANGUAGE_BYTES, MAX_OWN_BYTES, MAX_REPORTS,
    MAX_TEXT_BYTES, MAX_TOPIC_BYTES, Part, Report, Status, Text, TextFormat, clean_name,
};
use crate::ids::{MessageId, Secret};
use bytes::Bytes;
use minicbor::Decoder;
use minicbor::data::Type;
use std::collections::BTreeMap;

/// Most keys of a control part's map.
const MAX_CONTROL_KEYS: u64 = 32;
/// Deepest nesting of a value that is kept or skipped without being read.
const MAX_DEPTH: usize = 16;

type Result<T> = std::result::Result<T, ContentError>;

/// The decoder's own error says nothing that a peer or a log should have.
impl From<minicbor::decode::Error> for ContentError {
    fn from(_: minicbor::decode::Error) -> Self {
        ContentError::Malformed
    }
}

pub(super) fn content(bytes: &[u8]) -> Result<Content> {
    within(bytes.len(), MAX_CONTENT_BYTES, "message")?;
    let cbor = bytes.strip_prefix(&[VERSION]).ok_or(ContentError::Version)?;
    let from = &mut Decoder::new(cbor);
    array(from, 7)?;
    let content = Content {
        salt: fixed(from)?,
        replaces: id(from)?,
        topic: bounded(from, MAX_TOPIC_BYTES, "topic")?.to_vec(),
        expires: expires(from)?,
        in_reply_to: id(from)?,
        extensions: extensions(from)?,
        body: part(from)?,
    };
    end(from)?;
    Ok(content)
}

fn end(from: &Decoder<'_>) -> Result<()> {
    if from.position() == from.input().len() { Ok(()) } else { Err(ContentError::Malformed) }
}

fn array(from: &mut Decoder<'_>, len: u64) -> Result<()> {
    if from.array()? == Some(len) { Ok(()) } else { Err(ContentError::Malformed) }
}

fn fixed<const N: usize>(from: &mut Decoder<'_>) -> Result<[u8; N]> {
    from.bytes()?.try_into().map_err(|_| ContentError::Malformed)
}

fn bounded<'b>(from: &mut Decoder<'b>, limit: usize, what: &'static str) -> Result<&'b [u8]> {
    let bytes = from.bytes()?;
    within(bytes.len(), limit, what)?;
    Ok(bytes)
}

/// Takes a null, if there is one.
fn null(from: &mut Decoder<'_>) -> Result<bool> {
    let there = from.datatype()? == Type::Null;
    if there {
        from.null()?;
    }
    Ok(there)
}

fn id(from: &mut Decoder<'_>) -> Result<Option<MessageId>> {
    if null(from)? { Ok(None) } else { Ok(Some(MessageId(fixed(from)?))) }
}

fn expires(from: &mut Decoder<'_>) -> Result<Option<Expires>> {
    if null(from)? {
        return Ok(None);
    }
    array(from, 2)?;
    Ok(Some(match (from.bool()?, from.u32()?) {
        (true, seconds) => Expires::AfterReading { seconds },
        (false, unix_s) => Expires::At { unix_s },
    }))
}

fn extensions(from: &mut Decoder<'_>) -> Result<BTreeMap<ExtensionName, ExtensionValue>> {
    let len = from.map()?.ok_or(ContentError::Malformed)?;
    within(usize::try_from(len).unwrap_or(usize::MAX), MAX_EXTENSIONS, "list of extensions")?;
    let mut extensions = BTreeMap::new();
    for _ in 0..len {
        let name = extension_name(from)?;
        let start = from.position();
        skip(from)?;
        let value = &from.input()[start..from.position()];
        within(value.len(), MAX_EXTENSION_BYTES, "extension")?;
        if extensions.insert(name, ExtensionValue(value.to_vec())).is_some() {
            return Err(ContentError::Malformed);
        }
    }
    Ok(extensions)
}

fn extension_name(from: &mut Decoder<'_>) -> Result<ExtensionName> {
    if from.datatype()? != Type::String {
        return Ok(ExtensionName::Number(from.i64()?));
    }
    let name = from.str()?;
    within(name.len(), 255, "name of extension")?;
    if name.is_empty() { Err(ContentError::Malformed) } else { Ok(ExtensionName::Text(name.to_owned())) }
}

/// Checks that there is one item, and nothing behind it.
pub(super) fn check_item(cbor: &[u8]) -> Result<()> {
    within(cbor.len(), MAX_EXTENSION_BYTES, "extension")?;
    let mut from = Decoder::new(cbor);
    skip(&mut from)?;
    end(&from)
}

/// Passes over one item of definite lengths, at most [`MAX_DEPTH`] deep.
fn skip(from: &mut Decoder<'_>) -> Result<()> {
    // How many items are open at each level.
    let mut open = [0u64; MAX_DEPTH];
    let mut depth = 0;
    open[0] = 1;
    loop {
        while open[depth] == 0 {
            if depth == 0 {
                return Ok(());
            }
            depth -= 1;
        }
        open[depth] -= 1;
        if let Some(inside) = skip_head(from)? {
            depth += 1;
            *open.get_mut(depth).ok_or(ContentError::TooLong("nesting"))? = inside;
        }
    }
}

/// Passes over an item without the items in it, and tells how many these are.
fn skip_head(from: &mut Decoder<'_>) -> Result<Option<u64>> {
    match from.datatype()? {
        Type::Array => Ok(Some(from.array()?.ok_or(ContentError::Malformed)?)),
        Type::Map => {
            let len = from.map()?.and_then(|len| len.checked_mul(2));
            Ok(Some(len.ok_or(ContentError::Malformed)?))
        }
        Type::Tag => {
            from.tag()?;
            Ok(Some(1))
        }
        Type::String => from.str().map(|_| None).map_err(Into::into),
        Type::Bytes => from.bytes().map(|_| None).map_err(Into::into),
        Type::ArrayIndef | Type::MapIndef | Type::StringIndef | Type::BytesIndef | Type::Break | Type::Unknown(_) => {
            Err(ContentError::Malformed)
        }
        _ => from.skip().map(|()| None).map_err(Into::into),
    }
}

fn part(from: &mut Decoder<'_>) -> Result<Part> {
    let len = from.array()?.ok_or(ContentError::Malformed)?;
    let kind = from.u8()?;
    let language = from.str()?;
    within(language.len(), MAX_LANGUAGE_BYTES, "language")?;
    match (from.u8()?, len) {
        (NULL_PART, 3) => Ok(match kind {
            disposition::REACTION => Part::Reaction { emoji: String::new() },
            disposition::RENDER => Part::Delete,
            _ => Part::Null,
        }),
        (SINGLE_PART, 5) => {
            let content_type = from.str()?;
            within(content_type.len(), 255, "content type")?;
            single(kind, language, content_type, from.bytes()?)
        }
        (2 | 3, 4..=32) => {
            for _ in 3..len {
                skip(from)?;
            }
            Ok(Part::Unsupported { content_type: String::new() })
        }
        _ => Err(ContentError::Malformed),
    }
}

fn single(kind: u8, language: &str, content_type: &str, content: &[u8]) -> Result<Part> {
    let format = match content_type {
        PLAIN => TextFormat::Plain,
        MARKDOWN => TextFormat::Markdown,
        REPORTS => return reports(content).map(Part::Reports),
        CONTROL => return control(content).map(Part::Control),
        OWN => {
            within(content.len(), MAX_OWN_BYTES, "note to own devices")?;
            return Ok(Part::Own(Bytes::copy_from_slice(content)));
        }
        _ => return Ok(Part::Unsupported { content_type: content_type.to_owned() }),
    };
    let text = std::str::from_utf8(content).map_err(|_| ContentError::Malformed)?;
    match kind {
        disposition::REACTION => {
            within(text.len(), MAX_EMOJI_BYTES, "reaction")?;
            Ok(Part::Reaction { emoji: text.to_owned() })
        }
        disposition::RENDER => {
            within(text.len(), MAX_TEXT_BYTES, "text")?;
            Ok(Part::Text(Text { format, language: language.to_owned(), text: text.to_owned() }))
        }
        _ => Ok(Part::Unsupported { content_type: content_type.to_owned() }),
    }
}

fn reports(content: &[u8]) -> Result<Vec<Report>> {
    let from = &mut Decoder::new(content);
    let len = from.array()?.ok_or(ContentError::Malformed)?;
    within(usize::try_from(len).unwrap_or(usize::MAX), MAX_REPORTS, "list of reports")?;
    let mut reports = Vec::new();
    for _ in 0..len {
        array(from, 2)?;
        reports.push(Report { message: MessageId(fixed(from)?), status: Status::from_number(from.u8()?) });
    }
    end(from)?;
    Ok(reports)
}

fn control(content: &[u8]) -> Result<Control> {
    let from = &mut Decoder::new(content);
    array(from, 2)?;
    let kind = from.u16()?;
    let len = from.map()?.filter(|len| *len <= MAX_CONTROL_KEYS).ok_or(ContentError::Malformed)?;
    let mut fields = Fields::default();
    for _ in 0..len {
        match (from.u64()?, from.datatype()?) {
            (key, Type::Bytes) if key == u64::from(DOOR) => fields.door = Some(Secret(fixed(from)?)),
            (key, Type::String) if key == u64::from(NAME) => fields.name = clean_name(from.str()?),
            (key, Type::String) if key == u64::from(ADDRESS) => fields.address = clean_name(from.str()?),
            (key, Type::Bytes) if key == u64::from(BYTES) => {
                fields.bytes = Some(Bytes::copy_from_slice(bounded(from, MAX_CONTROL_BYTES, "control part")?));
            }
            (key, Type::String) if key == u64::from(MEDIA_TYPE) => fields.media_type = Some(from.str()?.to_owned()),
            (key, Type::Bytes) if key == u64::from(IMAGE) => {
                fields.image = Some(Bytes::copy_from_slice(bounded(from, MAX_PICTURE_BYTES, "picture")?));
            }
            _ => skip(from)?,
        }
    }
    end(from)?;
    Control::from_fields(kind, fields).ok_or(ContentError::Malformed)
}
