//! The account of this home: signing in, being signed out, deleting it.

use crate::api::{ConversationId, Event, Failure, Identity, IntentId, Reply, Reports, Role};
use crate::engine::{Engine, Purpose};
use crate::rows::{LAZY, prefixes};
use crate::signing;
use crate::state::{Identity as Stored, Saying, Stage};
use parlour_proto::address::Address;
use parlour_proto::frames::{AccountRef, Answer, Request, SignedIn, delete_account_bytes};
use parlour_proto::ids::{DeviceId, UnixMillis};
use parlour_proto::problem::{Code, Problem};
use rand_core::CryptoRngCore;

/// How long a deletion waits for the rooms to be told.
const FAREWELL_MS: u64 = 10_000;

/// A deletion under way: rooms are told first.
#[derive(Debug)]
pub(crate) struct Deleting {
    intent: IntentId,
    until: UnixMillis,
}

/// `handle@app`, as people write it.
pub(crate) fn address(identity: &Stored) -> String {
    format!("{}@{}", identity.handle, identity.account.app)
}

impl Engine {
    pub(crate) fn who_am_i(&self) -> Vec<Identity> {
        let identity = self.me().map(|me| Identity {
            id: self.identity_id(),
            account: me.account.clone(),
            address: address(me),
            name: me.name.clone(),
            showing: me.showing,
            reports: Reports { delivered: me.delivered_reports, read: me.read_reports, typing: me.typing_reports },
        });
        identity.into_iter().collect()
    }

    /// Whether there is an account here, in whatever state.
    pub(crate) fn is_taken(&self) -> bool {
        self.s.identity.contains(&())
    }

    /// Whether there is an account here that can be used.
    pub(crate) fn is_live(&self) -> bool {
        self.me().is_some()
    }

    pub(crate) fn is_account(&self, account: &AccountRef) -> bool {
        self.me().is_some_and(|me| me.account == *account)
    }

    pub(crate) fn account(&self) -> Option<&AccountRef> {
        self.me().map(|me| &me.account)
    }

    pub(crate) fn this_device(&self) -> Option<DeviceId> {
        self.me().map(|me| me.device)
    }

    /// Whether it is a device of this account.
    pub(crate) fn lists(&self, device: &DeviceId) -> bool {
        self.s.devices.contains(device) || self.this_device() == Some(*device)
    }

    pub(crate) fn has_conversation(&self, id: &ConversationId) -> bool {
        self.s.conversations.contains(id)
    }

    /// Whether there is a conversation with this address.
    pub(crate) fn talks_with(&self, address: &str) -> bool {
        let account = Address::parse(address).ok().and_then(|address| self.account_of_address(&address));
        account.is_some_and(|account| self.conversation_with(&account).is_some())
    }

    /// Whether somebody is this account or one of its contacts.
    pub(crate) fn knows(&self, account: &AccountRef) -> bool {
        self.is_account(account) || self.s.contacts.contains(account)
    }

    pub(crate) fn on_authenticated(&mut self, result: Result<Answer, Problem>, rng: &mut dyn CryptoRngCore) {
        match result {
            Ok(Answer::SignedIn(signed_in)) => {
                let ours = self.s.identity.get(&()).is_some_and(|identity| identity.account == signed_in.account);
                if ours {
                    self.on_registered(&signed_in);
                } else {
                    self.sign_out("the server signed us in as somebody else");
                }
            }
            Ok(_) => self.give_up(Role::Inbox, rng),
            Err(problem) if matches!(problem.code, Code::NotADevice | Code::NotAuthenticated) => {
                let registering = self
                    .s
                    .identity
                    .get(&())
                    .is_some_and(|identity| matches!(identity.stage, Stage::Registering { .. }));
                if registering {
                    self.registration_refused();
                } else {
                    self.sign_out(&problem.detail);
                }
            }
            Err(_) => self.give_up(Role::Inbox, rng),
        }
    }

    /// The socket is signed in, by whatever way.
    pub(crate) fn on_registered(&mut self, signed_in: &SignedIn) {
        self.server_ahead = i128::from(signed_in.time.0) - i128::from(self.now.0);
        self.registration_proven();
        self.signed_in = true;
        self.inbox.proven();
        if self.is_live() {
            self.note_incarnation(signed_in);
        }
        self.check_packages(&signed_in.newest);
        self.on_pools(signed_in.door, signed_in.stranger, signed_in.last_resort_used);
        self.list_is_at(signed_in.list);
        self.again = true;
    }

    pub(crate) fn on_closing(&mut self, problem: Problem) {
        if matches!(problem.code, Code::NotADevice) && self.deleting.is_none() {
            self.sign_out(&problem.detail);
        }
    }

    pub(crate) fn sign_out(&mut self, why: &str) {
        if let Some(identity) = self.s.identity.get_mut(&()) {
            identity.stage = Stage::Gone { why: why.to_owned() };
        }
        self.wanted = false;
        self.signed_in = false;
        let identity = self.identity_id();
        self.tell(Event::SignedOut { identity, why: why.to_owned() });
        self.fail_network_intents(&Failure::NotSignedIn);
        self.again = true;
    }

    pub(crate) fn start_deleting(&mut self, intent: IntentId, rng: &mut dyn CryptoRngCore) {
        if self.me().is_none() {
            return self.done(intent, Err(Failure::NotSignedIn));
        }
        self.wanted = true;
        for room in self.s.rooms.keys() {
            let live = self.s.rooms.get(&room).filter(|r| r.usable() && !r.asked_here && r.open_there);
            let live = live.filter(|_| !self.is_own_room(&room));
            if let Some(conversation) = live.map(|r| r.conversation) {
                self.say(conversation, Saying::Leave, Some(room), 0, rng);
            }
        }
        self.deleting = Some(Deleting { intent, until: self.now.plus_ms(FAREWELL_MS) });
    }

    /// Deletes once the rooms know, or waited long enough.
    pub(crate) fn settle_deleting(&mut self) {
        let Some(deleting) = &self.deleting else { return };
        let until = deleting.until;
        let telling = self.s.outgoing.iter().any(|(_, item)| matches!(item.saying, Saying::Leave) && !item.accepted);
        if telling && self.now < until {
            return self.wake_at(until);
        }
        let Some(me) = self.me() else { return };
        let (keys, account) = (me.keys.clone(), me.account.account);
        let Some(key) = signing::device_key(&keys) else { return };
        let signature = signing::sign(&key, &delete_account_bytes(&self.inbox.nonce, &account));
        self.ask(Role::Inbox, Purpose::DeleteAccount, || Request::DeleteAccount { signature });
    }

    pub(crate) fn on_deleted(&mut self, result: Result<Answer, Problem>) {
        let Some(deleting) = self.deleting.take() else { return };
        match result {
            Ok(_) => {
                self.wanted = false;
                self.s.clear();
                self.forget_round();
                self.s.identity.remove(&());
                self.groups.clear();
                self.package_rows.clear();
                self.mailbox.clear();
                for prefix in prefixes(self.s.number, &[LAZY]) {
                    self.wipe(prefix);
                }
                self.done(deleting.intent, Ok(Reply::Ok));
            }
            Err(problem) => self.done(deleting.intent, Err(Failure::Refused(problem))),
        }
    }
}
