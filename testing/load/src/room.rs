//! Rooms as the server sees them: made by one device, joined by others with grants for their own mailboxes, through one
//! commit. The payloads are random bytes of honest sizes: the server cannot tell.

use crate::socket::{Endpoint, Role, Ws, ask, connect, encode};
use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::frames::{Answer, ClientFrame, Commit, EntryChange, Request, Rights, commit_bytes};
use parlour_proto::ids::{MemberKey, MessageId, RoomId, Secret};
use rand_core::{OsRng, RngCore as _};

/// Length of the prepared ciphertext: a PrivateMessage with 300 bytes of content.
pub(crate) const CIPHERTEXT_BYTES: usize = 446;
/// Length of the prepared commit.
const COMMIT_BYTES: usize = 1500;

/// A room that can be sent to.
pub(crate) struct Room {
    /// Its id.
    pub(crate) id: RoomId,
    send_key: Secret,
}

/// Makes a room whose members are these signed-in inboxes, the first one its maker.
///
/// # Errors
/// When the server refuses a step.
pub(crate) fn make(to: &Endpoint, members: &mut [&mut Ws]) -> Result<Room> {
    let Some((maker, others)) = members.split_first_mut() else { bail!("a room needs a maker") };
    let (id, maker_key) = (RoomId::random(&mut OsRng), SigningKey::generate(&mut OsRng));
    let member_key = public(&maker_key);
    let first_key = Secret::random(&mut OsRng);
    ask(maker, Request::CreateRoom { room: id, member_key, send_key: first_key.digest() })?;

    let mut changes = Vec::with_capacity(others.len());
    for other in others {
        let member_key = public(&SigningKey::generate(&mut OsRng));
        match ask(other, Request::OwnGrant { room: id, member_key })? {
            Answer::Grant { grant } => changes.push(EntryChange::Add { member_key, grant, rights: Rights::ALL }),
            other => bail!("asking for a grant gave {other:?}"),
        }
    }
    let send_key = Secret::random(&mut OsRng);
    let mut commit = Commit {
        room: id,
        head: 0,
        commit_id: MessageId::random(&mut OsRng),
        payload: random_bytes(COMMIT_BYTES).into(),
        next_send_key: send_key.digest(),
        changes,
        voids: Vec::new(),
        welcome: None,
        member_key,
        signature: [0; 64],
    };
    commit.signature = maker_key.sign(&commit_bytes(&commit)).to_bytes();
    let (mut outbox, _) = connect(to, Role::Outbox)?;
    match ask(&mut outbox, Request::Commit(Box::new(commit))).context("the commit that adds the members")? {
        Answer::Accepted { .. } => Ok(Room { id, send_key }),
        other => bail!("committing gave {other:?}"),
    }
}

fn public(key: &SigningKey) -> MemberKey {
    MemberKey(key.verifying_key().to_bytes())
}

fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    OsRng.fill_bytes(&mut bytes);
    bytes
}

/// A Send frame encoded once; only the message id changes.
pub(crate) struct PreparedSend {
    frame: Vec<u8>,
    id_at: usize,
    series: [u8; 8],
}

impl PreparedSend {
    /// Encodes a Send into `room`.
    ///
    /// # Errors
    /// When the message id does not show up once in the encoded frame.
    pub(crate) fn new(room: &Room) -> Result<Self> {
        let marker = MessageId::random(&mut OsRng);
        let mut tag = [0; 32];
        OsRng.fill_bytes(&mut tag);
        let send = Request::Send {
            room: room.id,
            message_id: marker,
            send_key: room.send_key.clone(),
            tag,
            payload: Bytes::from(random_bytes(CIPHERTEXT_BYTES)),
        };
        let frame = encode(&ClientFrame { id: 1, request: send });
        let id_at = frame.windows(16).position(|window| window == marker.0).context("no message id in the frame")?;
        let mut series = [0; 8];
        OsRng.fill_bytes(&mut series);
        Ok(Self { frame: frame.into(), id_at, series })
    }

    /// The frame of message `number`.
    pub(crate) fn frame(&self, number: u64) -> Vec<u8> {
        let mut frame = self.frame.clone();
        frame[self.id_at..self.id_at + 8].copy_from_slice(&self.series);
        frame[self.id_at + 8..self.id_at + 16].copy_from_slice(&number.to_be_bytes());
        frame
    }

    /// The number of a message id of this series.
    pub(crate) fn number(&self, id: &MessageId) -> Option<u64> {
        let (series, number) = id.0.split_at(8);
        (series == self.series).then(|| number.try_into().map(u64::from_be_bytes)).and_then(Result::ok)
    }
}
