//! How people and programs name an account: `handle@app`, `mimi://<app-domain>/u/<account>`, and invites.
//!
//! Here texts are taken apart and put together. Whether a handle is valid in its app is [`handle`](crate::handle)'s to say,
//! whether anybody is there the server's.

mod invite;

pub use invite::{Invite, InviteAt};

use crate::frames::{AppId, MAX_HANDLE_BYTES, SignIn};
use crate::handle::Handle;
use crate::ids::AccountId;
use std::fmt;

/// Longest name of a host, bytes (RFC 1035 §2.3.4).
const MAX_HOST_BYTES: usize = 253;

/// Why a text is no address or invite; the sentence can be shown to who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// No `@app` at its end.
    #[error("an address looks like name@app")]
    NoApp,
    /// The app's name is not one.
    #[error("after the last @ comes the app's name, in small letters")]
    BadApp,
    /// Nothing, or too much, before the `@app`.
    #[error("before the last @ comes a name, number or @handle")]
    BadHandle,
    /// Not `mimi://domain/u/account`.
    #[error("not a mimi: address of an account")]
    BadUri,
    /// Neither form of an invite.
    #[error("not an invite: it starts with parlour:invite/ or is a link that ends in /i#…")]
    BadInvite,
}

/// An account by its handle, as people write it: `ada@den`, `@ada@porch`, `+49 170 1234567@bell`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// As typed, without white space around it and without an `@` in front: not yet canonical.
    pub handle: String,
    /// The app.
    pub app: AppId,
}

impl Address {
    /// Takes an address apart at its last `@`.
    ///
    /// # Errors
    /// [`AddressError`], with what is wrong.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (handle, app) = text.trim().rsplit_once('@').ok_or(AddressError::NoApp)?;
        let handle = handle.trim();
        let handle = handle.strip_prefix('@').unwrap_or(handle);
        if handle.is_empty() && !text.trim().starts_with("@@") {
            // "@ada" alone: a handle without its app.
            return Err(AddressError::NoApp);
        }
        if handle.is_empty() || handle.len() > MAX_HANDLE_BYTES || handle.contains('@') {
            return Err(AddressError::BadHandle);
        }
        let app = AppId::parse(&app.trim().to_ascii_lowercase()).map_err(|_| AddressError::BadApp)?;
        Ok(Self { handle: handle.to_owned(), app })
    }

    /// The address of a canonical handle.
    pub fn of(handle: &Handle, app: &AppId) -> Self {
        Self { handle: handle.canonical().to_owned(), app: app.clone() }
    }

    /// As people of that app write it: with an @ in front where handles have one.
    pub fn display(&self, sign_in: SignIn) -> String {
        match sign_in {
            SignIn::AtHandle => format!("@{self}"),
            SignIn::Phone | SignIn::Username => self.to_string(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.handle, self.app)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address(~{:08x}@{})", crate::ids::log_tag(self.handle.as_bytes()), self.app)
    }
}

/// An account by its id, for programs: `mimi://<app-domain>/u/<32 hex digits>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MimiUri {
    /// Provider domain, in small letters.
    pub domain: String,
    /// The account there.
    pub account: AccountId,
}

impl MimiUri {
    /// Takes a URI apart.
    ///
    /// # Errors
    /// `BadUri`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let rest = strip_scheme(text.trim(), "mimi://").ok_or(AddressError::BadUri)?;
        let (domain, path) = rest.split_once('/').ok_or(AddressError::BadUri)?;
        let account = path.strip_prefix("u/").ok_or(AddressError::BadUri)?;
        let mut bytes = [0; AccountId::LEN];
        hex::decode_to_slice(account, &mut bytes).map_err(|_| AddressError::BadUri)?;
        if !is_authority(domain) {
            return Err(AddressError::BadUri);
        }
        Ok(Self { domain: domain.to_ascii_lowercase(), account: AccountId(bytes) })
    }
}

impl fmt::Display for MimiUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mimi://{}/u/{}", self.domain, hex::encode(self.account.0))
    }
}

/// The text after a scheme, whose letters may be of either case.
fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// A host name of letters, digits, dots and dashes, and a port after a colon.
fn is_authority(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "443"));
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    host.len() <= MAX_HOST_BYTES && host.split('.').all(label) && digits && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, handle, app) in [
            ("ada@den", "ada", "den"),
            (" @ada@porch ", "ada", "porch"),
            ("+49 170 1234567@bell", "+49 170 1234567", "bell"),
            ("ada @ DEN", "ada", "den"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.handle.as_str(), address.app.as_str()), (handle, app), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_the_reason() {
        for (text, why) in [
            ("", AddressError::NoApp),
            ("ada", AddressError::NoApp),
            ("@ada", AddressError::NoApp),
            ("@@den", AddressError::BadHandle),
            ("ada@", AddressError::BadApp),
            ("ada@den.example.org", AddressError::BadApp),
            ("a@b@den", AddressError::BadHandle),
        ] {
            assert_eq!(Address::parse(text), Err(why), "{text:?}");
        }
        assert_eq!(Address::parse(&format!("{}@den", "a".repeat(257))), Err(AddressError::BadHandle));
    }

    #[test]
    fn an_address_shows_the_at_where_the_app_uses_it() {
        let porch = AppId::parse("porch").unwrap();
        let address = Address::of(&Handle::parse(SignIn::AtHandle, "@Ada").unwrap(), &porch);
        assert_eq!(address.to_string(), "ada@porch");
        assert_eq!(address.display(SignIn::AtHandle), "@ada@porch");
        assert_eq!(Address::parse(&address.display(SignIn::AtHandle)).unwrap(), address);
    }

    #[test]
    fn logs_show_no_handle() {
        assert!(!format!("{:?}", Address::parse("canary@den").unwrap()).contains("canary"));
    }

    #[test]
    fn a_mimi_uri_reads_back() {
        let uri = MimiUri { domain: "bell.localhost:8480".into(), account: AccountId([0xab; 16]) };
        assert_eq!(uri.to_string(), "mimi://bell.localhost:8480/u/abababababababababababababababab");
        assert_eq!(MimiUri::parse(&uri.to_string()).unwrap(), uri);
        for wrong in
            ["mimi://d.example/r/ab", "mimi://d.example/u/ab", "http://d.example/u/", "mimi:///u/", "mimi://a b/u/"]
        {
            assert_eq!(MimiUri::parse(wrong), Err(AddressError::BadUri), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused(text in ".{0,80}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address);
            }
            let _ = MimiUri::parse(&text);
            let _ = Invite::parse(&text);
        }
    }
}
