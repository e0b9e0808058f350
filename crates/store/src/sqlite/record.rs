//! How rows look before they are sealed, and what each is bound to. Part of the storage format (`FORMAT`).

use bytes::{Buf, Bytes};
use rand_core::RngCore;

use super::{keys::PartitionTag, seal::SealKey};
use crate::{PartitionId, PartitionKind, PayloadId, QueueId, RowKind, Seq, UnixDay};

/// Number of a queue row or a payload in its table.
pub(super) type RowNumber = i64;

/// `partition kind (1) || length of id (1) || id || value`, bound to the place and the kind.
pub(super) fn seal_row(
    key: &SealKey,
    rng: &mut impl RngCore,
    place: RowPlace<'_>,
    partition: &PartitionId,
    value: &[u8],
) -> Vec<u8> {
    let id = &partition.id[..partition.id.len().min(255)];
    let head = [partition.kind as u8, u8::try_from(id.len()).unwrap_or(u8::MAX)];
    key.seal(rng, &place.context(), &[&head, id, value])
}

/// Opens a row; gives its partition and value.
pub(super) fn open_row(key: &SealKey, place: RowPlace<'_>, sealed: Vec<u8>) -> Option<(PartitionId, Bytes)> {
    let mut text = key.open(&place.context(), sealed)?;
    let kind = PartitionKind::from_u8(text.try_get_u8().ok()?)?;
    let len = usize::from(text.try_get_u8().ok()?);
    let id = (text.len() >= len).then(|| text.split_to(len))?;
    Some((PartitionId { kind, id }, text))
}

/// Where an ordered row is, and what it is.
#[derive(Clone, Copy)]
pub(super) struct RowPlace<'a> {
    pub(super) tag: &'a PartitionTag,
    pub(super) key: &'a [u8],
    pub(super) kind: RowKind,
}

impl RowPlace<'_> {
    fn context(&self) -> Vec<u8> {
        [b"row1", &self.tag[..], &[self.kind.0], self.key].concat()
    }
}

/// What a queue row refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Inline,
    Shared(RowNumber),
}

/// The opened part of a queue row that comes before head and payload.
pub(super) struct QueueHeader {
    pub(super) queue: QueueId,
    pub(super) seq: Seq,
    pub(super) content: Content,
    pub(super) head: Bytes,
    /// The payload; empty if it is shared.
    pub(super) inline: Bytes,
}

/// `queue kind (1) || queue id (16) || seq (8) || shared payload or 0 (8) || length of head (4) || head || payload`.
pub(super) fn seal_queue_row(
    key: &SealKey,
    rng: &mut impl RngCore,
    (number, expires): (RowNumber, UnixDay),
    (queue, seq): (QueueId, Seq),
    content: Content,
    (head, inline): (&[u8], &[u8]),
) -> Vec<u8> {
    let mut fixed = [0; 37];
    fixed[0] = queue.kind() as u8;
    fixed[1..17].copy_from_slice(queue.id());
    fixed[17..25].copy_from_slice(&seq.0.to_be_bytes());
    if let Content::Shared(payload) = content {
        fixed[25..33].copy_from_slice(&payload.to_be_bytes());
    }
    fixed[33..].copy_from_slice(&u32::try_from(head.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.seal(rng, &queue_context(number, expires), &[&fixed, head, inline])
}

/// Opens a queue row.
pub(super) fn open_queue_row(
    key: &SealKey,
    (number, expires): (RowNumber, UnixDay),
    sealed: Vec<u8>,
) -> Option<QueueHeader> {
    let mut text = key.open(&queue_context(number, expires), sealed)?;
    let kind = text.try_get_u8().ok()?;
    let mut id = [0; 16];
    text.try_copy_to_slice(&mut id).ok()?;
    let queue = match kind {
        0 => QueueId::Mailbox(id),
        _ => return None,
    };
    let seq = Seq(text.try_get_u64().ok()?);
    let content = match text.try_get_i64().ok()? {
        0 => Content::Inline,
        payload => Content::Shared(payload),
    };
    let len = usize::try_from(text.try_get_u32().ok()?).ok()?;
    let head = (text.len() >= len).then(|| text.split_to(len))?;
    Some(QueueHeader { queue, seq, content, head, inline: text })
}

/// `payload id (16) || payload`.
pub(super) fn seal_payload(
    key: &SealKey,
    rng: &mut impl RngCore,
    number: RowNumber,
    id: PayloadId,
    payload: &[u8],
) -> Vec<u8> {
    key.seal(rng, &payload_context(number), &[&id.0, payload])
}

/// Opens a payload.
pub(super) fn open_payload(key: &SealKey, number: RowNumber, sealed: Vec<u8>) -> Option<(PayloadId, Bytes)> {
    let mut text = key.open(&payload_context(number), sealed)?;
    let mut id = [0; 16];
    text.try_copy_to_slice(&mut id).ok()?;
    Some((PayloadId(id), text))
}

fn queue_context(number: RowNumber, expires: UnixDay) -> [u8; 18] {
    let mut context = *b"queue1............";
    context[6..14].copy_from_slice(&number.to_be_bytes());
    context[14..].copy_from_slice(&expires.0.to_be_bytes());
    context
}

fn payload_context(number: RowNumber) -> [u8; 16] {
    let mut context = *b"payload1........";
    context[8..].copy_from_slice(&number.to_be_bytes());
    context
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng as _;

    use super::*;

    /// Key and nonces are fixed: the bytes are those that lie in the database.
    fn sealed() -> Vec<(&'static str, Vec<u8>)> {
        let (key, rng) = (SealKey::new(&[7; 32]), &mut ChaCha20Rng::from_seed([8; 32]));
        let partition = PartitionId::new(PartitionKind::Room, [9; 16]);
        let place = RowPlace { tag: &[1; 16], key: b"key", kind: RowKind(3) };
        let (queue, at) = (QueueId::Mailbox([2; 16]), (5, UnixDay(20_000)));
        let seq = Seq::first_of_boot(3);
        vec![
            ("row", seal_row(&key, rng, place, &partition, b"value")),
            ("queue inline", seal_queue_row(&key, rng, at, (queue, seq), Content::Inline, (b"head", b"payload"))),
            ("queue shared", seal_queue_row(&key, rng, at, (queue, seq), Content::Shared(6), (b"head", b""))),
            ("payload", seal_payload(&key, rng, 6, PayloadId([4; 16]), b"payload")),
        ]
    }

    #[test]
    fn stored_bytes_stay_as_they_are() {
        let lines: Vec<String> = sealed()
            .iter()
            .map(|(name, bytes)| {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("{name}: {hex}")
            })
            .collect();
        let now = lines.join("\n");
        assert_eq!(now, include_str!("../../snapshots/rows.hex").trim_end(), "a changed line means a new FORMAT");
    }
}
