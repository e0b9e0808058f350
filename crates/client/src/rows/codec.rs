//! How records become CBOR: arrays in field order, ids as byte strings, enums as `[number, fields…]`.
//!
//! A record, or a variant of a choice, may grow: new fields go to its end, and read as [`Stored::absent`] in rows of before. A reader refuses what it does
//! not know in full: any other change of shape needs another version byte.

use crate::api::ConversationId;
use crate::rows::RowKey;
use bytes::Bytes;
use parlour_proto::frames::{AccountRef, AppId};
use parlour_proto::ids::{AccountId, DeviceId, Digest, MemberKey, MessageId, RoomId, Secret, UnixMillis};
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

pub(crate) type Enc = minicbor::Encoder<Vec<u8>>;
pub(crate) type Dec<'b> = minicbor::Decoder<'b>;

/// A stored row that this version cannot read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored row cannot be read by this version")]
pub struct BrokenRow;

impl From<minicbor::decode::Error> for BrokenRow {
    fn from(_: minicbor::decode::Error) -> Self {
        BrokenRow
    }
}

/// A value with one CBOR form.
pub(crate) trait Stored: Sized {
    fn put(&self, out: &mut Enc);
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow>;
    /// What a record holds that was stored before it had this field; `None`: it always had.
    fn absent() -> Option<Self> {
        None
    }
}

/// Starts an array (writing to memory cannot fail).
pub(crate) fn put_array(out: &mut Enc, len: usize) {
    let _ = out.array(len as u64);
}

/// Reads the head of an array of just this length.
pub(crate) fn take_array(input: &mut Dec<'_>, len: usize) -> Result<(), BrokenRow> {
    if input.array()? == Some(len as u64) { Ok(()) } else { Err(BrokenRow) }
}

/// Reads the head of a record of at most so many fields: how many it has.
pub(crate) fn take_fields(input: &mut Dec<'_>, most: usize) -> Result<usize, BrokenRow> {
    let len = take_len(input)?;
    usize::try_from(len).ok().filter(|len| *len <= most).ok_or(BrokenRow)
}

/// Reads the next field, of which `left` are left.
pub(crate) fn take_field<T: Stored>(input: &mut Dec<'_>, left: &mut usize) -> Result<T, BrokenRow> {
    match left.checked_sub(1) {
        Some(after) => {
            *left = after;
            T::take(input)
        }
        None => T::absent().ok_or(BrokenRow),
    }
}

fn take_len(input: &mut Dec<'_>) -> Result<u64, BrokenRow> {
    input.array()?.ok_or(BrokenRow)
}

macro_rules! number {
    ($($ty:ident),*) => {$(
        impl Stored for $ty {
            fn put(&self, out: &mut Enc) {
                let _ = out.$ty(*self);
            }
            fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
                Ok(input.$ty()?)
            }
            fn absent() -> Option<Self> {
                Some($ty::default())
            }
        }
    )*};
}
number!(u16, u32, u64, bool);

impl<const N: usize> Stored for [u8; N] {
    fn put(&self, out: &mut Enc) {
        let _ = out.bytes(self);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        input.bytes()?.try_into().map_err(|_| BrokenRow)
    }
}

macro_rules! id {
    ($($ty:ident),*) => {$(
        impl Stored for $ty {
            fn put(&self, out: &mut Enc) {
                self.0.put(out);
            }
            fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
                Ok($ty(Stored::take(input)?))
            }
            fn absent() -> Option<Self> {
                Stored::absent().map($ty)
            }
        }
    )*};
}
id!(AccountId, DeviceId, RoomId, MessageId, MemberKey, Digest, Secret, ConversationId, UnixMillis);

macro_rules! id_key {
    ($($ty:ident),*) => {$(
        impl RowKey for $ty {
            fn bytes(&self) -> Vec<u8> {
                self.0.to_vec()
            }
            fn parse(bytes: &[u8]) -> Option<Self> {
                Some($ty(bytes.try_into().ok()?))
            }
        }
    )*};
}
id_key!(RoomId, ConversationId, DeviceId);

macro_rules! id_pair_key {
    ($(($first:ident, $second:ident)),*) => {$(
        impl RowKey for ($first, $second) {
            fn bytes(&self) -> Vec<u8> {
                [self.0.0, self.1.0].concat()
            }
            fn parse(bytes: &[u8]) -> Option<Self> {
                let (first, second) = bytes.split_at_checked(16)?;
                Some(($first(first.try_into().ok()?), $second(second.try_into().ok()?)))
            }
        }
    )*};
}
id_pair_key!((ConversationId, MessageId), (RoomId, DeviceId));

impl RowKey for [u8; 32] {
    fn bytes(&self) -> Vec<u8> {
        self.to_vec()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok()
    }
}

impl RowKey for u64 {
    fn bytes(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_be_bytes)
    }
}

impl RowKey for Vec<u8> {
    fn bytes(&self) -> Vec<u8> {
        self.clone()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl RowKey for () {
    fn bytes(&self) -> Vec<u8> {
        Vec::new()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        bytes.is_empty().then_some(())
    }
}

impl RowKey for AccountRef {
    fn bytes(&self) -> Vec<u8> {
        [&self.account.0[..], self.app.as_str().as_bytes()].concat()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (account, app) = bytes.split_at_checked(AccountId::LEN)?;
        let app = AppId::parse(std::str::from_utf8(app).ok()?).ok()?;
        Some(AccountRef { app, account: account.try_into().ok()? })
    }
}

/// An id with a position after it: rows of one id lie together, in order.
impl<A: RowKey + Copy> RowKey for (A, u64) {
    fn bytes(&self) -> Vec<u8> {
        [self.0.bytes(), self.1.bytes()].concat()
    }
    fn parse(bytes: &[u8]) -> Option<Self> {
        let (id, position) = bytes.split_at_checked(bytes.len().checked_sub(8)?)?;
        Some((A::parse(id)?, u64::parse(position)?))
    }
}

impl Stored for () {
    fn put(&self, out: &mut Enc) {
        put_array(out, 0);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        take_array(input, 0)
    }
}

impl Stored for String {
    fn put(&self, out: &mut Enc) {
        let _ = out.str(self);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        Ok(input.str()?.to_owned())
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl Stored for Zeroizing<String> {
    fn put(&self, out: &mut Enc) {
        let _ = out.str(self);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        Ok(Zeroizing::new(input.str()?.to_owned()))
    }
}

impl Stored for Bytes {
    fn put(&self, out: &mut Enc) {
        let _ = out.bytes(self);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        Ok(Bytes::copy_from_slice(input.bytes()?))
    }
}

impl Stored for Zeroizing<Vec<u8>> {
    fn put(&self, out: &mut Enc) {
        let _ = out.bytes(self);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        Ok(Zeroizing::new(input.bytes()?.to_vec()))
    }
}

impl Stored for AppId {
    fn put(&self, out: &mut Enc) {
        let _ = out.str(self.as_str());
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        AppId::parse(input.str()?).map_err(|_| BrokenRow)
    }
}

impl Stored for AccountRef {
    fn put(&self, out: &mut Enc) {
        put_array(out, 2);
        self.app.put(out);
        self.account.put(out);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        take_array(input, 2)?;
        Ok(AccountRef { app: Stored::take(input)?, account: Stored::take(input)? })
    }
}

impl Stored for crate::api::Showing {
    fn put(&self, out: &mut Enc) {
        put_array(out, 2);
        self.off.put(out);
        self.quiet.put(out);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        take_array(input, 2)?;
        Ok(crate::api::Showing { off: Stored::take(input)?, quiet: Stored::take(input)? })
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Enc) {
        put_array(out, usize::from(self.is_some()));
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        match take_len(input)? {
            0 => Ok(None),
            1 => T::take(input).map(Some),
            _ => Err(BrokenRow),
        }
    }
    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, out: &mut Enc) {
        put_array(out, self.len());
        for value in self {
            value.put(out);
        }
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        let len = take_len(input)?;
        (0..len).map(|_| T::take(input)).collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<T: Stored + Ord> Stored for BTreeSet<T> {
    fn put(&self, out: &mut Enc) {
        put_array(out, self.len());
        for value in self {
            value.put(out);
        }
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        let len = take_len(input)?;
        (0..len).map(|_| T::take(input)).collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn put(&self, out: &mut Enc) {
        put_array(out, self.len());
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        let len = take_len(input)?;
        (0..len).map(|_| Ok((K::take(input)?, V::take(input)?))).collect()
    }
    fn absent() -> Option<Self> {
        Some(Self::new())
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, out: &mut Enc) {
        put_array(out, 2);
        self.0.put(out);
        self.1.put(out);
    }
    fn take(input: &mut Dec<'_>) -> Result<Self, BrokenRow> {
        take_array(input, 2)?;
        Ok((A::take(input)?, B::take(input)?))
    }
}

/// A struct that is stored as an array of its fields.
macro_rules! record {
    ($(#[$meta:meta])* struct $name:ident { $($(#[$field_meta:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub(crate) struct $name {
            $($(#[$field_meta])* pub(crate) $field: $ty,)*
        }

        impl $crate::rows::codec::Stored for $name {
            fn put(&self, out: &mut $crate::rows::codec::Enc) {
                $crate::rows::codec::put_array(out, [$(stringify!($field)),*].len());
                $(self.$field.put(out);)*
            }
            fn take(input: &mut $crate::rows::codec::Dec<'_>) -> Result<Self, $crate::rows::codec::BrokenRow> {
                let mut left = $crate::rows::codec::take_fields(input, [$(stringify!($field)),*].len())?;
                Ok(Self { $($field: $crate::rows::codec::take_field(input, &mut left)?,)* })
            }
        }
    };
}

/// An enum that is stored as `[number, fields…]`.
macro_rules! choice {
    ($(#[$meta:meta])* enum $name:ident { $($(#[$var_meta:meta])* $number:literal $variant:ident $({ $($field:ident: $ty:ty,)* })?,)* }) => {
        $(#[$meta])*
        #[derive(Clone)]
        pub(crate) enum $name {
            $($(#[$var_meta])* $variant $({ $($field: $ty,)* })?,)*
        }

        impl $crate::rows::codec::Stored for $name {
            fn put(&self, out: &mut $crate::rows::codec::Enc) {
                match self {
                    $($name::$variant $({ $($field,)* })? => {
                        let fields: &[&str] = &[$($(stringify!($field),)*)?];
                        $crate::rows::codec::put_array(out, 1 + fields.len());
                        u32::put(&$number, out);
                        $($($field.put(out);)*)?
                    })*
                }
            }
            fn take(input: &mut $crate::rows::codec::Dec<'_>) -> Result<Self, $crate::rows::codec::BrokenRow> {
                let len = input.array()?.and_then(|len| usize::try_from(len).ok()).ok_or($crate::rows::codec::BrokenRow)?;
                match u32::take(input)? {
                    $($number => {
                        let fields: &[&str] = &[$($(stringify!($field),)*)?];
                        let left = len.checked_sub(1).filter(|left| *left <= fields.len());
                        #[allow(unused_mut, unused_variables, reason = "a variant may have no fields")]
                        let mut left = left.ok_or($crate::rows::codec::BrokenRow)?;
                        Ok($name::$variant $({ $($field: $crate::rows::codec::take_field(input, &mut left)?,)* })?)
                    })*
                    _ => Err($crate::rows::codec::BrokenRow),
                }
            }
        }
    };
}

pub(crate) use {choice, record};
