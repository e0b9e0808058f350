//! A walk over a frame's structure before protobuf decoding: how many fields are there, and what is the request's id.
//!
//! A decoder reserves memory for each element that it meets, and an element can be as short as two bytes: 4 MiB of them
//! would become some hundred MiB. So elements are counted first, in the places where a message repeats something.

use crate::frames::{MAX_ENTRY_CHANGES, MAX_FRAME_BYTES, MAX_VOIDS};
use crate::problem::{Code, Problem};

/// Most fields, over all levels, in a frame: above the largest legal commit (changes, void rows, Welcome parts).
const MAX_FIELDS: u32 = 8 * 1024;
/// Longest packed list of numbers, bytes (each takes at most 10).
const MAX_PACKED_BYTES: usize = MAX_VOIDS * 10;
const _: () = assert!(MAX_ENTRY_CHANGES * 6 + MAX_VOIDS + 64 < MAX_FIELDS as usize);

/// Where messages repeat something.
pub(super) struct Shape {
    /// Numbers of the bodies that repeat something, and in each the numbers of the messages to walk, too.
    pub(super) repeating: &'static [(u32, &'static [u32])],
    /// (body, field) of packed numbers.
    pub(super) packed: &'static [(u32, u32)],
}

/// Commit with its changes and Welcome; register; publish_key_packages.
pub(super) const CLIENT: Shape = Shape { repeating: &[(4, &[6, 8]), (23, &[]), (32, &[])], packed: &[(4, 7)] };
/// Accepted; claimed with its view; log and rows with each row; apps; account; reach; backup; registered and signed_in.
pub(super) const SERVER: Shape = Shape {
    repeating: &[
        (2, &[]),
        (5, &[1]),
        (6, &[2]),
        (8, &[1]),
        (16, &[]),
        (19, &[]),
        (20, &[]),
        (21, &[]),
        (23, &[]),
        (26, &[]),
    ],
    packed: &[],
};

/// What the walk found.
pub(super) struct Walked {
    /// Field 1, or 0 when it was not reached.
    pub(super) id: u64,
    /// Whether decoding may go on.
    pub(super) result: Result<(), Problem>,
}

/// Walks a frame.
pub(super) fn walk(frame: &[u8], shape: &Shape) -> Walked {
    let mut id = 0;
    if frame.len() > MAX_FRAME_BYTES {
        return Walked { id, result: Err(Problem::new(Code::TooLarge, "a frame holds at most 4 MiB")) };
    }
    let result = walk_frame(frame, shape, &mut id);
    Walked { id, result }
}

fn walk_frame(frame: &[u8], shape: &Shape, id: &mut u64) -> Result<(), Problem> {
    let mut left = MAX_FIELDS;
    let mut fields = Fields { rest: frame };
    while let Some((number, value)) = fields.next(&mut left)? {
        match value {
            Value::Number(found) if number == 1 => *id = found,
            Value::Bytes(body) => walk_body(number, body, shape, &mut left)?,
            Value::Number(_) | Value::Fixed => {}
        }
    }
    Ok(())
}

fn walk_body(body: u32, bytes: &[u8], shape: &Shape, left: &mut u32) -> Result<(), Problem> {
    let Some((_, deeper)) = shape.repeating.iter().find(|(at, _)| *at == body) else { return Ok(()) };
    let mut fields = Fields { rest: bytes };
    while let Some((number, value)) = fields.next(left)? {
        let Value::Bytes(inner) = value else { continue };
        if deeper.contains(&number) {
            let mut fields = Fields { rest: inner };
            while fields.next(left)?.is_some() {}
        }
        if inner.len() > MAX_PACKED_BYTES && shape.packed.contains(&(body, number)) {
            return Err(too_many());
        }
    }
    Ok(())
}

enum Value<'a> {
    Number(u64),
    Fixed,
    Bytes(&'a [u8]),
}

struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    fn next(&mut self, left: &mut u32) -> Result<Option<(u32, Value<'a>)>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        *left = left.checked_sub(1).ok_or_else(too_many)?;
        let key = self.varint()?;
        let number = u32::try_from(key >> 3).map_err(|_| broken())?;
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => {
                self.take(8)?;
                Value::Fixed
            }
            2 => {
                let len = usize::try_from(self.varint()?).map_err(|_| broken())?;
                Value::Bytes(self.take(len)?)
            }
            5 => {
                self.take(4)?;
                Value::Fixed
            }
            _ => return Err(broken()),
        };
        Ok(Some((number, value)))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], Problem> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or_else(broken)?;
        self.rest = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                self.rest = &self.rest[at + 1..];
                return Ok(value);
            }
        }
        Err(broken())
    }
}

fn broken() -> Problem {
    Problem::new(Code::Malformed, "the frame is not valid protobuf")
}

fn too_many() -> Problem {
    Problem::new(Code::TooLarge, "the frame holds more elements than any request may have")
}
