//! Holdings between protobuf and typed values.

use super::field::{bounded, list, text};
use super::schema as pb;
use crate::frames::{
    Ends, HeldKind, HeldRow, Holdings, MAX_HELD_KINDS, MAX_HELD_ROWS, MAX_HELD_TEXT_BYTES, MAX_HOLDINGS_CURSOR_BYTES,
    Unlisted,
};
use crate::ids::UnixMillis;
use crate::problem::Problem;
use bytes::Bytes;

fn words(from: String) -> Result<String, Problem> {
    text(from, MAX_HELD_TEXT_BYTES, "text of a holding")
}

/// A cursor; empty for none.
pub(super) fn cursor(from: Bytes) -> Result<Option<Bytes>, Problem> {
    let cursor = bounded(from, MAX_HOLDINGS_CURSOR_BYTES, "cursor")?;
    Ok(Some(cursor).filter(|cursor| !cursor.is_empty()))
}

pub(super) fn holdings(from: pb::Holdings) -> Result<Holdings, Problem> {
    let kind = |kind: pb::HeldKind| {
        let (name, why, erased) = (words(kind.name)?, words(kind.why)?, words(kind.erased)?);
        Ok(HeldKind { number: kind.number, name, why, erased })
    };
    let row = |row: pb::HeldRow| {
        let ends = row.ends.map_or(Ends::WithAccount, |at| Ends::At(UnixMillis(at)));
        Ok(HeldRow { kind: row.kind, which: words(row.which)?, day: row.day, bytes: row.bytes, ends })
    };
    let unlisted = |from: pb::Unlisted| {
        Ok(Unlisted { name: words(from.name)?, why: words(from.why)?, at_most: words(from.at_most)? })
    };
    Ok(Holdings {
        kinds: list(from.kinds, MAX_HELD_KINDS, "list of kinds", kind)?,
        rows: list(from.rows, MAX_HELD_ROWS, "list of held rows", row)?,
        unlisted: list(from.unlisted, MAX_HELD_KINDS, "list of what is not listed", unlisted)?,
        next: cursor(from.next)?,
    })
}

pub(super) fn put_holdings(from: &Holdings) -> pb::Holdings {
    let kind = |kind: &HeldKind| {
        let (name, why, erased) = (kind.name.clone(), kind.why.clone(), kind.erased.clone());
        pb::HeldKind { number: kind.number, name, why, erased }
    };
    let row = |row: &HeldRow| {
        let ends = match row.ends {
            Ends::WithAccount => None,
            Ends::At(at) => Some(at.0),
        };
        pb::HeldRow { kind: row.kind, which: row.which.clone(), day: row.day, bytes: row.bytes, ends }
    };
    let unlisted = |from: &Unlisted| pb::Unlisted {
        name: from.name.clone(),
        why: from.why.clone(),
        at_most: from.at_most.clone(),
    };
    pb::Holdings {
        kinds: from.kinds.iter().map(kind).collect(),
        rows: from.rows.iter().map(row).collect(),
        unlisted: from.unlisted.iter().map(unlisted).collect(),
        next: from.next.clone().unwrap_or_default(),
    }
}
