//! The profile's key: random, stored only wrapped (AES-256-GCM) under a WebCrypto key that cannot be exported.
//!
//! What this gives: the database's files hold no plaintext and no readable key; deleting the wrapping key makes the rows
//! unreadable. What it cannot give: browsers keep non-extractable keys in the same profile folder, so that whoever copies
//! the whole profile and knows the browser's format has the key too (SECURITY.md says so).

use super::idb;
use super::seal::KEY_LEN;
use crate::js::JsError;
use js_sys::{Array, Object, Reflect, Uint8Array};
use rand_core::{OsRng, RngCore as _};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AesGcmParams, AesKeyGenParams, CryptoKey, IdbDatabase, SubtleCrypto, WorkerGlobalScope};
use zeroize::Zeroizing;

const RECORD: &str = "profile";
const NONCE_LEN: usize = 12;

/// The profile's key; made on the first visit.
pub(super) async fn load_or_make(database: &IdbDatabase) -> Result<Zeroizing<[u8; KEY_LEN]>, JsError> {
    let store = idb::reading(database, idb::KEYS)?.object_store(idb::KEYS)?;
    let stored = idb::result(&store.get(&RECORD.into())?).await?;
    if stored.is_undefined() { make(database).await } else { unwrap(&stored).await }
}

async fn make(database: &IdbDatabase) -> Result<Zeroizing<[u8; KEY_LEN]>, JsError> {
    let mut key = Zeroizing::new([0; KEY_LEN]);
    OsRng.fill_bytes(key.as_mut());
    let mut nonce = [0; NONCE_LEN];
    OsRng.fill_bytes(&mut nonce);

    let uses = Array::of2(&"encrypt".into(), &"decrypt".into());
    let kind = AesKeyGenParams::new("AES-GCM", 256);
    let extractable = false;
    let made = JsFuture::from(subtle()?.generate_key_with_object(&kind, extractable, &uses)?).await?;
    let wrapping: CryptoKey = made.unchecked_into();
    let sealing = subtle()?.encrypt_with_object_and_u8_array(&gcm(&nonce), &wrapping, key.as_ref())?;
    let wrapped = Uint8Array::new(&JsFuture::from(sealing).await?);

    let record = Object::new();
    Reflect::set(&record, &"key".into(), &wrapping)?;
    Reflect::set(&record, &"nonce".into(), &Uint8Array::from(nonce.as_slice()))?;
    Reflect::set(&record, &"wrapped".into(), &wrapped)?;
    let transaction = idb::writing(database, idb::KEYS)?;
    transaction.object_store(idb::KEYS)?.put_with_key(&record, &RECORD.into())?;
    idb::completion(&transaction).await?;
    Ok(key)
}

async fn unwrap(record: &JsValue) -> Result<Zeroizing<[u8; KEY_LEN]>, JsError> {
    let field = |name: &str| Reflect::get(record, &name.into());
    let wrapping: CryptoKey = field("key")?.unchecked_into();
    let nonce = Uint8Array::new(&field("nonce")?).to_vec();
    let wrapped = Uint8Array::new(&field("wrapped")?).to_vec();
    let opening = subtle()?.decrypt_with_object_and_u8_array(&gcm(&nonce), &wrapping, &wrapped)?;
    let opened = Uint8Array::new(&JsFuture::from(opening).await?);
    let mut key = Zeroizing::new([0; KEY_LEN]);
    if opened.length() as usize != KEY_LEN {
        return Err(JsError("the profile's key has another length".to_owned()));
    }
    opened.copy_to(key.as_mut());
    opened.fill(0, 0, KEY_LEN as u32);
    Ok(key)
}

fn gcm(nonce: &[u8]) -> AesGcmParams {
    AesGcmParams::new("AES-GCM", &Uint8Array::from(nonce))
}

fn subtle() -> Result<SubtleCrypto, JsError> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    Ok(scope.crypto()?.subtle())
}
