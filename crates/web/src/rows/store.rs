//! Rows in IndexedDB. One transaction per commit, durable (`strict`) before it counts as done.

use super::seal::{Batch, Damaged, Sealed, Sealer, is_shredding};
use super::{Row, after_prefix, idb, key};
use crate::js::JsError;
use js_sys::{Array, Uint8Array};
use parlour_client::api::Changes;
use parlour_client::rows::KEY_RING;
use rand_core::OsRng;
use std::pin::Pin;
use wasm_bindgen::JsValue;
use web_sys::{IdbDatabase, IdbKeyRange, IdbObjectStore};

/// The open rows of this profile.
pub struct Rows {
    database: IdbDatabase,
    sealer: Sealer,
}

/// Why rows could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RowsError {
    /// The browser refused: no room, a private window, or the profile is damaged.
    #[error("this browser's storage failed: {0}")]
    Storage(#[from] JsError),
    /// A row was changed by somebody without the key.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

impl Rows {
    /// Opens the rows; on the first visit there are none.
    ///
    /// # Errors
    /// When the browser gives no storage.
    pub async fn open() -> Result<Self, RowsError> {
        let database = idb::open().await?;
        let (key, page) = (key::profile(&database).await?, key::page(&database).await?);
        Ok(Self { database, sealer: Sealer::new(&key, &page) })
    }

    /// All rows whose key starts with `prefix`, in key order. An empty prefix means all rows.
    ///
    /// # Errors
    /// When they cannot be read, or a row does not open.
    pub async fn load(&self, prefix: &[u8]) -> Result<Vec<Row>, RowsError> {
        let all = self.load_each(&[prefix]).await?;
        Ok(all.into_iter().next().unwrap_or_default())
    }

    /// What [`Rows::load`] gives for each prefix, read in one transaction: a browser takes longer to begin one than to read.
    ///
    /// # Errors
    /// As [`Rows::load`].
    pub async fn load_each(&self, prefixes: &[&[u8]]) -> Result<Vec<Vec<Row>>, RowsError> {
        let store = idb::reading(&self.database, idb::ROWS).and_then(|reading| Ok(reading.object_store(idb::ROWS)?))?;
        let mut asked = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            asked.push(ask(&store, &self.sealer.blind(prefix))?);
        }
        let mut all = Vec::with_capacity(asked.len());
        for (keys, values) in asked {
            all.push(self.opened(&Array::from(&keys.await?), &Array::from(&values.await?))?);
        }
        Ok(all)
    }

    fn opened(&self, keys: &Array, values: &Array) -> Result<Vec<Row>, RowsError> {
        let mut rows = Vec::with_capacity(keys.length() as usize);
        for (key, value) in keys.iter().zip(values.iter()) {
            let key = self.sealer.unblind(&Uint8Array::new(&key).to_vec());
            let value = self.sealer.open(&key, &Uint8Array::new(&value).to_vec())?;
            rows.push((key, value));
        }
        rows.sort_unstable();
        Ok(rows)
    }

    /// Applies all changes durably in one transaction: after a crash all of them are there or none. Where keys of the key
    /// ring were destroyed, the ring gets a new page key in it.
    ///
    /// # Errors
    /// When nothing was written. The engine that made the changes must then be dropped and opened again.
    pub async fn commit(&mut self, changes: &Changes) -> Result<(), RowsError> {
        let batch: Batch = changes.0.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
        // All that has to be waited for comes before the transaction: it ends by itself when it has nothing to do.
        let turned = if is_shredding(&batch) { Some(self.turn(&batch).await?) } else { None };
        let mut stores = vec![idb::ROWS];
        stores.extend(turned.is_some().then_some(idb::KEYS));
        let transaction = idb::writing(&self.database, &stores)?;
        let store = transaction.object_store(idb::ROWS).map_err(JsError::from)?;
        for (key, value) in batch.iter().filter(|(key, _)| turned.is_none() || !key.starts_with(KEY_RING)) {
            let sealed = value.map(|value| self.sealer.seal(key, value, &mut OsRng));
            put(&store, &self.sealer.blind(key), sealed.as_deref())?;
        }
        if let Some(turned) = &turned {
            for (stored, sealed) in &turned.ring {
                put(&store, stored, sealed.as_deref())?;
            }
            key::turn(&transaction, &turned.record)?;
        }
        let completion = idb::completion(&transaction);
        idb::commit(&transaction)?;
        completion.await?;
        if let Some(turned) = turned {
            self.sealer = turned.sealer;
        }
        Ok(())
    }

    /// Makes the next page of the key ring, as the batch leaves it.
    async fn turn(&self, batch: &Batch<'_>) -> Result<Turned, RowsError> {
        let store = idb::reading(&self.database, idb::ROWS).and_then(|reading| Ok(reading.object_store(idb::ROWS)?))?;
        let (keys, values) = ask(&store, &self.sealer.blind(KEY_RING))?;
        let (keys, values) = (Array::from(&keys.await?), Array::from(&values.await?));
        let bytes = |value: JsValue| Uint8Array::new(&value).to_vec();
        let stored: Vec<Row> = keys.iter().map(bytes).zip(values.iter().map(bytes)).collect();
        let (page, record) = key::next_page().await?;
        let (sealer, ring) = self.sealer.turn(&page, &stored, batch, &mut OsRng)?;
        Ok(Turned { sealer, ring, record })
    }

    /// Deletes everything: first the key that wraps, then the database.
    ///
    /// # Errors
    /// When the browser refuses; the wrapping key may be gone then, and the rows with it.
    pub async fn wipe(self) -> Result<(), RowsError> {
        let transaction = idb::writing(&self.database, &[idb::KEYS])?;
        transaction.object_store(idb::KEYS).and_then(|keys| keys.clear()).map_err(JsError::from)?;
        idb::completion(&transaction).await?;
        self.database.close();
        Ok(idb::delete().await?)
    }
}

/// The key ring's next page, until it is written.
struct Turned {
    sealer: Sealer,
    ring: Sealed,
    record: JsValue,
}

type Asked = Pin<Box<dyn Future<Output = Result<JsValue, JsError>>>>;

/// Asks for the keys and for the values under a blinded prefix, both at once.
fn ask(store: &IdbObjectStore, prefix: &[u8]) -> Result<(Asked, Asked), JsError> {
    let (keys, values) = match range(prefix)? {
        Some(range) => (store.get_all_keys_with_key(&range)?, store.get_all_with_key(&range)?),
        None => (store.get_all_keys()?, store.get_all()?),
    };
    Ok((Box::pin(idb::result(&keys)), Box::pin(idb::result(&values))))
}

/// Writes one row as it is stored; `None` deletes it.
fn put(store: &IdbObjectStore, stored: &[u8], sealed: Option<&[u8]>) -> Result<(), JsError> {
    let stored = Uint8Array::from(stored);
    match sealed {
        Some(sealed) => store.put_with_key(&Uint8Array::from(sealed), &stored).map(drop)?,
        None => store.delete(&stored).map(drop)?,
    }
    Ok(())
}

/// The range of a blinded prefix; `None` for all keys.
fn range(prefix: &[u8]) -> Result<Option<IdbKeyRange>, JsError> {
    if prefix.is_empty() {
        return Ok(None);
    }
    let from = Uint8Array::from(prefix);
    let range = match after_prefix(prefix) {
        Some(after) => {
            IdbKeyRange::bound_with_lower_open_and_upper_open(&from, &Uint8Array::from(after.as_slice()), false, true)
        }
        None => IdbKeyRange::lower_bound(&from),
    };
    Ok(Some(range?))
}
