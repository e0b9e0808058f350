//! IndexedDB's requests and transactions as futures.

use crate::js::{self, JsError};
use js_sys::{Array, Object, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{IdbDatabase, IdbFactory, IdbRequest, IdbTransaction, WorkerGlobalScope};

/// Sealed rows, by blinded key.
pub(super) const ROWS: &str = "rows";
/// The profile's key and the page key, wrapped, and what wraps each.
pub(super) const KEYS: &str = "keys";

const NAME: &str = "parlour";
const VERSION: u32 = 1;

/// Waits for a request's result. The promise must be made before control goes back to the browser.
pub(super) fn result(request: &IdbRequest) -> impl Future<Output = Result<JsValue, JsError>> + use<> {
    let promise = Promise::new(&mut |resolve, reject| {
        request.set_onsuccess(Some(&resolve));
        request.set_onerror(Some(&reject));
    });
    let request = request.clone();
    async move {
        JsFuture::from(promise).await?;
        Ok(request.result()?)
    }
}

/// Waits until a transaction is complete: with strict durability, until it is on the disk.
pub(super) fn completion(transaction: &IdbTransaction) -> impl Future<Output = Result<(), JsError>> + use<> {
    let promise = Promise::new(&mut |resolve, reject| {
        transaction.set_oncomplete(Some(&resolve));
        transaction.set_onabort(Some(&reject));
        transaction.set_onerror(Some(&reject));
    });
    let transaction = transaction.clone();
    async move {
        match JsFuture::from(promise).await {
            Ok(_) => Ok(()),
            Err(event) => Err(transaction.error().map_or_else(|| event.into(), |error| JsValue::from(error).into())),
        }
    }
}

/// Begins a transaction that only reads.
pub(super) fn reading(database: &IdbDatabase, store: &str) -> Result<IdbTransaction, JsError> {
    Ok(database.transaction_with_str(store)?)
}

/// Begins a transaction over some stores that is on the disk when it is complete.
pub(super) fn writing(database: &IdbDatabase, stores: &[&str]) -> Result<IdbTransaction, JsError> {
    let stores: JsValue = stores.iter().map(|store| JsValue::from_str(store)).collect::<Array>().into();
    let options = Object::new();
    Reflect::set(&options, &"durability".into(), &"strict".into())?;
    let transaction = js::call(database, "transaction", &[&stores, &"readwrite".into(), &options])?;
    Ok(transaction.unchecked_into())
}

/// Ends a transaction: without this the browser first waits for control to come back before it begins to write.
pub(super) fn commit(transaction: &IdbTransaction) -> Result<(), JsError> {
    js::call(transaction, "commit", &[]).map(drop)
}

/// Opens the database, making it on the first visit.
pub(super) async fn open() -> Result<IdbDatabase, JsError> {
    let request = factory()?.open_with_u32(NAME, VERSION)?;
    let upgraded = request.clone();
    let upgrade = Closure::once_into_js(move |_: JsValue| {
        let made = upgraded.result().ok().and_then(|database| database.dyn_into::<IdbDatabase>().ok());
        let made = made.map(|database| (database.create_object_store(ROWS), database.create_object_store(KEYS)));
        if !matches!(made, Some((Ok(_), Ok(_)))) {
            web_sys::console::error_1(&"the database could not be laid out".into());
        }
    });
    request.set_onupgradeneeded(upgrade.dyn_ref());
    result(&request).await?.dyn_into().map_err(JsError::from)
}

/// Deletes the database with all in it. Whoever has it open must close it first.
pub(super) async fn delete() -> Result<(), JsError> {
    let request = factory()?.delete_database(NAME)?;
    result(&request).await.map(drop)
}

fn factory() -> Result<IdbFactory, JsError> {
    let scope: WorkerGlobalScope = js_sys::global().unchecked_into();
    scope.indexed_db()?.ok_or_else(|| JsError("this browser has no IndexedDB here".to_owned()))
}
