//! Naming somebody in what one writes: `@` and the beginning of a name bring up who is meant.

use parlour_client::api::{Member, Mention};
use parlour_proto::content::mention;
use parlour_proto::frames::AccountRef;

/// So many people are offered.
const MOST: usize = 6;
/// A longer beginning is no name.
const LONGEST: usize = 40;

/// Somebody named in a text that is being written: as it stands there, and who it is.
pub type Named = (String, AccountRef);

/// The name that is being typed at the caret: where its `@` is, and what follows. `caret` counts bytes.
pub fn typed(text: &str, caret: usize) -> Option<(usize, &str)> {
    let before = text.get(..caret)?;
    let at = before.rfind('@')?;
    let begins = before[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || "([\"'".contains(c));
    let name = &before[at + 1..];
    (begins && name.len() <= LONGEST && !name.contains('\n')).then_some((at, name))
}

/// Who may be meant by the beginning of a name: people whose name, or a word of it, or address begins so.
pub fn meant<'m>(name: &str, members: &'m [Member]) -> Vec<&'m Member> {
    let name = name.to_lowercase();
    let begins = |text: &str| {
        let text = text.to_lowercase();
        text.starts_with(&name) || text.split_whitespace().any(|word| word.starts_with(&name))
    };
    let fits = |member: &&Member| label(member).is_some_and(|label| begins(label.trim_start_matches('@')));
    members.iter().filter(fits).take(MOST).collect()
}

/// How somebody stands in a text: `@Name`; `None` without anything to call them by.
pub fn label(member: &Member) -> Option<String> {
    let name = member.name.as_deref().or(member.address.as_deref())?;
    let name: String = name.trim_start_matches('@').chars().filter(|c| !"[]()\n".contains(*c)).collect();
    (!name.trim().is_empty()).then(|| format!("@{}", name.trim()))
}

/// The text as it is sent, with those whom it still names.
pub fn said(text: &str, named: &[Named]) -> String {
    let mut mentions: Vec<Mention> = Vec::new();
    for (label, account) in named {
        let free = |start: usize| {
            let end = start + label.len();
            mentions.iter().all(|other| end <= other.start as usize || start >= other.end as usize)
        };
        if let Some((start, _)) = text.match_indices(label.as_str()).find(|(start, _)| free(*start)) {
            let (start, end) = (start as u32, (start + label.len()) as u32);
            mentions.push(Mention { start, end, account: account.clone() });
        }
    }
    mentions.sort_by_key(|mention| mention.start);
    mention::said(text, &mentions)
}

/// The other way round, to go on writing.
pub fn open(said: &str) -> (String, Vec<Named>) {
    let (text, mentions) = mention::shown(said);
    let named = mentions.into_iter().map(|mention| (piece(&text, &mention).to_owned(), mention.account)).collect();
    (text, named)
}

/// What a mention is in the text.
pub fn piece<'t>(text: &'t str, mention: &Mention) -> &'t str {
    text.get(mention.start as usize..mention.end as usize).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_proto::frames::AppId;
    use parlour_proto::ids::AccountId;

    fn member(n: u8, name: &str) -> Member {
        let account = AccountRef { app: AppId::parse("den").unwrap(), account: AccountId([n; 16]) };
        Member { account, address: None, name: Some(name.to_owned()), picture: None }
    }

    #[test]
    fn a_name_begins_after_an_at_sign_and_a_space() {
        assert_eq!(typed("hi @Be", 6), Some((3, "Be")));
        assert_eq!(typed("@", 1), Some((0, "")));
        assert_eq!(typed("hi @Ben Mil", 11), Some((3, "Ben Mil")));
        assert_eq!(typed("ana@bell", 8), None);
        assert_eq!(typed("@Ben\n", 5), None);
    }

    #[test]
    fn people_are_meant_by_any_word_of_their_name() {
        let all = [member(1, "Ben Miller"), member(2, "Ada (home)"), member(3, "Benno")];
        let names = |typed| meant(typed, &all).into_iter().filter_map(label).collect::<Vec<_>>();
        assert_eq!(names("be"), ["@Ben Miller", "@Benno"]);
        assert_eq!(names("mill"), ["@Ben Miller"]);
        assert_eq!(names("ada"), ["@Ada home"]);
        assert_eq!(names("").len(), 3);
    }

    #[test]
    fn what_is_named_twice_and_taken_out_again_is_said_right() {
        let (ben, benno) = (member(1, "Ben"), member(3, "Benno"));
        let named: Vec<Named> = [&benno, &ben, &ben].map(|who| (label(who).unwrap(), who.account.clone())).to_vec();
        let text = "@Benno and @Ben";
        let (back, again) = open(&said(text, &named));
        assert_eq!(back, text);
        assert_eq!(again, [("@Benno".to_owned(), benno.account), ("@Ben".to_owned(), ben.account)]);
        assert_eq!(said("nobody", &named), "nobody");
    }
}
