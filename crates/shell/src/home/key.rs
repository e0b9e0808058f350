//! The home key: in a file, or from a passphrase by Argon2id (RFC 9106).

use super::{HomeError, Unlock, files};
use crate::rows::HomeKey;
use argon2::{Algorithm, Argon2, Params, Version};
use rand_core::{OsRng, RngCore};
use std::collections::HashMap;
use std::path::Path;

/// RFC 9106 §4, the second recommended option: 64 MiB, three passes.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// What a file may ask for at most, so that a changed file cannot take the machine's memory: 4 GiB.
const MAX_MEMORY_KIB: u32 = 4 * 1024 * 1024;

const CHECK_CONTEXT: &[u8] = b"parlour-passphrase-check-1";
const CHECK: &[u8] = b"it is the one";

/// Makes the key of a new home.
pub(super) fn make(home: &Path, unlock: &Unlock) -> Result<(), HomeError> {
    match unlock {
        Unlock::KeyFile => files::write(home, "key", &format!("{}\n", hex::encode(HomeKey::random().bytes()))),
        Unlock::Passphrase(passphrase) => {
            let mut salt = [0; 16];
            OsRng.fill_bytes(&mut salt);
            let cost = Cost { memory_kib: MEMORY_KIB, passes: PASSES, lanes: LANES };
            let key = cost.derive(passphrase, &salt).ok_or_else(|| damaged(home))?;
            files::write(home, "key.argon2", &describe(cost, &salt, &key.seal_note(CHECK_CONTEXT, CHECK)))
        }
    }
}

/// The key of a home that is there.
pub(super) fn load(home: &Path, unlock: &Unlock) -> Result<HomeKey, HomeError> {
    match (files::read(home, "key.argon2")?, unlock) {
        (Some(_), Unlock::KeyFile) => Err(HomeError::PassphraseNeeded),
        (Some(text), Unlock::Passphrase(passphrase)) => from_passphrase(home, &text, passphrase),
        (None, Unlock::KeyFile) => from_file(home),
        (None, Unlock::Passphrase(_)) if home.join("key").is_file() => Err(HomeError::NoPassphrase),
        (None, Unlock::Passphrase(_)) => Err(HomeError::KeyMissing { path: home.to_owned() }),
    }
}

fn from_file(home: &Path) -> Result<HomeKey, HomeError> {
    let text = files::read(home, "key")?.ok_or_else(|| HomeError::KeyMissing { path: home.to_owned() })?;
    let mut bytes = [0; 32];
    hex::decode_to_slice(text.trim(), &mut bytes).map_err(|_| HomeError::KeyDamaged { path: home.join("key") })?;
    Ok(HomeKey::new(bytes))
}

fn from_passphrase(home: &Path, text: &str, passphrase: &str) -> Result<HomeKey, HomeError> {
    let (cost, salt, check) = parse(text).ok_or_else(|| damaged(home))?;
    let key = cost.derive(passphrase, &salt).ok_or_else(|| damaged(home))?;
    key.open_note(CHECK_CONTEXT, &check).ok_or(HomeError::WrongPassphrase)?;
    Ok(key)
}

fn damaged(home: &Path) -> HomeError {
    HomeError::KeyDamaged { path: home.join("key.argon2") }
}

#[derive(Clone, Copy)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    /// The key; `None` when the cost is not one that Argon2 takes.
    fn derive(self, passphrase: &str, salt: &[u8]) -> Option<HomeKey> {
        let params = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()?;
        let mut key = [0; 32];
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(passphrase.as_bytes(), salt, &mut key).ok()?;
        Some(HomeKey::new(key))
    }
}

fn describe(cost: Cost, salt: &[u8], check: &[u8]) -> String {
    let Cost { memory_kib, passes, lanes } = cost;
    let (salt, check) = (hex::encode(salt), hex::encode(check));
    format!("format 1\nmemory_kib {memory_kib}\npasses {passes}\nlanes {lanes}\nsalt {salt}\ncheck {check}\n")
}

fn parse(text: &str) -> Option<(Cost, Vec<u8>, Vec<u8>)> {
    let fields: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
    let number = |name: &str| fields.get(name)?.parse::<u32>().ok();
    let bytes = |name: &str| hex::decode(fields.get(name)?).ok();
    let cost = Cost { memory_kib: number("memory_kib")?, passes: number("passes")?, lanes: number("lanes")? };
    let known = number("format")? == 1 && cost.memory_kib <= MAX_MEMORY_KIB;
    known.then_some((cost, bytes("salt")?, bytes("check")?))
}
