//! Handles: what people sign in with, made canonical for each way of signing in, so that one human's spelling is one handle.
//!
//! Whether a handle belongs to somebody is the server's to say; it also refuses one that mixes scripts
//! ([`Handle::check_scripts`]: at most the restriction level "highly restrictive", UTS 39 §5.2) and a new one whose
//! [`Handle::skeleton`] equals that of another one. Apps need the tables of neither, and in a browser not
//! those of which characters a username may have. Phone numbers: ITU-T E.164.
//! Usernames: PRECIS UsernameCaseMapped (RFC 8265 §3.3).

mod username;

use crate::frames::{MAX_HANDLE_BYTES, SignIn};
use crate::problem::{Code, Problem};
use std::fmt;
use unicode_security::{RestrictionLevel, RestrictionLevelDetection as _};

/// Fewest and most digits of a phone number, with its country code.
pub const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;
/// Fewest and most characters of a username.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Fewest and most characters of an @handle.
pub const AT_HANDLE_CHARS: std::ops::RangeInclusive<usize> = 3..=30;

/// A canonical handle.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Handle {
    canonical: String,
    at: At,
}

/// Whether people write it with an @ in front.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum At {
    Plain,
    Sign,
}

/// Why something typed is no handle; the sentence can be shown to who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// A phone number without a country code.
    #[error("the number needs its country code, like +49 170 1234567")]
    NoCountryCode,
    /// Something else than digits in a phone number.
    #[error("a phone number has only digits, spaces, dashes and parentheses after the +")]
    NotANumber,
    /// Too short or long for E.164.
    #[error("a phone number has 8 to 15 digits with its country code")]
    NumberLength,
    /// A username's length.
    #[error("a username has 3 to 32 characters")]
    UsernameLength,
    /// A character that may not be in usernames.
    #[error("a username has only letters, digits and . - _")]
    UsernameCharacters,
    /// Letters of several scripts, which could be taken for others.
    #[error("a username keeps to the letters of one script")]
    MixedScripts,
    /// An @handle's length.
    #[error("a handle has 3 to 30 characters")]
    AtHandleLength,
    /// A character that may not be in @handles.
    #[error("a handle has only the letters a to z, digits, . and _")]
    AtHandleCharacters,
}

impl From<HandleError> for Problem {
    fn from(error: HandleError) -> Self {
        Problem::new(Code::BadHandle, error.to_string())
    }
}

impl Handle {
    /// Makes what was typed canonical. A canonical handle parses to itself.
    ///
    /// # Errors
    /// [`HandleError`], with what is wrong.
    pub fn parse(sign_in: SignIn, typed: &str) -> Result<Self, HandleError> {
        let typed = typed.trim();
        let (canonical, at) = match sign_in {
            SignIn::Phone => (phone(typed)?, At::Plain),
            SignIn::Username => (username(typed)?, At::Plain),
            SignIn::AtHandle => (at_handle(typed)?, At::Sign),
        };
        Ok(Self { canonical, at })
    }

    /// Whether it keeps to the scripts that the server takes: at most "highly restrictive" (UTS 39 §5.2).
    ///
    /// # Errors
    /// [`HandleError::UsernameCharacters`] or [`HandleError::MixedScripts`].
    pub fn check_scripts(&self) -> Result<(), HandleError> {
        if self.canonical.is_ascii() {
            return Ok(()); // phone numbers and @handles too
        }
        match self.canonical.as_str().detect_restriction_level() {
            RestrictionLevel::ASCIIOnly | RestrictionLevel::SingleScript | RestrictionLevel::HighlyRestrictive => {
                Ok(())
            }
            RestrictionLevel::Unrestricted => Err(HandleError::UsernameCharacters),
            _ => Err(HandleError::MixedScripts),
        }
    }

    /// `+` and digits; the case-mapped username; the @handle in lower case without its @. What is stored and compared.
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// As people write it.
    pub fn display(&self) -> String {
        match self.at {
            At::Plain => self.canonical.clone(),
            At::Sign => format!("@{}", self.canonical),
        }
    }

    /// The same for all handles that look alike (UTS 39 §4), `0` and `o` included.
    pub fn skeleton(&self) -> String {
        unicode_security::skeleton(&self.canonical).flat_map(char::to_lowercase).collect()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle(~{:08x})", crate::ids::log_tag(self.canonical.as_bytes()))
    }
}

fn phone(typed: &str) -> Result<String, HandleError> {
    if typed.len() > MAX_HANDLE_BYTES {
        return Err(HandleError::NumberLength);
    }
    // "+49 (0)170 …": the national prefix, which is not dialled from abroad.
    let typed = typed.replace("(0)", "");
    let mut marks = typed.chars().filter(|c| !is_phone_space(*c)).peekable();
    let plus = marks.next_if(|c| matches!(c, '+' | '＋')).is_some();
    let digits: String = marks.collect();
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HandleError::NotANumber);
    }
    let digits = match digits.strip_prefix("00") {
        Some(rest) if !plus => rest,
        _ if plus => &digits,
        _ => return Err(HandleError::NoCountryCode),
    };
    if digits.starts_with('0') {
        return Err(HandleError::NoCountryCode);
    }
    if !PHONE_DIGITS.contains(&digits.len()) {
        return Err(HandleError::NumberLength);
    }
    Ok(format!("+{digits}"))
}

fn is_phone_space(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '-' | '(' | ')' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{200e}' | '\u{202a}' | '\u{202c}')
}

fn username(typed: &str) -> Result<String, HandleError> {
    if typed.len() > MAX_HANDLE_BYTES {
        return Err(HandleError::UsernameLength);
    }
    let canonical = username::canonical(typed).ok_or(HandleError::UsernameCharacters)?;
    if !USERNAME_CHARS.contains(&canonical.chars().count()) {
        return Err(HandleError::UsernameLength);
    }
    let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if !canonical.chars().all(allowed) || !canonical.chars().any(char::is_alphanumeric) {
        return Err(HandleError::UsernameCharacters);
    }
    Ok(canonical)
}

fn at_handle(typed: &str) -> Result<String, HandleError> {
    let typed = typed.strip_prefix('@').unwrap_or(typed);
    if !typed.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')) {
        return Err(HandleError::AtHandleCharacters);
    }
    if !AT_HANDLE_CHARS.contains(&typed.len()) {
        return Err(HandleError::AtHandleLength);
    }
    if !typed.bytes().any(|b| b.is_ascii_alphanumeric()) {
        return Err(HandleError::AtHandleCharacters);
    }
    Ok(typed.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn phone(typed: &str) -> Result<String, HandleError> {
        Handle::parse(SignIn::Phone, typed).map(|handle| handle.canonical().to_owned())
    }

    fn username(typed: &str) -> Result<String, HandleError> {
        let handle = Handle::parse(SignIn::Username, typed)?;
        handle.check_scripts()?;
        Ok(handle.canonical().to_owned())
    }

    #[test]
    fn phone_numbers_are_read_as_people_write_them() {
        for typed in [
            "+491701234567",
            "+49 170 1234567",
            "+49 (0)170 / 123 45-67",
            "0049 170 1234567",
            "(+49) 170.1234567",
            "\u{202a}+49 170 1234567\u{202c}",
            "+49\u{a0}170\u{2011}1234567",
        ] {
            assert_eq!(phone(typed).as_deref(), Ok("+491701234567"), "{typed}");
        }
    }

    #[test]
    fn other_phone_numbers_are_refused_with_the_reason() {
        for (typed, why) in [
            ("0170 1234567", HandleError::NoCountryCode),
            ("1701234567", HandleError::NoCountryCode),
            ("+0170 1234567", HandleError::NoCountryCode),
            ("", HandleError::NoCountryCode),
            ("+49 170 CALLME", HandleError::NotANumber),
            ("+49+1701234567", HandleError::NotANumber),
            ("+1234567", HandleError::NumberLength),
            ("+1234567890123456", HandleError::NumberLength),
            ("+\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}\u{668}", HandleError::NotANumber),
        ] {
            assert_eq!(phone(typed), Err(why), "{typed}");
        }
    }

    #[test]
    fn spellings_of_one_username_are_one() {
        for (typed, canonical) in [
            ("Ada", "ada"),
            (" ADA ", "ada"),
            ("Ａｄａ", "ada"),
            ("Gru\u{308}n", "gr\u{fc}n"),
            ("ada.l-42_x", "ada.l-42_x"),
            ("Ольга", "ольга"),
            ("山田たろう", "山田たろう"),
        ] {
            assert_eq!(username(typed).as_deref(), Ok(canonical), "{typed}");
        }
    }

    #[test]
    fn other_usernames_are_refused_with_the_reason() {
        for (typed, why) in [
            ("ad", HandleError::UsernameLength),
            ("", HandleError::UsernameCharacters),
            ("...", HandleError::UsernameCharacters),
            ("a b c", HandleError::UsernameCharacters),
            ("ada@den", HandleError::UsernameCharacters),
            ("ada\u{202e}x", HandleError::UsernameCharacters),
            ("ad\u{200d}a", HandleError::UsernameCharacters),
            ("ada❤", HandleError::UsernameCharacters),
            ("p\u{430}ypal", HandleError::MixedScripts),
            ("αda", HandleError::MixedScripts),
        ] {
            assert_eq!(username(typed), Err(why), "{typed:?}");
        }
        assert_eq!(username(&"a".repeat(33)), Err(HandleError::UsernameLength));
        assert!(username(&"a".repeat(32)).is_ok());
    }

    #[test]
    fn handles_that_look_alike_have_one_skeleton() {
        let skeleton = |typed| Handle::parse(SignIn::Username, typed).unwrap().skeleton();
        assert_eq!(skeleton("аррӏе"), skeleton("apple"), "all Cyrillic");
        assert_eq!(skeleton("bob"), skeleton("b0b"));
        assert_eq!(skeleton("lola"), skeleton("1o1a"));
        assert_ne!(skeleton("anna"), skeleton("hanna"));
    }

    #[test]
    fn at_handles_lose_their_at_and_their_capitals() {
        let parse = |typed: &str| Handle::parse(SignIn::AtHandle, typed).map(|handle| handle.canonical().to_owned());
        assert_eq!(parse("@Ada_L.1").as_deref(), Ok("ada_l.1"));
        assert_eq!(parse("ada").as_deref(), Ok("ada"));
        assert_eq!(parse("@ad"), Err(HandleError::AtHandleLength));
        assert_eq!(parse(&"a".repeat(31)), Err(HandleError::AtHandleLength));
        assert_eq!(parse("@@ada"), Err(HandleError::AtHandleCharacters));
        assert_eq!(parse("ada-l"), Err(HandleError::AtHandleCharacters));
        assert_eq!(parse("__."), Err(HandleError::AtHandleCharacters));
        assert_eq!(Handle::parse(SignIn::AtHandle, "ada").unwrap().display(), "@ada");
    }

    #[test]
    fn logs_show_no_handle() {
        let handle = Handle::parse(SignIn::Username, "canary").unwrap();
        assert!(!format!("{handle:?}").contains("canary"));
    }

    proptest! {
        #[test]
        fn a_canonical_handle_parses_to_itself(typed in "\\PC{0,40}|[+0-9() -]{0,24}|@?[A-Za-z0-9_.]{0,32}|[a-zA-ZäÖüßſİıΣςά]{3,12}") {
            for sign_in in [SignIn::Phone, SignIn::Username, SignIn::AtHandle] {
                if let Ok(handle) = Handle::parse(sign_in, &typed) {
                    let again = Handle::parse(sign_in, handle.canonical()).unwrap();
                    prop_assert_eq!(again.canonical(), handle.canonical());
                    prop_assert_eq!(again.skeleton(), handle.skeleton());
                    let shown = Handle::parse(sign_in, &handle.display()).unwrap();
                    prop_assert_eq!(shown.canonical(), handle.canonical());
                }
            }
        }
    }
}
