//! Every word on the screens: one file for each language (`strings/en.rs` is the one that names them), complete by type.

#[path = "../../strings/de.rs"]
mod de;
#[path = "../../strings/en.rs"]
mod en;
#[path = "../../strings/held_de.rs"]
mod held_de;

pub use de::DE;
pub use en::{EN, Strings};

use std::sync::atomic::{AtomicUsize, Ordering};

/// All languages; the first is the fallback.
pub const LANGUAGES: [&Strings; 2] = [&EN, &DE];

static SPOKEN: AtomicUsize = AtomicUsize::new(0);

/// From now on in this language (`en`, `de`); an unknown one is English.
pub fn speak(code: &str) {
    let index = LANGUAGES.iter().position(|words| words.code == code).unwrap_or(0);
    SPOKEN.store(index, Ordering::Relaxed);
}

/// The words of the language that is spoken.
pub fn t() -> &'static Strings {
    LANGUAGES[SPOKEN.load(Ordering::Relaxed)]
}

/// What a kind of row is that the server holds, why, and what erases it: in the language that is spoken, if it has words for it.
pub fn held_kind(number: u32) -> Option<[&'static str; 3]> {
    (t().code == DE.code).then(|| held_de::kind(number)).flatten()
}

/// The same of what the server cannot list, by the server's name for it: what it is, and why it cannot.
pub fn held_besides(name: &str) -> Option<[&'static str; 2]> {
    (t().code == DE.code).then(|| held_de::besides(name)).flatten()
}

/// What the server says of a row, or of a time, in the language that is spoken, if it has words for it.
pub fn held_words(text: &str) -> String {
    if t().code == DE.code { held_de::restated(text) } else { text.to_owned() }
}

/// A sentence with its `{names}` filled in.
pub fn fill(sentence: &str, with: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(sentence.len() + 16);
    let mut rest = sentence;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, behind)) = after.split_once('}') else { break };
        out.push_str(with.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value));
        rest = behind;
    }
    out + rest
}

/// A sentence about `n` things; the first form is for one.
pub fn plural(forms: (&str, &str), n: usize) -> String {
    fill(if n == 1 { forms.0 } else { forms.1 }, &[("n", &n.to_string())])
}

/// Why something was not done, in the reader's words.
#[cfg(target_arch = "wasm32")]
pub fn explain(fault: &super::port::Fault) -> String {
    use super::port::Fault;
    use parlour_client::api::Failure;
    let words = t();
    match fault {
        Fault::Interrupted => words.fail_interrupted.to_owned(),
        Fault::Failed(failure) => match failure {
            Failure::NotSignedIn | Failure::AlreadySignedIn => words.fail_signed.to_owned(),
            Failure::BadInput(_) => words.fail_input.to_owned(),
            Failure::NotFound(_) => words.fail_not_found.to_owned(),
            Failure::NotReachable => words.not_reachable.to_owned(),
            Failure::Refused(problem) => refused(problem),
            Failure::Offline => words.fail_offline.to_owned(),
            Failure::Suspicious(_) => words.fail_suspicious.to_owned(),
        },
    }
}

#[cfg(target_arch = "wasm32")]
fn refused(problem: &parlour_proto::problem::Problem) -> String {
    use parlour_proto::problem::Code;
    let words = t();
    let minutes = problem.retry_after_ms.div_ceil(60_000).max(1);
    let wait = |sentence| plural(sentence, minutes as usize);
    match problem.code {
        Code::SlowDown => wait(words.fail_slow),
        Code::TooManyNewPeople => wait(words.fail_new_people),
        Code::HandleTaken => words.fail_taken.to_owned(),
        Code::BadHandle => words.fail_handle.to_owned(),
        Code::NotAuthenticated => words.fail_password.to_owned(),
        Code::Expired => words.fail_expired.to_owned(),
        Code::TriesExhausted => words.fail_tries.to_owned(),
        Code::NotReachable => words.not_reachable.to_owned(),
        Code::TooLarge => words.fail_large.to_owned(),
        Code::PleaseUpdate => words.fail_update.to_owned(),
        _ => fill(words.fail_server, &[("code", &(problem.code as u32).to_string())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_filled() {
        assert_eq!(fill("{a} and {b}{a}", &[("a", "x"), ("b", "y {a}")]), "x and y {a}x");
        assert_eq!(fill("no names, {unknown}", &[]), "no names, ");
        assert_eq!(plural(("{n} day", "{n} days"), 1), "1 day");
        assert_eq!(plural(("{n} day", "{n} days"), 0), "0 days");
    }

    #[test]
    fn every_language_fills_in_the_same_names() {
        fn names(text: &str) -> Vec<&str> {
            let mut names: Vec<&str> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0)).collect();
            names.sort_unstable();
            names
        }
        for ((english, german), name) in EN.all().into_iter().zip(DE.all()).zip(Strings::NAMES) {
            assert_eq!(names(english), names(german), "{name}");
            assert!(!german.trim().is_empty(), "{name}");
        }
    }
}
