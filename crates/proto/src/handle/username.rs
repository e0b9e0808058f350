//! UsernameCaseMapped (RFC 8265 §3.3): width, then case, then NFC.
//!
//! Which characters a username may have, only the server decides: its tables are larger than all screens of an app. What
//! an app makes of a username that the server takes is what the server makes of it; the tests compare both.

#[cfg(not(target_arch = "wasm32"))]
use precis_profiles::{UsernameCaseMapped, precis_core::profile::PrecisFastInvocation as _};

/// The canonical form; `None` when a character is not allowed, or its small form is not: Cherokee folds to its capitals, so that
/// the profile refuses what it makes of them (RFC 8264 §7: enforcing it again must change nothing).
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn canonical(typed: &str) -> Option<String> {
    let canonical = UsernameCaseMapped::enforce(typed).ok()?;
    let again = UsernameCaseMapped::enforce(&canonical[..]).ok()?;
    (again == canonical).then(|| canonical.into_owned())
}

/// The canonical form of a username that the server takes.
#[cfg(target_arch = "wasm32")]
pub(super) fn canonical(typed: &str) -> Option<String> {
    Some(without_tables(typed)).filter(|canonical| !canonical.is_empty())
}

#[cfg(any(test, target_arch = "wasm32"))]
fn without_tables(typed: &str) -> String {
    let mut narrow = String::with_capacity(typed.len());
    for c in typed.chars() {
        if is_of_other_width(c) {
            narrow.push_str(&crate::unicode::nfkc(c.encode_utf8(&mut [0; 4])));
        } else {
            narrow.push(c);
        }
    }
    crate::unicode::nfc(&lower(&narrow))
}

/// Halfwidth and fullwidth forms. Where compatibility would take such a character further than its width, the result is
/// not allowed in a username.
#[cfg(any(test, target_arch = "wasm32"))]
fn is_of_other_width(c: char) -> bool {
    matches!(c, '\u{3000}' | '\u{ff01}'..='\u{ffee}')
}

/// Character by character: no rule about the end of a word.
#[cfg(any(test, target_arch = "wasm32"))]
fn lower(text: &str) -> String {
    let Some(first) = text.find(char::is_uppercase) else { return text.to_owned() };
    let (before, rest) = text.split_at(first);
    before.chars().chain(rest.chars().flat_map(char::to_lowercase)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_character_that_is_allowed_becomes_the_same_without_tables() {
        let mut allowed = 0;
        for c in '\0'..=char::MAX {
            for text in [format!("{c}"), format!("A{c}"), format!("{c}Z")] {
                if let Some(canonical) = canonical(&text) {
                    allowed += 1;
                    assert_eq!(super::canonical(&canonical).as_ref(), Some(&canonical), "{}", text.escape_unicode());
                    assert_eq!(without_tables(&text), canonical, "{}", text.escape_unicode());
                }
            }
        }
        assert!(allowed > 250_000, "{allowed}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_is_allowed_becomes_the_same_without_tables(
            text in "[\\w]{1,12}|[\\p{Latin}\\p{M}]{1,12}|[\\p{Greek}\\p{Cyrillic}]{1,12}|[ｦ-ﾝﾞﾟァ-ヶＡ-ｚ]{1,12}|[\\p{Hangul}\\p{Han}]{1,8}"
        ) {
            if let Some(canonical) = canonical(&text) {
                prop_assert_eq!(without_tables(&text), canonical);
            }
        }
    }
}
