//! The profile's key and the page key of the engine's key ring: random, stored only wrapped (AES-256-GCM), each under a
//! WebCrypto key of its own that cannot be exported. A new page key comes with a new one: with the record, both are gone.
//!
//! What this gives: the database's files hold no plaintext and no readable key; deleting the wrapping key makes the rows
//! unreadable. What it cannot give: browsers keep non-extractable keys in the same profile folder, so that whoever copies
//! the whole profile and knows the browser's format has the key too (SECURITY.md says so).

use super::idb;
use super::seal::{KEY_LEN, PAGE_LEN};
use crate::js::JsError;
use js_sys::{Array, Object, Reflect, Uint8Array};
use rand_core::{OsRng, RngCore as _};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AesGcmParams, AesKeyGenParams, CryptoKey, IdbDatabase, IdbTransaction, SubtleCrypto, WorkerGlobalScope};
use zeroize::Zeroizing;

/// Where the profile's key is.
const PROFILE: &str = "profile";
/// Where the page key is.
const PAGE: &str = "page";
const NONCE_LEN: usize = 12;

/// The profile's key; made on the first visit.
pub(super) async fn profile(database: &IdbDatabase) -> Result<Zeroizing<[u8; KEY_LEN]>, JsError> {
    sized(load_or_make(database, PROFILE, KEY_LEN).await?)
}

/// The page key; made on the first visit.
pub(super) async fn page(database: &IdbDatabase) -> Result<Zeroizing<[u8; PAGE_LEN]>, JsError> {
    sized(load_or_make(database, PAGE, PAGE_LEN).await?)
}

/// Another page key, and its record, which nothing has stored yet.
pub(super) async fn next_page() -> Result<(Zeroizing<[u8; PAGE_LEN]>, JsValue), JsError> {
    let (key, record) = make(PAGE_LEN).await?;
    Ok((sized(key)?, record))
}

/// Puts a page key's record in the place of the one before, within a transaction over [`idb::KEYS`].
pub(super) fn turn(transaction: &IdbTransaction, record: &JsValue) -> Result<(), JsError> {
    Ok(transaction.object_store(idb::KEYS)?.put_with_key(record, &PAGE.into()).map(drop)?)
}

fn sized<const LEN: usize>(key: Zeroizing<Vec<u8>>) -> Result<Zeroizing<[u8; LEN]>, JsError> {
    let sized = key.as_slice().try_into().map(Zeroizing::new);
    sized.map_err(|_| JsError("a key has another length".to_owned()))
}

async fn load_or_make(database: &IdbDatabase, name: &str, len: usize) -> Result<Zeroizing<Vec<u8>>, JsError> {
    let store = idb::reading(database, idb::KEYS)?.object_store(idb::KEYS)?;
    let stored = idb::result(&store.get(&name.into())?).await?;
    if !stored.is_undefined() {
        return unwrap(&stored).await;
    }
    let (key, record) = make(len).await?;
    let transaction = idb::writing(database, &[idb::KEYS])?;
    transaction.object_store(idb::KEYS)?.put_with_key(&record, &name.into())?;
    idb::completion(&transaction).await?;
    Ok(key)
}

/// A random key, and the record from which [`unwrap`] gets it.
async fn make(len: usize) -> Result<(Zeroizing<Vec<u8>>, JsValue), JsError> {
    let mut key = Zeroizing::new(vec![0; len]);
    OsRng.fill_bytes(&mut key);
    let mut nonce = [0; NONCE_LEN];
    OsRng.fill_bytes(&mut nonce);

    let uses = Array::of2(&"encrypt".into(), &"decrypt".into());
    let kind = AesKeyGenParams::new("AES-GCM", 256);
    let extractable = false;
    let made = JsFuture::from(subtle()?.generate_key_with_object(&kind, extractable, &uses)?).await?;
    let wrapping: CryptoKey = made.unchecked_into();
    let sealing = subtle()?.encrypt_with_object_and_u8_array(&gcm(&nonce), &wrapping, &key)?;
    let wrapped = Uint8Array::new(&JsFuture::from(sealing).await?);

    let record = Object::new();
    Reflect::set(&record, &"key".into(), &wrapping)?;
    Reflect::set(&record, &"nonce".into(), &Uint8Array::from(nonce.as_slice()))?;
    Reflect::set(&record, &"wrapped".into(), &wrapped)?;
    Ok((key, record.into()))
}

async fn unwrap(record: &JsValue) -> Result<Zeroizing<Vec<u8>>, JsError> {
    let field = |name: &str| Reflect::get(record, &name.into());
    let wrapping: CryptoKey = field("key")?.unchecked_into();
    let nonce = Uint8Array::new(&field("nonce")?).to_vec();
    let wrapped = Uint8Array::new(&field("wrapped")?).to_vec();
    let opening = subtle()?.decrypt_with_object_and_u8_array(&gcm(&nonce), &wrapping, &wrapped)?;
    let opened = Uint8Array::new(&JsFuture::from(opening).await?);
    let key = Zeroizing::new(opened.to_vec());
    opened.fill(0, 0, opened.length());
    Ok(key)
}

fn gcm(nonce: &[u8]) -> AesGcmParams {
    AesGcmParams::new("AES-GCM", &Uint8Array::from(nonce))
}

fn subtle() -> Result<SubtleCrypto, JsError> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    Ok(scope.crypto()?.subtle())
}
