//! Where in the app one is, as the part of the address after `#`. It never reaches a server: an invite in it stays private.

use super::state::OWN;
use parlour_client::api::{ConversationId, IdentityId};

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Route {
    /// The conversation list.
    #[default]
    Chats,
    /// A conversation.
    Chat(ConversationId),
    /// Who is in it, and what can be done about it.
    About(ConversationId),
    /// Its safety number.
    Safety(ConversationId),
    /// Writing to somebody new; with the invite that led here.
    New(Option<String>),
    /// Making a group.
    Group,
    /// My invite, of one of the accounts.
    Invite(IdentityId),
    /// Requests.
    Requests,
    /// Who may contact me, at one of the accounts.
    Reach(IdentityId),
    /// Settings.
    Settings,
    /// The account's devices.
    Devices,
    /// The accounts that this app answers for.
    Accounts,
    /// The settings of one that is linked.
    Account(IdentityId),
    /// What the server holds of the account.
    Held,
    /// What one keeps beyond its time.
    Kept,
}

impl Route {
    /// Reads the part after `#`; anything unknown is the list.
    pub fn parse(hash: &str) -> Self {
        let path = hash.trim_start_matches('#').trim_start_matches('/');
        let (head, rest) = path.split_once('/').unwrap_or((path, ""));
        match head {
            "c" => Self::of_conversation(rest).unwrap_or_default(),
            "i" if !rest.is_empty() => Route::New(Some(rest.to_owned())),
            "new" => Route::New(None),
            "group" => Route::Group,
            "invite" => Self::of_account(Route::Invite, rest),
            "requests" => Route::Requests,
            "reach" => Self::of_account(Route::Reach, rest),
            "settings" => Route::Settings,
            "devices" => Route::Devices,
            "accounts" if rest.is_empty() => Route::Accounts,
            "accounts" => Self::of_account(Route::Account, rest),
            "held" => Route::Held,
            "kept" => Route::Kept,
            _ => Route::Chats,
        }
    }

    fn of_conversation(rest: &str) -> Option<Self> {
        let (id, page) = rest.split_once('/').unwrap_or((rest, ""));
        let id = conversation_from_hex(id)?;
        Some(match page {
            "about" => Route::About(id),
            "safety" => Route::Safety(id),
            _ => Route::Chat(id),
        })
    }

    /// This app's own account is not named.
    fn of_account(place: fn(IdentityId) -> Self, rest: &str) -> Self {
        if rest.is_empty() { place(OWN) } else { rest.parse().map(|id| place(IdentityId(id))).unwrap_or_default() }
    }

    /// As [`Route::parse`] reads it, with the `#`.
    pub fn hash(&self) -> String {
        match self {
            Route::Chats => "#/".to_owned(),
            Route::Chat(id) => format!("#/c/{}", conversation_hex(*id)),
            Route::About(id) => format!("#/c/{}/about", conversation_hex(*id)),
            Route::Safety(id) => format!("#/c/{}/safety", conversation_hex(*id)),
            Route::New(None) => "#/new".to_owned(),
            Route::New(Some(invite)) => format!("#/i/{invite}"),
            Route::Group => "#/group".to_owned(),
            Route::Invite(OWN) => "#/invite".to_owned(),
            Route::Invite(id) => format!("#/invite/{}", id.0),
            Route::Requests => "#/requests".to_owned(),
            Route::Reach(OWN) => "#/reach".to_owned(),
            Route::Reach(id) => format!("#/reach/{}", id.0),
            Route::Settings => "#/settings".to_owned(),
            Route::Devices => "#/devices".to_owned(),
            Route::Accounts => "#/accounts".to_owned(),
            Route::Account(id) => format!("#/accounts/{}", id.0),
            Route::Held => "#/held".to_owned(),
            Route::Kept => "#/kept".to_owned(),
        }
    }

    /// The conversation that is open in it.
    pub fn conversation(&self) -> Option<ConversationId> {
        match self {
            Route::Chat(id) | Route::About(id) | Route::Safety(id) => Some(*id),
            _ => None,
        }
    }

    /// The account that it is about.
    pub fn account(&self) -> IdentityId {
        match self {
            Route::Invite(id) | Route::Reach(id) | Route::Account(id) => *id,
            _ => OWN,
        }
    }

    /// Whether stepping out leads to the settings.
    pub fn is_in_settings(&self) -> bool {
        let parent = self.parent();
        parent == Route::Settings || (parent != Route::Chats && parent.is_in_settings())
    }

    /// One step out: what Escape and the back arrow lead to.
    pub fn parent(&self) -> Route {
        match self {
            Route::About(id) => Route::Chat(*id),
            Route::Safety(id) => Route::About(*id),
            Route::Group => Route::New(None),
            Route::Invite(id) | Route::Reach(id) if *id != OWN => Route::Account(*id),
            Route::Account(_) => Route::Accounts,
            Route::Devices | Route::Accounts | Route::Held | Route::Kept => Route::Settings,
            _ => Route::Chats,
        }
    }
}

/// A conversation's id as text, for addresses and notes.
pub fn conversation_hex(id: ConversationId) -> String {
    id_hex(&id.0)
}

/// The other way.
pub fn conversation_from_hex(text: &str) -> Option<ConversationId> {
    id_from_hex(text).map(ConversationId)
}

/// Any id as text.
pub fn id_hex(id: &[u8; 16]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The other way.
pub fn id_from_hex(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (byte, pair) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_an_address_that_leads_back_to_it() {
        let id = ConversationId([0xa7; 16]);
        let invite = Route::New(Some("bell/AbC-_9".to_owned()));
        let plain = [Route::Chats, Route::Group, Route::Requests, Route::Settings, Route::Accounts];
        let of_accounts = [OWN, IdentityId(2)].into_iter().flat_map(|id| [Route::Invite(id), Route::Reach(id)]);
        let of_accounts = of_accounts.chain([Route::Account(IdentityId(2))]);
        let of_one = [
            Route::Chat(id),
            Route::About(id),
            Route::Safety(id),
            Route::New(None),
            Route::Devices,
            Route::Held,
            Route::Kept,
            invite,
        ];
        for route in plain.into_iter().chain(of_one).chain(of_accounts) {
            assert_eq!(Route::parse(&route.hash()), route);
        }
    }

    #[test]
    fn nonsense_is_the_list() {
        for hash in ["", "#", "#/c/xyz", "#/c/", "#/ü", "#/c/éééééééééééééééé", "#/i/", "#/reach/x"] {
            assert_eq!(Route::parse(hash), Route::Chats, "{hash}");
        }
    }

    #[test]
    fn stepping_out_always_ends_at_the_list() {
        for mut route in [Route::Safety(ConversationId([1; 16])), Route::Reach(IdentityId(1))] {
            for _ in 0..4 {
                route = route.parent();
            }
            assert_eq!(route, Route::Chats);
        }
    }

    #[test]
    fn what_is_of_a_linked_account_is_in_the_settings() {
        let linked = IdentityId(1);
        for route in [Route::Reach(linked), Route::Invite(linked), Route::Account(linked), Route::Devices] {
            assert!(route.is_in_settings(), "{route:?}");
        }
        for route in [Route::Reach(OWN), Route::Invite(OWN), Route::Settings, Route::Chats, Route::New(None)] {
            assert!(!route.is_in_settings(), "{route:?}");
        }
    }
}
