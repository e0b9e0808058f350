//! Names and titles that somebody else chose, made fit to be shown on one line.

use crate::unicode::nfc;

/// The longest name or title, bytes.
pub const MAX_NAME_BYTES: usize = 128;

/// The longest name that somebody may take, characters; longer ones of others are still shown.
pub const MAX_DISPLAY_NAME_CHARS: usize = 64;

/// A name or title in NFC, on one line, without control and direction characters, single-spaced, cut at
/// [`MAX_NAME_BYTES`]; `None` when nothing is left. A cleaned name cleans to itself.
pub fn clean_name(typed: &str) -> Option<String> {
    // Bounded before the work: normalisation can make a text several times longer.
    let typed = &typed[..typed.floor_char_boundary(MAX_NAME_BYTES * 16)];
    let typed = nfc(typed);
    let shown = typed.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_hidden(*c));
    // Taking something out can bring letters together that compose.
    let shown = nfc(&shown.collect::<String>());
    let mut name = String::new();
    for word in shown.split(' ').filter(|word| !word.is_empty()) {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
    }
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name.truncate(name.trim_end().len());
    (!name.is_empty()).then_some(name)
}

/// Control characters, and those that turn the direction of what stands around them.
fn is_hidden(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let unseen = matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
    c.is_control() || turns || unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_come_out_on_one_line() {
        assert_eq!(clean_name(" Ada \n\t Lovelace "), Some("Ada Lovelace".into()));
        assert_eq!(clean_name("scho\u{308}n"), Some("sch\u{f6}n".into()));
        assert_eq!(clean_name("a\u{202e}b\u{0}c"), Some("abc".into()));
        assert_eq!(clean_name("\u{200b} \u{7}"), None);
        assert_eq!(clean_name(&"\u{e9}".repeat(100)).map(|name| name.len()), Some(128));
        assert_eq!(clean_name("👩\u{200d}🚀"), Some("👩\u{200d}🚀".into()));
    }

    proptest! {
        #[test]
        fn a_cleaned_name_is_short_and_cleans_to_itself(typed in "\\PC{0,200}|.{0,200}") {
            if let Some(name) = clean_name(&typed) {
                prop_assert!(name.len() <= MAX_NAME_BYTES);
                prop_assert_eq!(clean_name(&name), Some(name));
            }
        }
    }
}
