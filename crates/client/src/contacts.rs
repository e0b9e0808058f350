//! Contacts: who somebody is, by root key and device list, and what keeps them reachable.
//!
//! The first root key seen for an account is pinned, with the device list. Later a list may only grow: a rollback, a fork
//! or another root key is refused, told to the user ([`Event::KeysChanged`]), and nothing of it is believed. (A fork that
//! the root itself signed is taken and told.) Chain of trust: root → list → device → leaf credential (DESIGN §4).
//!
//! **Where the first root key comes from.** Whoever claims key packages gets it from the server. Whoever is written to gets
//! it from the other side, inside the first message; the acceptance asks the server with the door token that came along
//! ([`crate::state::Chore::CheckPeer`]) whether it shows the same, before anything is answered.

use crate::api::{ConversationId, Event, Failure};
use crate::engine::Engine;
use crate::state::Contact;
use bytes::Bytes;
use parlour_e2ee::Member;
use parlour_proto::address::Address;
use parlour_proto::device_list::{DeviceList, Relation};
use parlour_proto::frames::{AccountRef, AppId, SignIn};
use parlour_proto::handle::Handle;
use parlour_proto::ids::{AccountId, DeviceId, Digest, Secret};
use rand_core::CryptoRngCore;

/// What a member's credential is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The device is on the pinned list and signed this leaf.
    Verified,
    /// Nothing is known of the account yet, or the device is not on the list that we have.
    Unknown,
    /// The device is known and did not sign this leaf, or the credential is not one.
    Wrong,
}

/// As `e2ee` names an account.
pub(crate) fn e2ee_account(account: &AccountRef) -> parlour_e2ee::AccountRef {
    parlour_e2ee::AccountRef { app: account.app.as_str().to_owned(), id: account.account.0 }
}

/// As the wire names an account.
pub(crate) fn proto_account(account: &parlour_e2ee::AccountRef) -> Option<AccountRef> {
    Some(AccountRef { app: AppId::parse(&account.app).ok()?, account: AccountId(account.id) })
}

/// An address in the one form that is compared, whatever way that app signs in.
pub(crate) fn address_key(address: &Address) -> String {
    let parse = |sign_in| Handle::parse(sign_in, &address.handle).ok();
    let handle = parse(SignIn::Phone).or_else(|| parse(SignIn::Username)).or_else(|| parse(SignIn::AtHandle));
    let handle = handle.map_or_else(|| address.handle.to_lowercase(), |handle| handle.canonical().to_owned());
    format!("{handle}@{}", address.app)
}

impl Contact {
    fn new(root: [u8; 32], links: Vec<Bytes>) -> Self {
        Contact {
            root,
            links,
            addresses: Vec::new(),
            name: None,
            picture: None,
            door: None,
            given: None,
            given_too: Vec::new(),
            befriended: false,
            blocked: false,
            verified: false,
            conversation: None,
            shared: None,
        }
    }
}

impl Engine {
    /// Believes a root key and device list, or refuses them against what is pinned.
    pub(crate) fn pin(&mut self, account: &AccountRef, root: &[u8; 32], links: &[Bytes]) -> Result<(), Failure> {
        let list = DeviceList::verify(account.account, root, links)
            .map_err(|error| Failure::Suspicious(format!("device list: {error}")))?;
        let Some(contact) = self.s.contacts.get(account) else {
            self.s.contacts.insert(account.clone(), Contact::new(*root, links.to_vec()));
            return Ok(());
        };
        if contact.root != *root {
            self.keys_changed(account);
            return Err(Failure::Suspicious("another root key than the one known for this account".into()));
        }
        let pinned = DeviceList::verify(account.account, root, &contact.links)
            .map_err(|error| Failure::Suspicious(format!("stored device list: {error}")))?;
        match list.relation(&pinned.pin()) {
            Relation::Same => Ok(()),
            relation @ (Relation::Extends | Relation::ForkByRoot) => {
                // A device may have gone.
                self.believed.clear();
                let gone = crate::leaves::gone(&pinned, &list);
                if let Some(contact) = self.s.contacts.get_mut(account) {
                    contact.links = links.to_vec();
                    contact.verified &= relation == Relation::Extends;
                }
                if relation == Relation::ForkByRoot {
                    self.keys_changed(account);
                }
                if !gone.is_empty() {
                    self.devices_gone(account, gone);
                }
                Ok(())
            }
            Relation::Rollback => Err(Failure::Suspicious("the device list lost changes".into())),
            Relation::Fork => {
                self.keys_changed(account);
                Err(Failure::Suspicious("the device list was forked".into()))
            }
        }
    }

    /// An older list than the pinned one is no reason to refuse what its devices say.
    pub(crate) fn pin_or_keep(
        &mut self,
        account: &AccountRef,
        root: &[u8; 32],
        links: &[Bytes],
    ) -> Result<(), Failure> {
        let known = self.s.contacts.get(account).filter(|contact| contact.root == *root);
        if known.is_some_and(|contact| contact.links.starts_with(links)) {
            return Ok(());
        }
        self.pin(account, root, links)
    }

    fn keys_changed(&mut self, account: &AccountRef) {
        let conversation = self.s.contacts.get(account).and_then(|contact| contact.conversation);
        if let Some(contact) = self.s.contacts.get_mut(account) {
            contact.verified = false;
        }
        if let Some(conversation) = conversation {
            self.tell(Event::KeysChanged { conversation, who: account.clone() });
        }
    }

    /// The signing key of a listed device, of a contact or of ourselves.
    pub(crate) fn device_signing_key(&self, account: &AccountRef, device: &DeviceId) -> Option<[u8; 32]> {
        let (root, links) = match self.me().filter(|me| me.account == *account) {
            Some(me) => (me.root, &me.links),
            None => self.s.contacts.get(account).map(|contact| (contact.root, &contact.links))?,
        };
        let list = DeviceList::verify(account.account, &root, links).ok()?;
        list.device(device).map(|device| device.signing_key)
    }

    /// What a member's credential is worth now.
    pub(crate) fn trust(&mut self, member: &Member) -> Trust {
        // The very same leaf with the very same credential need not be verified again while the lists stay.
        let shown = Digest::of(&[&member.credential.to_bytes()[..], &member.leaf_key()].concat());
        if self.believed.contains(&shown) {
            return Trust::Verified;
        }
        let Some(account) = proto_account(member.account()) else { return Trust::Wrong };
        match self.device_signing_key(&account, &DeviceId(member.device())) {
            None if self.was_removed(&account, &DeviceId(member.device())) => Trust::Wrong,
            None => Trust::Unknown,
            Some(key) if member.verify(&key).is_ok() => {
                self.believed.insert(shown);
                Trust::Verified
            }
            Some(_) => Trust::Wrong,
        }
    }

    /// The changes of an account's list, our own or a contact's.
    fn links_of(&self, account: &AccountRef) -> &[Bytes] {
        match self.me().filter(|me| me.account == *account) {
            Some(me) => &me.links,
            None => self.s.contacts.get(account).map_or(&[], |contact| &contact.links),
        }
    }

    /// Whether the pinned list ever took a device off.
    pub(crate) fn has_removed(&self, account: &AccountRef) -> bool {
        crate::leaves::removed(self.links_of(account)).next().is_some()
    }

    /// Whether the pinned list says that this device is gone.
    pub(crate) fn was_removed(&self, account: &AccountRef, device: &DeviceId) -> bool {
        crate::leaves::was_removed(self.links_of(account), device)
    }

    /// Whether a device signed this leaf that was on its account's list and is not any more.
    pub(crate) fn was_signed(&self, account: &AccountRef, member: &Member) -> bool {
        let device = DeviceId(member.device());
        let key = crate::leaves::key_of(self.links_of(account), &device);
        self.was_removed(account, &device) && key.is_some_and(|key| member.verify(&key).is_ok())
    }

    /// Whom this address named before.
    pub(crate) fn account_of_address(&self, address: &Address) -> Option<AccountRef> {
        let key = address_key(address);
        let mut found = self.s.contacts.iter().filter(|(_, contact)| contact.addresses.contains(&key));
        found.next().map(|(account, _)| account.clone())
    }

    /// The conversation of two with this account, if it is there.
    pub(crate) fn conversation_with(&self, account: &AccountRef) -> Option<ConversationId> {
        let conversation = self.s.contacts.get(account)?.conversation?;
        self.s.conversations.contains(&conversation).then_some(conversation)
    }

    /// The door token that this contact holds (or will), made when missing; the chore that must be done before it works.
    pub(crate) fn give_door(&mut self, account: &AccountRef, rng: &mut dyn CryptoRngCore) -> u64 {
        let Some(contact) = self.s.contacts.get_mut(account) else { return 0 };
        if contact.given.is_none() {
            let token = Secret::random(rng);
            let digest = token.digest();
            contact.given = Some(token);
            return self.s.add_chore(crate::state::Chore::PutDoor { digest });
        }
        0
    }

    /// Another door token in the place of those that this contact holds; `false` if they hold none. They are told by a hello.
    ///
    /// Who has not answered hears nothing of it, and could not answer without the one that came with the request: it is renewed then
    /// ([`crate::hearing`]).
    pub(crate) fn renew_door(&mut self, account: &AccountRef, rng: &mut dyn CryptoRngCore) -> bool {
        if self.conversation_with(account).is_some_and(|id| self.waits_for(id)) {
            return false;
        }
        let Some(contact) = self.s.contacts.get_mut(account).filter(|contact| contact.given.is_some()) else {
            return false;
        };
        let token = Secret::random(rng);
        let new = token.digest();
        let mut old = std::mem::take(&mut contact.given_too);
        old.extend(contact.given.replace(token));
        self.s.add_chore(crate::state::Chore::PutDoor { digest: new });
        for token in old {
            self.s.add_chore(crate::state::Chore::DropDoor { digest: token.digest() });
        }
        self.again = true;
        true
    }
}
