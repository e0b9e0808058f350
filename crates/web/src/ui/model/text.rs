//! Text as bubbles show it: links that are safe to click, messages that are only emoji, initials, one-line previews.

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it is.
    Plain(String),
    /// To be clicked: what is shown, where it leads (`https:`, `http:` or `mailto:`).
    Link {
        /// As it was written.
        shown: String,
        /// The address.
        href: String,
    },
}

/// Cuts a text into plain pieces and links. Only `http(s)://…` and `www.…` become links, never another scheme; what is
/// shown is exactly what was written, so a link cannot pretend to lead elsewhere.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut plain = String::new();
    for (token, is_space) in tokens(text) {
        match (!is_space).then(|| link_in(token)).flatten() {
            None => plain.push_str(token),
            Some((before, shown, after)) => {
                plain.push_str(before);
                if !plain.is_empty() {
                    out.push(Piece::Plain(std::mem::take(&mut plain)));
                }
                let href = if shown.get(..4).is_some_and(|s| s.eq_ignore_ascii_case("www.")) {
                    format!("https://{shown}")
                } else {
                    shown.to_owned()
                };
                out.push(Piece::Link { shown: shown.to_owned(), href });
                plain.push_str(after);
            }
        }
    }
    if !plain.is_empty() {
        out.push(Piece::Plain(plain));
    }
    out
}

/// Runs of space and runs of everything else.
fn tokens(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let is_space = first.is_whitespace();
        let end = rest.find(|c: char| c.is_whitespace() != is_space).unwrap_or(rest.len());
        let (token, after) = rest.split_at(end);
        rest = after;
        Some((token, is_space))
    })
}

/// The link within a word: what is before it, it, and what is after it (closing punctuation).
fn link_in(token: &str) -> Option<(&str, &str, &str)> {
    let opening = token.find(|c| !"([{<\"'„“‚‘«".contains(c))?;
    let (before, rest) = token.split_at(opening);
    let lower = rest.to_ascii_lowercase();
    let host = ["https://", "http://", "www."].iter().find_map(|start| lower.strip_prefix(start))?;
    // A host needs a dot or to be localhost, and no credentials: `https://bank.example@evil.example` stays text.
    let host = host.split(['/', '?', '#']).next()?;
    if host.contains('@') || !(host.starts_with("localhost") || host.trim_matches('.').contains('.')) {
        return None;
    }
    let mut end = rest.len();
    while let Some(last) = rest[..end].chars().next_back() {
        let closes = last == ')' && rest[..end].matches('(').count() < rest[..end].matches(')').count();
        if !closes && !".,;:!?\"'”“»’]}>…".contains(last) {
            break;
        }
        end -= last.len_utf8();
    }
    Some((before, &rest[..end], &rest[end..]))
}

/// Whether a message is nothing but one to three emoji, which are shown large.
pub fn is_jumbo(text: &str) -> bool {
    let text = text.trim();
    let marks = text.chars().filter(|c| !c.is_whitespace()).count();
    if text.is_empty() || marks > 24 || !text.chars().all(|c| is_emoji_part(c) || c == ' ') {
        return false;
    }
    let starts = text.chars().filter(|c| is_emoji_start(*c)).count();
    let joins = text.chars().filter(|c| *c == '\u{200d}').count();
    let flags = text.chars().filter(|c| ('\u{1f1e6}'..='\u{1f1ff}').contains(c)).count();
    (1..=3).contains(&((starts - flags + flags / 2).saturating_sub(joins)))
}

fn is_emoji_start(c: char) -> bool {
    matches!(c, '\u{1f1e6}'..='\u{1f1ff}' | '\u{1f300}'..='\u{1f3fa}' | '\u{1f400}'..='\u{1faff}' | '\u{2600}'..='\u{27bf}'
        | '\u{2b00}'..='\u{2bff}' | '\u{2190}'..='\u{21ff}' | '\u{231a}'..='\u{23ff}')
}

fn is_emoji_part(c: char) -> bool {
    is_emoji_start(c)
        || matches!(c, '\u{200d}' | '\u{fe0f}' | '\u{20e3}' | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0020}'..='\u{e007f}')
}

/// One or two letters for a picture that is not there.
pub fn initials(name: &str) -> String {
    let letters = |word: &str| word.chars().find(|c| c.is_alphanumeric());
    let mut words = name.split([' ', '.', '_', '-']).filter_map(letters);
    let first = words.next();
    let last = words.next_back();
    let both: String = first.into_iter().chain(last).flat_map(char::to_uppercase).take(2).collect();
    if both.is_empty() { "?".to_owned() } else { both }
}

/// The first line of a text, on one line, not longer than a list can show.
pub fn preview(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > 160 {
            break;
        }
    }
    out
}

/// A colour for somebody: the same one each time, one of [`HUES`].
pub fn hue(seed: &[u8]) -> u8 {
    (seed.iter().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) % u32::from(HUES)) as u8
}

/// How many colours the style has for people.
pub const HUES: u8 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> Vec<String> {
        let of = |piece: Piece| match piece {
            Piece::Link { href, .. } => Some(href),
            Piece::Plain(_) => None,
        };
        pieces(text).into_iter().filter_map(of).collect()
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        assert_eq!(
            links("see https://a.example/x, then (www.b.example)."),
            ["https://a.example/x", "https://www.b.example"]
        );
        assert_eq!(links("https://a.example/w_(x)"), ["https://a.example/w_(x)"]);
        assert_eq!(links("(https://a.example/w_(x))!"), ["https://a.example/w_(x)"]);
        assert_eq!(links("http://bell.localhost:8080/#/i/x"), ["http://bell.localhost:8080/#/i/x"]);
    }

    #[test]
    fn other_schemes_and_disguises_stay_text() {
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "https://bank.example@evil.example/",
            "https://",
            "www.",
            "http://x",
        ] {
            assert!(links(text).is_empty(), "{text}");
        }
    }

    #[test]
    fn nothing_of_a_text_is_lost() {
        for text in ["", " a  b\n\nc ", "see https://a.example.", "«https://ü.example»", "אבג https://a.example שלום"]
        {
            let whole: String = pieces(text)
                .into_iter()
                .map(|piece| match piece {
                    Piece::Plain(text) => text,
                    Piece::Link { shown, .. } => shown,
                })
                .collect();
            assert_eq!(whole, text);
        }
    }

    #[test]
    fn a_few_emoji_alone_are_large() {
        for text in ["👍", "❤️", "👨‍👩‍👧‍👦", "🇩🇪", "🎉 🎉 🎉", "👋🏽"] {
            assert!(is_jumbo(text), "{text}");
        }
        for text in ["", "ok 👍", "7", "🎉🎉🎉🎉", "#"] {
            assert!(!is_jumbo(text), "{text}");
        }
    }

    #[test]
    fn initials_are_of_the_first_and_the_last_name() {
        assert_eq!(initials("Ana María López"), "AL");
        assert_eq!(initials("+49 170"), "41");
        assert_eq!(initials("שלום"), "ש");
        assert_eq!(initials("…"), "?");
    }
}
