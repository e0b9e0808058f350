//! One link: drafted, signed, read.

use super::{DeviceListError, MAX_LINK_BYTES, SIGN_DOMAIN};
use crate::ids::{AccountId, DeviceId, UnixMillis};
use bytes::Bytes;
use ed25519_dalek::{Signer as _, SigningKey};
use minicbor::decode::Error as CborError;
use minicbor::{Decoder, Encoder};
use sha2::{Digest as _, Sha256};

const VERSION: u8 = 1;

/// What a link changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Adds a device.
    Add {
        /// Never used in this list before.
        device: DeviceId,
        /// Ed25519.
        signing_key: [u8; 32],
        /// X25519.
        hpke_key: [u8; 32],
    },
    /// Takes a device off the list, for good.
    Remove {
        /// Listed now.
        device: DeviceId,
    },
}

/// Whose key signs a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The account's root key.
    Root,
    /// A device that is listed before the link.
    Device(DeviceId),
}

/// A link before its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    /// Whose list.
    pub account: AccountId,
    /// Its number, from 1.
    pub seq: u64,
    /// SHA-256 of the link before; zeros in the first.
    pub prev: [u8; 32],
    /// The signer's clock.
    pub time: UnixMillis,
    /// What it changes.
    pub action: Action,
    /// Whose key signs it.
    pub signer: Signer,
}

impl Draft {
    /// The first link of an account, to be signed by its root key.
    pub fn first(account: AccountId, time: UnixMillis, action: Action) -> Self {
        Self { account, seq: 1, prev: [0; 32], time, action, signer: Signer::Root }
    }

    /// Version byte and body: what is signed under [`SIGN_DOMAIN`], for a signer that puts the domain and a zero byte in
    /// front by itself.
    pub fn body(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend(self.cbor());
        out
    }

    /// All that is signed: [`SIGN_DOMAIN`], a zero byte, [`body`](Self::body).
    pub fn to_sign(&self) -> Vec<u8> {
        [SIGN_DOMAIN.as_bytes(), &[0], &self.body()].concat()
    }

    /// The link, signed with this key.
    pub fn sign(&self, key: &SigningKey) -> Bytes {
        self.with_signature(&key.sign(&self.to_sign()).to_bytes())
    }

    /// The link, with a signature made elsewhere.
    pub fn with_signature(&self, signature: &[u8; 64]) -> Bytes {
        let mut out = vec![VERSION];
        let mut encoder = Encoder::new(&mut out);
        let written = encoder.array(2).and_then(|e| e.bytes(&self.cbor())).and_then(|e| e.bytes(signature)).is_ok();
        debug_assert!(written, "a vector takes everything");
        out.into()
    }

    fn cbor(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        let written = self.put(&mut Encoder::new(&mut out)).is_ok();
        debug_assert!(written, "a vector takes everything");
        out
    }

    fn put(&self, out: &mut Encoder<&mut Vec<u8>>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
        out.array(6)?.bytes(&self.account.0)?.u64(self.seq)?.bytes(&self.prev)?.u64(self.time.0)?;
        match &self.action {
            Action::Add { device, signing_key, hpke_key } => {
                out.array(4)?.u8(1)?.bytes(&device.0)?.bytes(signing_key)?.bytes(hpke_key)?;
            }
            Action::Remove { device } => {
                out.array(2)?.u8(2)?.bytes(&device.0)?;
            }
        }
        match &self.signer {
            Signer::Root => out.null()?,
            Signer::Device(device) => out.bytes(&device.0)?,
        };
        Ok(())
    }
}

/// A link as read: its signature is there, but nobody has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// What was signed.
    pub draft: Draft,
    /// Ed25519.
    pub signature: [u8; 64],
}

impl Link {
    /// Reads a link. Only [`DeviceList`](super::DeviceList) tells whether it is to be believed.
    ///
    /// # Errors
    /// `TooLarge`, `Unreadable`.
    pub fn read(bytes: &[u8]) -> Result<Self, DeviceListError> {
        if bytes.len() > MAX_LINK_BYTES {
            return Err(DeviceListError::TooLarge);
        }
        let cbor = bytes.strip_prefix(&[VERSION]).ok_or(DeviceListError::Unreadable)?;
        let link = read_link(cbor).map_err(|_| DeviceListError::Unreadable)?;
        // One link, one encoding: otherwise one signature would fit several hashes.
        let same = link.draft.with_signature(&link.signature) == bytes;
        same.then_some(link).ok_or(DeviceListError::Unreadable)
    }
}

/// SHA-256 of a link's bytes.
pub(super) fn hash(link: &[u8]) -> [u8; 32] {
    Sha256::digest(link).into()
}

fn read_link(cbor: &[u8]) -> Result<Link, CborError> {
    let mut from = Decoder::new(cbor);
    array(&mut from, 2)?;
    let body = from.bytes()?;
    let signature = fixed(&mut from)?;
    let mut from = Decoder::new(body);
    array(&mut from, 6)?;
    let draft = Draft {
        account: AccountId(fixed(&mut from)?),
        seq: from.u64()?,
        prev: fixed(&mut from)?,
        time: UnixMillis(from.u64()?),
        action: read_action(&mut from)?,
        signer: read_signer(&mut from)?,
    };
    Ok(Link { draft, signature })
}

fn read_action(from: &mut Decoder<'_>) -> Result<Action, CborError> {
    let len = from.array()?;
    match (len, from.u8()?) {
        (Some(4), 1) => {
            Ok(Action::Add { device: DeviceId(fixed(from)?), signing_key: fixed(from)?, hpke_key: fixed(from)? })
        }
        (Some(2), 2) => Ok(Action::Remove { device: DeviceId(fixed(from)?) }),
        _ => Err(CborError::message("action")),
    }
}

fn read_signer(from: &mut Decoder<'_>) -> Result<Signer, CborError> {
    if from.datatype()? == minicbor::data::Type::Null {
        from.null()?;
        return Ok(Signer::Root);
    }
    Ok(Signer::Device(DeviceId(fixed(from)?)))
}

fn array(from: &mut Decoder<'_>, len: u64) -> Result<(), CborError> {
    if from.array()? == Some(len) { Ok(()) } else { Err(CborError::message("array")) }
}

fn fixed<const N: usize>(from: &mut Decoder<'_>) -> Result<[u8; N], CborError> {
    from.bytes()?.try_into().map_err(|_| CborError::message("length"))
}
