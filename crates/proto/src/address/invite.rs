//! Invites as text: `parlour:invite/<app>/<token>`, or as a link that a browser opens, `https://<app-domain>/i#<token>`.
//! The token is base64url without padding; in a link it is behind the `#`, so that no server sees it when the link is opened.
//!
//! A link to a group has a second secret behind a dot: `…<token>.<secret>`, of the same form. It is for the account that the
//! token reaches, inside an encrypted message.

use super::{AddressError, is_authority, strip_scheme};
use crate::frames::AppId;
use crate::ids::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Between the token and a group's secret; not a character of either.
const GROUP: char = '.';

/// Where an invite leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InviteAt {
    /// To an app by its short name.
    App(AppId),
    /// To an app by its domain, which `AppInfo` tells.
    Link {
        /// `https` or `http`.
        scheme: &'static str,
        /// Domain in small letters, with a port if it has one.
        domain: String,
    },
}

/// An invite: whoever holds it may ask that account, without knowing any handle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where.
    pub at: InviteAt,
    /// The token; the server knows its digest.
    pub token: Secret,
    /// To a group of theirs: a secret that no server learns. Of a link only browsers get it, too: it is in the fragment.
    pub group: Option<Secret>,
}

impl Invite {
    /// Reads either form.
    ///
    /// # Errors
    /// `BadInvite`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text.trim();
        parse_short(text).or_else(|| parse_link(text)).ok_or(AddressError::BadInvite)
    }

    /// As text. Whoever reads it holds the invite: not for logs.
    pub fn to_text(&self) -> String {
        let group = self.group.iter().map(|secret| format!("{GROUP}{}", URL_SAFE_NO_PAD.encode(secret.0)));
        let token = URL_SAFE_NO_PAD.encode(self.token.0) + &group.collect::<String>();
        match &self.at {
            InviteAt::App(app) => format!("parlour:invite/{app}/{token}"),
            InviteAt::Link { scheme, domain } => format!("{scheme}://{domain}/i#{token}"),
        }
    }
}

fn parse_short(text: &str) -> Option<Invite> {
    let (app, token) = strip_scheme(text, "parlour:invite/")?.split_once('/')?;
    let (token, group) = parse_secrets(token)?;
    Some(Invite { at: InviteAt::App(AppId::parse(app).ok()?), token, group })
}

fn parse_link(text: &str) -> Option<Invite> {
    let (scheme, rest) = ["https", "http"]
        .into_iter()
        .find_map(|scheme| Some((scheme, strip_scheme(text, scheme)?.strip_prefix("://")?)))?;
    let (domain, rest) = rest.split_once('/')?;
    let (token, group) = parse_secrets(rest.strip_prefix("i#")?)?;
    let domain = is_authority(domain).then(|| domain.to_ascii_lowercase())?;
    Some(Invite { at: InviteAt::Link { scheme, domain }, token, group })
}

fn parse_secrets(text: &str) -> Option<(Secret, Option<Secret>)> {
    match text.split_once(GROUP) {
        Some((token, group)) => Some((parse_secret(token)?, Some(parse_secret(group)?))),
        None => Some((parse_secret(text)?, None)),
    }
}

fn parse_secret(text: &str) -> Option<Secret> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    Secret::try_from(bytes.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_read_back() {
        let token = Secret([0xfb; 32]);
        for at in [
            InviteAt::App(AppId::parse("den").unwrap()),
            InviteAt::Link { scheme: "https", domain: "den.example.org".into() },
            InviteAt::Link { scheme: "http", domain: "den.localhost:8480".into() },
        ] {
            for group in [None, Some(Secret([0xfa; 32]))] {
                let invite = Invite { at: at.clone(), token: token.clone(), group };
                assert_eq!(Invite::parse(&invite.to_text()).unwrap(), invite);
            }
        }
        let invite = Invite { at: InviteAt::App(AppId::parse("den").unwrap()), token, group: None };
        assert_eq!(invite.to_text(), "parlour:invite/den/-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s");
    }

    #[test]
    fn what_is_no_invite_is_refused() {
        for text in [
            "",
            "parlour:invite/den/",
            "parlour:invite/den/AAAA",
            "parlour:invite/DEN/-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
            "https://den.example.org/i",
            "https://den.example.org/x#-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
            "ftp://den.example.org/i#-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
            "parlour:invite/den/-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s.",
            "parlour:invite/den/.-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
            "https://den.example.org/i?-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s#-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
            "https://a@b/i#-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s",
        ] {
            assert_eq!(Invite::parse(text), Err(AddressError::BadInvite), "{text}");
        }
    }

    #[test]
    fn logs_show_no_token() {
        let invite = Invite {
            at: InviteAt::App(AppId::parse("den").unwrap()),
            token: Secret([7; 32]),
            group: Some(Secret([7; 32])),
        };
        assert!(!format!("{invite:?}").contains('7'));
    }
}
