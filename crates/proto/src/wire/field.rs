//! Single fields between protobuf and typed values: lengths checked, ids sized, absent ones named.

use super::schema as pb;
use crate::frames::{AccountRef, AppId, MAX_GRANT_BYTES, MAX_HANDLE_BYTES, MAX_OPAQUE_BYTES, ReachRule};
use crate::ids::Digest;
use crate::problem::{Code, Problem};
use bytes::Bytes;

pub(super) fn malformed(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Malformed, detail)
}

pub(super) fn too_large(what: &str, limit: usize) -> Problem {
    Problem::new(Code::TooLarge, format!("{what} is limited to {limit}"))
}

/// A fixed-size value: an id, a key, a signature.
pub(super) fn fixed<'a, T: TryFrom<&'a [u8]>>(bytes: &'a [u8], name: &'static str) -> Result<T, Problem> {
    T::try_from(bytes).map_err(|_| malformed(format!("{name} has {} bytes, which is not its size", bytes.len())))
}

pub(super) fn present<T>(field: Option<T>, name: &'static str) -> Result<T, Problem> {
    field.ok_or_else(|| malformed(format!("{name} is missing or of an unknown kind")))
}

/// Bytes up to a length.
pub(super) fn bounded(bytes: Bytes, limit: usize, name: &'static str) -> Result<Bytes, Problem> {
    if bytes.len() <= limit { Ok(bytes) } else { Err(too_large(name, limit)) }
}

/// Text up to a length in bytes.
pub(super) fn text(text: String, limit: usize, name: &'static str) -> Result<String, Problem> {
    if text.len() <= limit { Ok(text) } else { Err(too_large(name, limit)) }
}

/// A list up to a length, each element converted.
pub(super) fn list<A, B>(
    from: Vec<A>,
    limit: usize,
    name: &'static str,
    each: impl Fn(A) -> Result<B, Problem>,
) -> Result<Vec<B>, Problem> {
    if from.len() > limit {
        return Err(too_large(name, limit));
    }
    from.into_iter().map(each).collect()
}

pub(super) fn handle(handle: String) -> Result<String, Problem> {
    text(handle, MAX_HANDLE_BYTES, "handle")
}

pub(super) fn opaque(message: Bytes) -> Result<Bytes, Problem> {
    bounded(message, MAX_OPAQUE_BYTES, "OPAQUE message")
}

pub(super) fn grant(grant: Bytes) -> Result<Bytes, Problem> {
    bounded(grant, MAX_GRANT_BYTES, "grant")
}

pub(super) fn link(link: Bytes) -> Result<Bytes, Problem> {
    bounded(link, crate::device_list::MAX_LINK_BYTES, "device list link")
}

pub(super) fn links(links: Vec<Bytes>) -> Result<Vec<Bytes>, Problem> {
    list(links, crate::device_list::MAX_LINKS, "device list", link)
}

pub(super) fn account_ref(from: Option<pb::AccountRef>) -> Result<AccountRef, Problem> {
    let from = present(from, "account")?;
    Ok(AccountRef { app: AppId::parse(&from.app)?, account: fixed(&from.account, "account")? })
}

pub(super) fn put_account_ref(from: &AccountRef) -> Option<pb::AccountRef> {
    Some(pb::AccountRef { app: from.app.as_str().to_owned(), account: put(&from.account.0) })
}

pub(super) fn reach_rule(number: u32) -> Result<ReachRule, Problem> {
    match number {
        1 => Ok(ReachRule::Ask),
        2 => Ok(ReachRule::Invite),
        3 => Ok(ReachRule::Nobody),
        _ => Err(malformed("unknown reach rule")),
    }
}

pub(super) fn put_reach_rule(rule: ReachRule) -> u32 {
    match rule {
        ReachRule::Ask => 1,
        ReachRule::Invite => 2,
        ReachRule::Nobody => 3,
    }
}

pub(super) fn digest(bytes: &[u8]) -> Result<Digest, Problem> {
    fixed(bytes, "digest")
}

pub(super) fn put(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
