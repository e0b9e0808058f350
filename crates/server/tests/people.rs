//! Passwords, devices, revocation.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use ed25519_dalek::Signer as _;
use kit::*;
use parlour_proto::{
    device_list::{Action, DeviceList, Draft, Signer},
    frames::*,
    ids::*,
    opaque::{ClientLogin, ClientRegistration},
    problem::Code,
};
use parlour_server::{fresh_rng, net};

fn den() -> AppId {
    AppId::parse("den").unwrap()
}

async fn register(inbox: &mut Socket, handle: &str, password: &str) -> Result<Secret, Code> {
    let rng = &mut fresh_rng();
    let (state, message) = ClientRegistration::start(password, rng).unwrap();
    let request = Request::OpaqueRegister { app: den(), handle: handle.into(), message };
    let Answer::Opaque { message } = inbox.ask(request).await.map_err(|problem| problem.code)? else { panic!() };
    let message = state.finish(&message, rng).unwrap();
    let answer = inbox.ask(Request::OpaqueRegisterFinish { message }).await;
    let Ok(Answer::Ticket { ticket, exists: false }) = answer else { panic!("{answer:?}") };
    Ok(ticket)
}

async fn login(inbox: &mut Socket, handle: &str, password: &str) -> Result<Secret, Code> {
    let rng = &mut fresh_rng();
    let (state, message) = ClientLogin::start(password, rng).unwrap();
    let request = Request::OpaqueLogin { app: den(), handle: handle.into(), message };
    let answer = inbox.ask(request).await.map_err(|problem| problem.code)?;
    let Answer::Opaque { message } = answer else { panic!("{answer:?}") };
    let app = den();
    let Ok(message) = state.finish(&app, &message, rng) else { return Err(Code::NotAuthenticated) };
    match inbox.ask(Request::OpaqueLoginFinish { message }).await {
        Ok(Answer::Ticket { ticket, exists: true }) => Ok(ticket),
        Ok(other) => panic!("{other:?}"),
        Err(problem) => Err(problem.code),
    }
}

#[tokio::test]
async fn a_password_a_second_device_and_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let server = start(dir.path()).await;
    let mut inbox = Socket::open(server.addr, "/v1/inbox").await;
    let ticket = register(&mut inbox, "Ann.Smith", "correct horse").await.unwrap();
    let (root, first, second) = (key(), key(), key());
    let rng = &mut fresh_rng();
    let account = AccountId::random(rng);
    let (one, two) = (DeviceId::random(rng), DeviceId::random(rng));
    let public = |key: &ed25519_dalek::SigningKey| key.verifying_key().to_bytes();
    let add = |device, key, hpke| Action::Add { device, signing_key: public(key), hpke_key: [hpke; 32] };
    let links = vec![Draft::first(account, net::now(), add(one, &first, 9)).sign(&root)];
    let request = Request::Register { ticket, account, root_key: public(&root), links, device: one };
    assert!(matches!(inbox.ask(request).await, Ok(Answer::Registered(_))));

    let mut other = Socket::open(server.addr, "/v1/inbox").await;
    assert_eq!(register(&mut other, "ann.smith", "x").await, Err(Code::HandleTaken));
    assert_eq!(register(&mut other, "ann.srnith", "x").await, Err(Code::BadHandle), "looks the same");
    assert_eq!(login(&mut other, "ann.smith", "wrong").await, Err(Code::NotAuthenticated));
    assert_eq!(login(&mut other, "nobody.here", "wrong").await, Err(Code::NotAuthenticated));
    let ticket = login(&mut other, "ANN.smith", "correct horse").await.unwrap();
    let answer = other.ask(Request::AccountOfTicket { ticket: ticket.clone() }).await;
    let Ok(Answer::Account(view)) = answer else { panic!("{answer:?}") };
    let list = DeviceList::verify(account, &view.root_key, &view.links).unwrap();

    // A ticket alone authorises nothing: the link has to be signed by the root or a device.
    let draft = list.draft(net::now(), add(two, &second, 8), Signer::Root);
    let forged = Request::AddDevice { ticket: ticket.clone(), link: draft.sign(&second), device: two };
    assert_eq!(other.ask(forged).await.unwrap_err().code, Code::BadDeviceList);
    let link = draft.sign(&root);
    let request = Request::AddDevice { ticket: ticket.clone(), link: link.clone(), device: two };
    assert!(matches!(other.ask(request).await, Ok(Answer::Registered(_))));
    let mut third = Socket::open(server.addr, "/v1/inbox").await;
    let again = third.ask(Request::AddDevice { ticket, link: link.clone(), device: two }).await;
    assert_eq!(again.unwrap_err().code, Code::Expired, "one use");

    let mut list = list;
    list.append(link).unwrap();
    let revoke = list.draft(net::now(), Action::Remove { device: two }, Signer::Device(one)).sign(&first);
    assert_eq!(inbox.ask(Request::AppendDeviceList { link: revoke }).await, Ok(Answer::Done));
    assert_eq!(other.closed().await, Some(Code::NotADevice));
    let signature = second.sign(&sign_in_bytes(&third.nonce, &two)).to_bytes();
    let revoked = third.ask(Request::Authenticate { device: two, signature }).await;
    assert_eq!(revoked.unwrap_err().code, Code::NotADevice);
    server.stop().await;
}
