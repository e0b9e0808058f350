//! Backups: what is put is given back, page by page, to the account's own devices only; there is a measure, and an end.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use std::time::Duration;

use bytes::Bytes;
use ed25519_dalek::Signer as _;
use kit::*;
use parlour_proto::{
    frames::*,
    problem::{Code, Problem},
};
use parlour_server::retention::Kind;
use parlour_store::Store as _;

fn name(n: u16) -> [u8; 16] {
    let mut name = [7; 16];
    name[..2].copy_from_slice(&n.to_be_bytes());
    name
}

async fn put(person: &mut Person, n: u16, chunk: &[u8]) -> Result<Answer, Problem> {
    patiently(person, Request::PutBackup { name: name(n), chunk: Bytes::copy_from_slice(chunk) }).await
}

async fn drop_chunk(person: &mut Person, n: u16) -> Result<Answer, Problem> {
    patiently(person, Request::DropBackup { name: name(n) }).await
}

/// As fast as the server lets.
async fn patiently(person: &mut Person, request: Request) -> Result<Answer, Problem> {
    loop {
        match person.inbox.ask(request.clone()).await {
            Err(problem) if problem.code == Code::SlowDown => {
                tokio::time::sleep(Duration::from_millis(problem.retry_after_ms)).await;
            }
            other => return other,
        }
    }
}

/// Everything, and in how many pages.
async fn all(person: &mut Person) -> (Vec<([u8; 16], Bytes)>, usize) {
    let (mut all, mut pages) = (Vec::new(), 0);
    loop {
        let after = all.last().map(|(name, _): &([u8; 16], Bytes)| *name);
        match person.inbox.ask(Request::Backup { after }).await {
            Ok(Answer::Backup { chunks, more }) => {
                pages += 1;
                all.extend(chunks);
                if !more {
                    return (all, pages);
                }
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn chunks_are_kept_replaced_and_given_back_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ada = Person::sign_up(server.addr, "+4930000021").await;
    let mut ben = Person::sign_up(server.addr, "+4930000022").await;
    assert_eq!(all(&mut ada).await, (vec![], 1));
    for n in (0..70).rev() {
        assert_eq!(put(&mut ada, n, &[n as u8; 100]).await, Ok(Answer::Done));
    }
    put(&mut ada, 5, &vec![9; MAX_BACKUP_CHUNK_BYTES]).await.unwrap();
    drop_chunk(&mut ada, 6).await.unwrap();
    drop_chunk(&mut ada, 6).await.unwrap();
    let (chunks, pages) = all(&mut ada).await;
    assert_eq!((chunks.len(), pages), (69, 3));
    assert!(chunks.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(chunks[5], (name(5), vec![9; MAX_BACKUP_CHUNK_BYTES].into()));
    assert_eq!(all(&mut ben).await.0, vec![], "nobody else's");
    // A socket that is not signed in has none.
    let mut stranger = Socket::open(server.addr, "/v1/inbox").await;
    let refused = stranger.ask(Request::Backup { after: None }).await.unwrap_err();
    assert_eq!(refused.code, Code::OutOfPlace);
    server.stop().await;
}

#[tokio::test]
async fn a_backup_has_a_measure_and_goes_with_the_account() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut ada = Person::sign_up(server.addr, "+4930000023").await;
    for n in 0..2048 {
        put(&mut ada, n, b"canary of a backup").await.unwrap();
    }
    assert_eq!(put(&mut ada, 6000, b"one more").await.unwrap_err().code, Code::Full);
    put(&mut ada, 511, b"in the place of another").await.unwrap();
    drop_chunk(&mut ada, 0).await.unwrap();
    put(&mut ada, 6000, b"now there is room").await.unwrap();
    // Bytes have a measure, too.
    let large = vec![9; MAX_BACKUP_CHUNK_BYTES];
    let most = MAX_BACKUP_BYTES as usize / MAX_BACKUP_CHUNK_BYTES;
    let mut n = 1;
    while put(&mut ada, n, &large).await.is_ok() {
        n += 1;
    }
    assert!((most - 1..=most + 1).contains(&usize::from(n)), "{n} of {most}");
    put(&mut ada, n, b"a small one in its place").await.unwrap();
    let nonce = ada.inbox.nonce;
    let signature = ada.key.sign(&delete_account_bytes(&nonce, &ada.account.account)).to_bytes();
    patiently(&mut ada, Request::DeleteAccount { signature }).await.unwrap();
    server.stop().await;
    let store = sqlite(dir.path(), &parlour_store::SqliteOptions::default());
    for kind in [Kind::Backup, Kind::BackupCount] {
        let left = store.scan(kind.row(), None, 10).await.unwrap();
        assert!(left.rows.is_empty(), "{kind:?}");
    }
}
