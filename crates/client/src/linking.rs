//! Linking a device to an account: the one shows a code, the other was told it (DESIGN §4).
//!
//! | step | who | what goes over the relay |
//! |---|---|---|
//! | a relay is opened; its number and six digits of our own are the code | offers | - |
//! | the relay is joined | joins | its SPAKE2 message |
//! | keys are agreed on | offers | its own message; the app, sealed: it knows the code |
//! | that opens, so the code is right | joins | its new device's public keys and name, sealed |
//! | that opens, too; the user looks at the name and agrees | offers | - |
//! | a link by this device's key goes onto the account's list | offers | account and list, sealed |
//! | the list verifies and holds the new keys: the identity is stored | joins | - |
//!
//! What does not open is a wrong code: the relay is closed, the code is void, and whoever guessed has had their one guess.
//! Nothing secret goes this way ([`parlour_e2ee::Pairing`] says why): contacts, conversations and messages follow in the room
//! of own devices ([`crate::own`]).

use crate::api::{Event, Failure, IntentId, LinkEnd, Reply, Role, Showing};
use crate::devices::Change;
use crate::engine::{Engine, Purpose};
use crate::rows::codec::record;
use crate::rows::{decode, encode};
use crate::state::{Identity, OwnDevice, Stage};
use bytes::Bytes;
use parlour_e2ee::{DeviceKeys, Pairing, PairingKeys, Side};
use parlour_proto::content::clean_name;
use parlour_proto::device_list::{Action, DeviceList};
use parlour_proto::frames::{AccountRef, Answer, AppId, Request};
use parlour_proto::ids::{DeviceId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;
use std::collections::VecDeque;

/// So long a code is good, ms. (The server's relays live as long.)
const CODE_MS: u64 = 600_000;
/// The names under which things are sealed.
const OFFER: &str = "offer";
const DEVICE: &str = "device";
const LIST: &str = "list";
/// The longest name of a device, characters.
const MAX_NAME_CHARS: usize = 64;

record! {
    /// The offering side's answer.
    struct Offered {
        message: Bytes,
        /// The app.
        sealed: Bytes,
    }
}

record! {
    /// The device that is to be linked.
    struct NewDevice {
        device: DeviceId,
        signing_key: [u8; 32],
        hpke_key: [u8; 32],
        name: String,
    }
}

record! {
    /// The account that it belongs to from now on.
    struct Admitted {
        account: AccountRef,
        root: [u8; 32],
        links: Vec<Bytes>,
        handle: String,
        public_handle: bool,
    }
}

/// A code that this device shows.
pub(crate) struct Offer {
    secret: String,
    until: UnixMillis,
    step: Offering,
}

enum Offering {
    /// The relay is being opened.
    Opening(IntentId),
    /// The code can be seen.
    Shown,
    /// Somebody was answered; they have not shown that they know the code.
    Answered(PairingKeys),
    /// They know it.
    Asked(PairingKeys, NewDevice),
    /// The link is on its way to the list.
    Admitting(PairingKeys, NewDevice),
}

/// A code that was typed here.
pub(crate) struct Joining {
    intent: IntentId,
    name: String,
    slot: u32,
    secret: String,
    step: Step,
}

enum Step {
    Join,
    /// Our message is out.
    Greeting(Box<Pairing>),
    /// The other side's user is asked.
    Introduced(PairingKeys, DeviceId, Box<DeviceKeys>),
}

/// What is to go over the relay.
#[derive(Default)]
pub(crate) struct RelayOut {
    payloads: VecDeque<Bytes>,
    /// It is to be closed afterwards.
    over: bool,
}

impl Engine {
    // ---- the side that shows the code

    pub(crate) fn offer_link(&mut self, intent: IntentId, rng: &mut dyn CryptoRngCore) {
        if !self.signed_in {
            return self.done(intent, Err(Failure::Offline));
        }
        if let Some(Offer { step: Offering::Opening(other), .. }) = self.offer.take() {
            self.done(other, Err(Failure::BadInput("another code was asked for".into())));
        }
        self.relay = RelayOut::default();
        let secret = format!("{:06}", digits(rng));
        let until = self.now.plus_ms(CODE_MS);
        self.offer = Some(Offer { secret, until, step: Offering::Opening(intent) });
        self.again = true;
    }

    pub(crate) fn on_relay_opened(&mut self, result: Result<Answer, Problem>) {
        let Some(offer) = &mut self.offer else { return };
        let Offering::Opening(intent) = offer.step else { return };
        match result {
            Ok(Answer::Relay { slot }) => {
                offer.step = Offering::Shown;
                let (all, until) = (format!("{slot:06}{}", offer.secret), offer.until);
                let Some(app) = self.me().map(|me| me.account.app.clone()) else { return };
                let code = all.as_bytes().chunks(3).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ");
                self.done(intent, Ok(Reply::LinkCode { code, scan: format!("parlour:link/{app}/{all}"), until }));
            }
            Ok(_) => self.end_offer(LinkEnd::Gone),
            Err(problem) => {
                self.offer = None;
                self.done(intent, Err(Failure::Refused(problem)));
            }
        }
    }

    fn hear_joining(&mut self, payload: &Bytes, rng: &mut dyn CryptoRngCore) {
        let Some(app) = self.me().map(|me| me.account.app.clone()) else { return };
        let Some(mut offer) = self.offer.take() else { return };
        let heard = match offer.step {
            Offering::Shown => {
                let (pairing, message) = Pairing::start(Side::Offers, &offer.secret, rng);
                pairing.finish(payload).ok().map(|keys| {
                    let sealed = keys.seal(OFFER, app.as_str().as_bytes(), rng).into();
                    self.relay.payloads.push_back(encode(&Offered { message: message.into(), sealed }).into());
                    Offering::Answered(keys)
                })
            }
            Offering::Answered(keys) => {
                let opened = keys.open(DEVICE, payload).ok().and_then(|device| decode::<NewDevice>(&device).ok());
                opened.map(|device| {
                    let device = NewDevice { name: device_name(&device.name), ..device };
                    self.tell(Event::LinkAsked { name: device.name.clone() });
                    Offering::Asked(keys, device)
                })
            }
            step => Some(step),
        };
        self.again = true;
        match heard {
            Some(step) => {
                offer.step = step;
                self.offer = Some(offer);
            }
            None => self.end_offer(LinkEnd::WrongCode),
        }
    }

    pub(crate) fn confirm_link(&mut self, intent: IntentId, yes: bool) {
        match self.offer.take() {
            Some(Offer { step: Offering::Asked(keys, device), secret, until }) if yes => {
                let (id, signing_key, hpke_key) = (device.device, device.signing_key, device.hpke_key);
                self.offer = Some(Offer { secret, until, step: Offering::Admitting(keys, device) });
                let action = Action::Add { device: id, signing_key, hpke_key };
                self.change_list(Some(intent), Change { action, links: true });
            }
            Some(Offer { step: Offering::Asked(..), .. }) => {
                self.relay.over = true;
                self.done(intent, Ok(Reply::Ok));
            }
            offer => {
                self.offer = offer;
                self.done(intent, Err(Failure::NotFound("device that asks to be linked")));
            }
        }
        self.again = true;
    }

    /// The new device is on the list: it is told, if it is still there.
    pub(crate) fn admitted(&mut self, device: &DeviceId, rng: &mut dyn CryptoRngCore) -> bool {
        let Some(Offer { step: Offering::Admitting(keys, new), .. }) = self.offer.take() else { return false };
        let Some(me) = self.me().filter(|_| new.device == *device) else { return false };
        let admitted = Admitted {
            account: me.account.clone(),
            root: me.root,
            links: me.links.clone(),
            handle: me.handle.clone(),
            public_handle: me.public_handle,
        };
        self.relay.payloads.push_back(keys.seal(LIST, &encode(&admitted), rng).into());
        self.relay.over = true;
        self.s.devices.insert(new.device, OwnDevice { name: new.name, mine: true, ..OwnDevice::unknown() });
        self.again = true;
        true
    }

    pub(crate) fn cancel_link(&mut self, intent: IntentId) {
        self.drop_offer();
        self.fail_joining(Failure::BadInput("it was given up here".into()));
        self.done(intent, Ok(Reply::Ok));
    }

    pub(crate) fn drop_offer(&mut self) {
        if let Some(offer) = self.offer.take() {
            if let Offering::Opening(intent) = offer.step {
                self.done(intent, Err(Failure::BadInput("the code was taken back".into())));
            }
            self.relay = RelayOut { over: true, ..RelayOut::default() };
            self.again = true;
        }
    }

    fn end_offer(&mut self, why: LinkEnd) {
        self.drop_offer();
        // What was shown is void in either case.
        self.relay = RelayOut { over: true, ..RelayOut::default() };
        self.tell(Event::LinkEnded { why });
        self.again = true;
    }

    // ---- the side that was told it

    pub(crate) fn join_link(&mut self, intent: IntentId, code: &str, name: &str) {
        if self.s.identity.contains(&()) || self.sign_up.is_some() || self.joining.is_some() {
            return self.done(intent, Err(Failure::AlreadySignedIn));
        }
        let Some((slot, secret)) = read_code(code) else {
            return self.done(intent, Err(Failure::BadInput("a code to link a device has 12 digits".into())));
        };
        self.relay = RelayOut::default();
        self.joining = Some(Joining { intent, name: device_name(name), slot, secret, step: Step::Join });
        self.again = true;
    }

    pub(crate) fn on_relay_joined(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        let Some(joining) = &mut self.joining else { return };
        match result {
            Ok(_) => {
                let (pairing, message) = Pairing::start(Side::Joins, &joining.secret, rng);
                joining.step = Step::Greeting(Box::new(pairing));
                self.relay.payloads.push_back(message.into());
                self.again = true;
            }
            Err(problem) if problem.code == Code::Expired => self.fail_joining(wrong_code()),
            Err(problem) => self.fail_joining(Failure::Refused(problem)),
        }
    }

    fn hear_offering(&mut self, payload: &Bytes, rng: &mut dyn CryptoRngCore) {
        let Some(mut joining) = self.joining.take() else { return };
        let (app, keys) = match joining.step {
            Step::Greeting(pairing) => match greeted(*pairing, payload) {
                Some(agreed) => agreed,
                None => {
                    self.joining = Some(Joining { step: Step::Join, ..joining });
                    return self.fail_joining(wrong_code());
                }
            },
            Step::Introduced(keys, device, device_keys) => {
                let admitted = keys.open(LIST, payload).ok().and_then(|list| decode::<Admitted>(&list).ok());
                return match admitted {
                    Some(admitted) => self.link_to(joining.intent, joining.name, admitted, device, &device_keys),
                    None => {
                        let why = Failure::Suspicious("the other device's answer does not fit".into());
                        self.done(joining.intent, Err(why));
                    }
                };
            }
            Step::Join => return,
        };
        tracing::debug!(%app, "a device is being linked");
        let device_keys = DeviceKeys::generate(rng);
        let device = DeviceId::random(rng);
        let new = NewDevice {
            device,
            signing_key: device_keys.signing_public(),
            hpke_key: device_keys.hpke_public(),
            name: joining.name.clone(),
        };
        self.relay.payloads.push_back(keys.seal(DEVICE, &encode(&new), rng).into());
        joining.step = Step::Introduced(keys, device, Box::new(device_keys));
        self.tell(Event::Progress {
            intent: joining.intent,
            step: "confirm on the other device".into(),
            done: 0,
            of: 0,
        });
        self.joining = Some(joining);
        self.again = true;
    }

    fn link_to(
        &mut self,
        intent: IntentId,
        device_name: String,
        admitted: Admitted,
        device: DeviceId,
        keys: &DeviceKeys,
    ) {
        let list = DeviceList::verify(admitted.account.account, &admitted.root, &admitted.links);
        let listed = list
            .ok()
            .and_then(|list| list.device(&device).copied())
            .filter(|listed| listed.signing_key == keys.signing_public() && listed.hpke_key == keys.hpke_public());
        if listed.is_none() {
            let why = Failure::Suspicious("this device is not on the account's list".into());
            return self.done(intent, Err(why));
        }
        let account = admitted.account.clone();
        let identity = Identity {
            stage: Stage::Live,
            account: admitted.account,
            device,
            keys: keys.to_bytes(),
            root: admitted.root,
            public_handle: admitted.public_handle,
            handle: admitted.handle,
            name: String::new(),
            picture: None,
            profile: 0,
            links: admitted.links,
            delivered_reports: true,
            read_reports: true,
            typing_reports: true,
            last_resort_made: UnixMillis(0),
            restored: UnixMillis(0),
            lost_since: UnixMillis(0),
            showing_untold: Vec::new(),
            incarnation: 0,
            device_name,
            seen_told: UnixMillis(0),
            own: None,
            showing: Showing::default(),
        };
        let address = crate::identity::address(&identity);
        self.s.identity.insert((), identity);
        self.new_on_the_list();
        self.done(intent, Ok(Reply::Linked { account, address }));
        self.again = true;
    }

    pub(crate) fn fail_joining(&mut self, failure: Failure) {
        if let Some(joining) = self.joining.take() {
            self.relay = RelayOut { over: true, ..RelayOut::default() };
            self.done(joining.intent, Err(failure));
            self.again = true;
        }
    }

    // ---- the relay

    pub(crate) fn settle_relay(&mut self) {
        if let Some(offer) = &self.offer {
            let (until, asks) = (offer.until, matches!(offer.step, Offering::Opening(_)));
            if self.now >= until {
                return self.end_offer(LinkEnd::Expired);
            }
            self.wake_at(until);
            if asks {
                self.ask(Role::Inbox, Purpose::OpenRelay, || Request::OpenRelay);
            }
        }
        if let Some(Joining { slot, step: Step::Join, .. }) = &self.joining {
            let slot = *slot;
            self.ask(Role::Inbox, Purpose::JoinRelay, || Request::JoinRelay { slot });
        }
        if let Some(payload) = self.relay.payloads.front().cloned() {
            self.ask(Role::Inbox, Purpose::Relay, || Request::Relay { payload });
        } else if self.relay.over && self.ask(Role::Inbox, Purpose::CloseRelay, || Request::CloseRelay) {
            self.relay.over = false;
        }
    }

    pub(crate) fn on_relay_sent(&mut self, result: Result<Answer, Problem>) {
        self.relay.payloads.pop_front();
        self.again = true;
        if result.is_err() {
            self.on_relay_closed();
        }
    }

    pub(crate) fn on_relay(&mut self, payload: &Bytes, rng: &mut dyn CryptoRngCore) {
        if self.joining.is_some() {
            self.hear_offering(payload, rng);
        } else {
            self.hear_joining(payload, rng);
        }
    }

    /// The other side has gone, or the time is over.
    pub(crate) fn on_relay_closed(&mut self) {
        match self.joining.as_ref().map(|joining| &joining.step) {
            Some(Step::Introduced(..)) => {
                self.fail_joining(Failure::BadInput("the other device did not agree; try with a new code".into()));
            }
            Some(_) => self.fail_joining(wrong_code()),
            None => {}
        }
        match self.offer.as_ref().map(|offer| &offer.step) {
            // Who gives up at this point has seen that the codes differ.
            Some(Offering::Answered(_)) => self.end_offer(LinkEnd::WrongCode),
            Some(Offering::Shown | Offering::Asked(..)) => self.end_offer(LinkEnd::Gone),
            Some(Offering::Opening(_) | Offering::Admitting(..)) | None => {}
        }
    }

    /// The socket is gone, and the relay with it.
    pub(crate) fn relay_lost(&mut self) {
        self.relay = RelayOut::default();
        self.fail_joining(Failure::Offline);
        match self.offer.take() {
            Some(Offer { step: Offering::Opening(intent), .. }) => self.done(intent, Err(Failure::Offline)),
            Some(_) => self.tell(Event::LinkEnded { why: LinkEnd::Expired }),
            None => {}
        }
    }
}

fn greeted(pairing: Pairing, payload: &[u8]) -> Option<(AppId, PairingKeys)> {
    let offered: Offered = decode(payload).ok()?;
    let keys = pairing.finish(&offered.message).ok()?;
    let app = keys.open(OFFER, &offered.sealed).ok()?;
    Some((AppId::parse(std::str::from_utf8(&app).ok()?).ok()?, keys))
}

fn wrong_code() -> Failure {
    Failure::BadInput("this code is wrong or too old: let the other device show a new one".into())
}

pub(crate) fn device_name(name: &str) -> String {
    let name = clean_name(name).unwrap_or_else(|| "a device".to_owned());
    name.chars().take(MAX_NAME_CHARS).collect()
}

/// Twelve digits, however they are grouped, alone or at the end of what was scanned: the relay's number and the secret.
fn read_code(text: &str) -> Option<(u32, String)> {
    let code = text.trim().rsplit(['/', '#']).next()?;
    let digits: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    let fits = digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let (slot, secret) = digits.split_at_checked(6).filter(|_| fits)?;
    Some((slot.parse().ok()?, secret.to_owned()))
}

/// A number of six digits, all alike likely.
fn digits(rng: &mut dyn CryptoRngCore) -> u32 {
    loop {
        let drawn = rng.next_u32();
        if drawn < 4_294_000_000 {
            return drawn % 1_000_000;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_as_people_write_it() {
        let code = Some((482_719, "356021".to_owned()));
        for text in ["482 719 356 021", "482719356021", " 482-719-356-021 ", "parlour:link/bell/482719356021"] {
            assert_eq!(read_code(text), code, "{text}");
        }
        assert_eq!(read_code("https://bell.example.org/l#482719356021"), code);
        assert_eq!(read_code("000 000 000 001"), Some((0, "000001".to_owned())));
        for text in
            ["", "482 719 356 02", "482 719 356 0211", "482 719 356 02x", "parlour:link/bell/", "４８２719356021"]
        {
            assert_eq!(read_code(text), None, "{text}");
        }
    }
}
