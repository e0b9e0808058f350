//! Synthetic devices: real accounts on the phone app (codes from the development outbox), a device list signed by a
//! root key, sign-in by Ed25519. No MLS: nothing that they hold can encrypt, and the server cannot tell.

use crate::http;
use crate::socket::{Endpoint, Role, Ws, ask, connect};
use anyhow::{Context as _, Result, bail};
use ed25519_dalek::{Signer as _, SigningKey};
use parlour_proto::device_list::{Action, Draft};
use parlour_proto::frames::{Answer, AppId, Request, SignIn, sign_in_bytes};
use parlour_proto::ids::{AccountId, DeviceId, Secret};
use rand_core::{OsRng, RngCore as _};
use std::sync::atomic::{AtomicU32, Ordering};

/// How many sign up side by side on one thread.
const AT_ONCE: usize = 50;

/// What a device needs to sign in.
pub(crate) struct Device {
    id: DeviceId,
    key: SigningKey,
}

impl Device {
    /// Opens a signed-in inbox; rows follow on it.
    ///
    /// # Errors
    /// When the server refuses.
    pub(crate) fn sign_in(&self, to: &Endpoint) -> Result<Ws> {
        let (mut ws, nonce) = connect(to, Role::Inbox)?;
        let signature = self.key.sign(&sign_in_bytes(&nonce, &self.id)).to_bytes();
        match ask(&mut ws, Request::Authenticate { device: self.id, signature })? {
            Answer::SignedIn(_) => Ok(ws),
            other => bail!("signing in gave {other:?}"),
        }
    }
}

/// The first app of the deployment that signs in by phone.
///
/// # Errors
/// When there is none.
pub(crate) fn phone_app(to: &Endpoint) -> Result<AppId> {
    let (mut ws, _) = connect(to, Role::Inbox)?;
    let Answer::Apps(apps) = ask(&mut ws, Request::Apps)? else { bail!("no list of apps") };
    let app = apps.into_iter().find(|app| app.sign_in == SignIn::Phone).context("no app signs in by phone")?;
    Ok(app.app)
}

/// A phone number that nobody had before in this run (E.164).
pub(crate) fn fresh_number() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("+4915{:09}", 100_000_000 + NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Signs up `count` devices, a few at a time; each comes with its signed-in inbox.
///
/// # Errors
/// When the server refuses one.
pub(crate) fn sign_up(to: &Endpoint, app: &AppId, count: usize) -> Result<Vec<(Device, Ws)>> {
    let mut devices = Vec::with_capacity(count);
    while devices.len() < count {
        let batch = AT_ONCE.min(count - devices.len());
        devices.extend(sign_up_batch(to, app, batch)?);
    }
    Ok(devices)
}

/// As [`sign_up`], by `threads` threads, dropping the sockets.
///
/// # Errors
/// As [`sign_up`].
pub(crate) fn sign_up_many(to: &Endpoint, app: &AppId, count: usize, threads: usize) -> Result<Vec<Device>> {
    let share = count.div_ceil(threads);
    let work = &|thread: usize| {
        let mine = share.min(count.saturating_sub(thread * share));
        let mut devices = Vec::with_capacity(mine);
        while devices.len() < mine {
            let batch = sign_up_batch(to, app, AT_ONCE.min(mine - devices.len()))?;
            devices.extend(batch.into_iter().map(|(device, _)| device));
        }
        Ok(devices)
    };
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        let mut all = Vec::with_capacity(count);
        for handle in handles {
            let part: Result<Vec<Device>> = handle.join().map_err(|_| anyhow::anyhow!("a sign-up thread panicked"))?;
            all.extend(part?);
        }
        Ok(all)
    })
}

fn sign_up_batch(to: &Endpoint, app: &AppId, count: usize) -> Result<Vec<(Device, Ws)>> {
    let mut waiting = Vec::with_capacity(count);
    for _ in 0..count {
        let (mut ws, _) = connect(to, Role::Inbox)?;
        let handle = fresh_number();
        ask(&mut ws, Request::RequestCode { app: app.clone(), handle: handle.clone() })?;
        waiting.push((ws, handle));
    }
    let codes = codes(to)?;
    waiting
        .into_iter()
        .map(|(mut ws, handle)| {
            let code = codes.iter().rev().find(|(to, _)| *to == handle).context("no code in the outbox")?.1.clone();
            let proof = Request::ProveCode { app: app.clone(), handle, code };
            let Answer::Ticket { ticket, .. } = ask(&mut ws, proof)? else { bail!("no ticket") };
            let (device, register) = registration(ticket);
            match ask(&mut ws, register)? {
                Answer::Registered(_) => Ok((device, ws)),
                other => bail!("registering gave {other:?}"),
            }
        })
        .collect()
}

/// A new account with one device, its list signed by a root key that is then forgotten.
fn registration(ticket: Secret) -> (Device, Request) {
    let (root, key) = (SigningKey::generate(&mut OsRng), SigningKey::generate(&mut OsRng));
    let (account, id) = (AccountId::random(&mut OsRng), DeviceId::random(&mut OsRng));
    // Nothing is ever sealed for this device: any bytes do.
    let mut hpke_key = [0; 32];
    OsRng.fill_bytes(&mut hpke_key);
    let add = Action::Add { device: id, signing_key: key.verifying_key().to_bytes(), hpke_key };
    let link = Draft::first(account, parlour_shell::clock::now(), add).sign(&root);
    let root_key = root.verifying_key().to_bytes();
    (Device { id, key }, Request::Register { ticket, account, root_key, links: vec![link], device: id })
}

/// The code last sent to `handle`.
///
/// # Errors
/// When the development outbox does not answer or has none.
pub(crate) fn code_for(to: &Endpoint, handle: &str) -> Result<String> {
    let codes = codes(to)?;
    let found = codes.into_iter().rev().find(|(to, _)| to == handle);
    Ok(found.context("no code in the outbox")?.1)
}

fn codes(to: &Endpoint) -> Result<Vec<(String, String)>> {
    crate::config::parse_outbox(&http::get(to.addr, "/dev/outbox?format=json")?)
}
