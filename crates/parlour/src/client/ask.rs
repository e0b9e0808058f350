//! What only a person or a file can give: passwords, codes, a yes. Never from the command line, where others could read it.

use crate::exit::Trouble;
use crate::out::Out;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// A secret from a file, or from stdin for `-`; the line break at its end does not count.
pub(super) fn secret_from(file: &Path) -> Result<Zeroizing<String>, Trouble> {
    let mut text = Zeroizing::new(String::new());
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut opened| opened.read_to_string(&mut text))
    };
    read.map_err(|error| Trouble::usage(format!("{}: {error}", file.display())))?;
    Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()))
}

/// A secret typed unseen; elsewhere than at a terminal, a hint which option gives it.
pub(super) fn secret(prompt: &str, option: &str) -> Result<Zeroizing<String>, Trouble> {
    if !Out::can_ask() {
        return Err(Trouble::needs_input(format!(
            "a secret is needed, and there is no terminal to ask at: call again with {option}"
        )));
    }
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(Trouble::failure)
}

/// A new secret, typed twice.
pub(super) fn new_secret(prompt: &str, option: &str) -> Result<Zeroizing<String>, Trouble> {
    let first = secret(prompt, option)?;
    if secret("Again: ", option)? == first { Ok(first) } else { Err(Trouble::usage("the two are not the same")) }
}

/// A line typed at the terminal.
pub(super) fn line(prompt: &str) -> Result<String, Trouble> {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "{prompt}");
    let _ = stderr.flush();
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text).map_err(Trouble::failure)?;
    Ok(text.trim().to_owned())
}

/// A text given on the command line, or stdin for `-`.
pub(super) fn text(given: &str) -> Result<String, Trouble> {
    if given != "-" {
        return Ok(given.to_owned());
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(|error| Trouble::usage(format!("stdin: {error}")))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
