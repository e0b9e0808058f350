//! Mentions in a text, as draft-ietf-mimi-content §3.4 writes them: a Markdown link to the account,
//! `[@Ben](mimi://den/u/<32 hex digits>)`. Engines keep texts as they were said; people see `@Ben`.

use crate::address::MimiUri;
use crate::frames::{AccountRef, AppId};
use std::fmt::Write as _;

/// Most mentions in one text; further ones stay as they are written.
pub const MAX_MENTIONS: usize = 64;
/// The longest name in a mention, bytes.
const MAX_MENTION_NAME_BYTES: usize = 256;

/// A piece of a shown text that names somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mention {
    /// First byte of the piece, which begins with `@`.
    pub start: u32,
    /// The byte after it.
    pub end: u32,
    /// Whom it names. What the piece calls them is the author's word.
    pub account: AccountRef,
}

/// As people see it, and who is named where.
pub fn shown(text: &str) -> (String, Vec<Mention>) {
    let (mut plain, mut mentions) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(at) = rest.find("[@") {
        let (before, here) = rest.split_at(at);
        plain.push_str(before);
        match link(here).filter(|_| mentions.len() < MAX_MENTIONS) {
            Some((name, account, len)) => {
                let start = position(&plain);
                plain.push_str(name);
                mentions.push(Mention { start, end: position(&plain), account });
                rest = &here[len..];
            }
            None => {
                plain.push_str("[@");
                rest = &here[2..];
            }
        }
    }
    plain.push_str(rest);
    (plain, mentions)
}

/// As it is said: the other way round. Mentions that do not fit the text (out of order, inside a character, not beginning with
/// `@`, with a bracket in the name) are left out.
pub fn said(plain: &str, mentions: &[Mention]) -> String {
    let mut text = String::with_capacity(plain.len());
    let mut from = 0;
    for mention in mentions.iter().take(MAX_MENTIONS) {
        let (start, end) = (mention.start as usize, mention.end as usize);
        let piece = plain.get(start..end).filter(|piece| start >= from && is_name(piece));
        if let Some(piece) = piece {
            text.push_str(&plain[from..start]);
            let _ = write!(text, "[{piece}]({})", uri(&mention.account));
            from = end;
        }
    }
    text.push_str(&plain[from..]);
    text
}

fn uri(account: &AccountRef) -> MimiUri {
    MimiUri { domain: account.app.as_str().to_owned(), account: account.account }
}

/// `[@name](mimi://…)` at the beginning: the name, whom it names, and how long it is.
fn link(text: &str) -> Option<(&str, AccountRef, usize)> {
    let (name, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (target, _) = rest.split_once(')')?;
    let uri = MimiUri::parse(target).ok().filter(|_| is_name(name) && target.starts_with("mimi://"))?;
    let account = AccountRef { app: AppId::parse(&uri.domain).ok()?, account: uri.account };
    Some((name, account, 1 + name.len() + 2 + target.len() + 1))
}

fn is_name(piece: &str) -> bool {
    (2..=MAX_MENTION_NAME_BYTES).contains(&piece.len())
        && piece.starts_with('@')
        && !piece.contains(['[', ']', '(', ')', '\n'])
}

fn position(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AccountId;
    use proptest::prelude::*;

    fn account(byte: u8) -> AccountRef {
        AccountRef { app: AppId::parse("den").unwrap(), account: AccountId([byte; 16]) }
    }

    #[test]
    fn a_mention_reads_as_it_was_written() {
        let plain = "Hej @Ben Ünal, and @Cleo";
        let mentions = vec![
            Mention { start: 4, end: 14, account: account(1) },
            Mention { start: 20, end: 25, account: account(0xab) },
        ];
        let text = said(plain, &mentions);
        assert!(text.contains("[@Cleo](mimi://den/u/abababababababababababababababab)"), "{text}");
        assert_eq!(shown(&text), (plain.to_owned(), mentions));
    }

    #[test]
    fn what_is_no_mention_stays_as_it_is() {
        for text in [
            "[@Ben](https://den.example/u/1)",
            "[@Ben](mimi://den/u/12)",
            "[@](mimi://den/u/abababababababababababababababab)",
            "[@a[b](mimi://den/u/abababababababababababababababab)",
            "[@Ben]",
            "[@[@[@",
            "@Ben",
        ] {
            assert_eq!(shown(text), (text.to_owned(), Vec::new()));
        }
    }

    #[test]
    fn mentions_that_do_not_fit_are_left_out() {
        let mention = |start, end| Mention { start, end, account: account(1) };
        assert_eq!(said("é @Ben", &[mention(1, 4), mention(3, 90), mention(4, 7)]), "é @Ben");
        let one = said("@Ben", &[mention(0, 4), mention(0, 4), mention(2, 4)]);
        assert_eq!(shown(&one), ("@Ben".to_owned(), vec![mention(0, 4)]));
    }

    proptest! {
        #[test]
        fn any_text_is_shown_and_said_again(text in "[\\[\\]()@a-zé:/]{0,80}|.{0,60}") {
            let (plain, mentions) = shown(&text);
            for mention in &mentions {
                prop_assert!(plain[mention.start as usize..mention.end as usize].starts_with('@'));
            }
            prop_assert_eq!(shown(&said(&plain, &mentions)), (plain, mentions));
        }
    }
}
