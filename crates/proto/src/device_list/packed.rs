//! A list in fewer bytes: what follows from the links before is left out. Unpacked, it is the same links, byte for byte.
//!
//! The version (1), the account, then for each link, oldest first: a byte (1 adds, 2 removes; 4 more: the root signed), the device's
//! id and keys, or the place of the one that is removed; the place of the signer, if it is not the root; the time (8 bytes) and
//! the signature. Places are two bytes and count the devices as they were added, from 0. Numbers are big-endian.

use super::link::hash;
use super::{Action, DeviceListError, Draft, Link, MAX_LINKS, Signer};
use crate::ids::{AccountId, DeviceId, UnixMillis};
use bytes::Bytes;

const VERSION: u8 = 1;
const ADDS: u8 = 1;
const REMOVES: u8 = 2;
const BY_ROOT: u8 = 4;

/// Packs the links of a list, oldest first; an added device takes some 155 bytes, a removed one 77.
///
/// # Errors
/// `Unreadable`, `Empty`, `NotNext`, `BadChange`, `UnknownSigner`: these are not the links of a list.
pub fn pack(links: &[Bytes]) -> Result<Vec<u8>, DeviceListError> {
    let account = Link::read(links.first().ok_or(DeviceListError::Empty)?)?.draft.account;
    let mut out = vec![VERSION];
    out.extend(account.0);
    let mut added: Vec<DeviceId> = Vec::new();
    for link in links {
        let Link { draft, signature } = Link::read(link)?;
        let place = |added: &[DeviceId], id: DeviceId| {
            let at = added.iter().position(|known| *known == id)?;
            u16::try_from(at).ok().map(u16::to_be_bytes)
        };
        let by_root = if draft.signer == Signer::Root { BY_ROOT } else { 0 };
        let signer = match draft.signer {
            Signer::Root => None,
            Signer::Device(id) => Some(place(&added, id).ok_or(DeviceListError::UnknownSigner)?),
        };
        match draft.action {
            Action::Add { device, signing_key, hpke_key } => {
                out.push(ADDS | by_root);
                out.extend(device.0.iter().chain(&signing_key).chain(&hpke_key));
                added.push(device);
            }
            Action::Remove { device } => {
                out.push(REMOVES | by_root);
                out.extend(place(&added, device).ok_or(DeviceListError::BadChange)?);
            }
        }
        out.extend(signer.iter().flatten());
        out.extend(draft.time.0.to_be_bytes());
        out.extend(signature);
    }
    // (What is left out follows only if each link follows from the one before.)
    if unpack(&out)?.1 == links { Ok(out) } else { Err(DeviceListError::NotNext) }
}

/// Whose list was packed, and its links: to be verified like any.
///
/// # Errors
/// `Unreadable`; `TooLarge` with more than [`MAX_LINKS`].
pub fn unpack(packed: &[u8]) -> Result<(AccountId, Vec<Bytes>), DeviceListError> {
    let mut rest = packed.strip_prefix(&[VERSION]).ok_or(DeviceListError::Unreadable)?;
    let account = AccountId(take(&mut rest)?);
    let (mut links, mut added) = (Vec::new(), Vec::<DeviceId>::new());
    let mut prev = [0; 32];
    while !rest.is_empty() {
        if links.len() >= MAX_LINKS {
            return Err(DeviceListError::TooLarge);
        }
        let [kind] = take(&mut rest)?;
        let known = added.len();
        let action = match kind & !BY_ROOT {
            ADDS => {
                let device = DeviceId(take(&mut rest)?);
                added.push(device);
                Action::Add { device, signing_key: take(&mut rest)?, hpke_key: take(&mut rest)? }
            }
            REMOVES => Action::Remove { device: device_at(&added, &mut rest)? },
            _ => return Err(DeviceListError::Unreadable),
        };
        let signer = match kind & BY_ROOT {
            0 => Signer::Device(device_at(&added[..known], &mut rest)?),
            _ => Signer::Root,
        };
        let time = UnixMillis(u64::from_be_bytes(take(&mut rest)?));
        let draft = Draft { account, seq: links.len() as u64 + 1, prev, time, action, signer };
        let link = draft.with_signature(&take(&mut rest)?);
        prev = hash(&link);
        links.push(link);
    }
    Ok((account, links))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], DeviceListError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(DeviceListError::Unreadable)?;
    *rest = after;
    Ok(*taken)
}

fn device_at(added: &[DeviceId], rest: &mut &[u8]) -> Result<DeviceId, DeviceListError> {
    let at = usize::from(u16::from_be_bytes(take(rest)?));
    added.get(at).copied().ok_or(DeviceListError::Unreadable)
}
