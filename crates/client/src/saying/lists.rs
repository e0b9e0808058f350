//! Device lists that are too long for the extension in which they belong: left out there, and packed into others beside it
//! ([`parlour_proto::device_list::pack`]), in as many pieces as it takes.

use super::{Hello, Known, find};
use crate::rows::encode;
use bytes::Bytes;
use parlour_proto::content::extension::LINKS;
use parlour_proto::content::{Content, ContentError, ExtensionName, ExtensionValue, MAX_EXTENSION_BYTES};
use parlour_proto::device_list::{pack, unpack};
use parlour_proto::ids::AccountId;

/// Of one piece, bytes: the rest is the head of the item.
const PIECE_BYTES: usize = MAX_EXTENSION_BYTES - 16;
/// Most pieces.
const MOST_PIECES: usize = 10;

fn name(piece: usize) -> String {
    format!("{LINKS}.{piece}")
}

fn put(content: &mut Content, links: &[Bytes]) -> Result<(), ContentError> {
    let Ok(packed) = pack(links) else { return Ok(()) };
    for (at, piece) in packed.chunks(PIECE_BYTES).enumerate() {
        let mut out = minicbor::Encoder::new(Vec::new());
        // Writing to memory cannot fail.
        let _ = out.bytes(piece);
        content.extensions.insert(ExtensionName::Text(name(at)), ExtensionValue::new(out.into_writer())?);
    }
    Ok(())
}

fn take(content: &Content) -> Option<(AccountId, Vec<Bytes>)> {
    let mut packed = Vec::new();
    for at in 0..MOST_PIECES {
        let Some(piece) = find(content, &name(at)) else { break };
        packed.extend(minicbor::Decoder::new(piece).bytes().ok()?);
    }
    unpack(&packed).ok()
}

/// A hello that fits into its extension.
pub(super) fn shorten(content: &mut Content, hello: &mut Hello) -> Result<(), ContentError> {
    if encode(hello).len() > MAX_EXTENSION_BYTES {
        put(content, &std::mem::take(&mut hello.links))?;
    }
    Ok(())
}

pub(super) fn complete(content: &Content, hello: &mut Hello) {
    if hello.links.is_empty() {
        hello.links = take(content).map(|(_, links)| links).unwrap_or_default();
    }
}

/// The same for a roster; one whose list is so long is alone in it.
pub(super) fn shorten_roster(content: &mut Content, roster: &mut [Known]) -> Result<(), ContentError> {
    if encode(&roster.to_vec()).len() > MAX_EXTENSION_BYTES
        && let [known] = roster
    {
        put(content, &std::mem::take(&mut known.links))?;
    }
    Ok(())
}

pub(super) fn complete_roster(content: &Content, roster: &mut [Known]) {
    for known in roster.iter_mut().filter(|known| known.links.is_empty()) {
        let links = take(content).filter(|(account, _)| *account == known.account.account);
        known.links = links.map(|(_, links)| links).unwrap_or_default();
    }
}

/// What a list takes in a hello, bytes.
pub(crate) fn links_bytes(links: &[Bytes]) -> usize {
    let plain: usize = links.iter().map(|link| link.len() + 3).sum();
    match plain > MAX_EXTENSION_BYTES - super::HELLO_BYTES {
        true => pack(links).map_or(plain, |packed| packed.len()),
        false => plain,
    }
}
