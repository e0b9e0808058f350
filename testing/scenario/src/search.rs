//! Looking for canaries: in every file, in every form in which a text can lie there by accident.

use anyhow::Result;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use std::path::{Path, PathBuf};

/// A text that nobody writes by chance, in the forms in which it is looked for.
pub struct Canary {
    /// The text.
    pub text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
}

/// A canary in a file (or page).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Find {
    /// Where.
    pub place: PathBuf,
    /// Which one.
    pub text: String,
    /// In which form.
    pub form: &'static str,
}

impl Canary {
    /// A canary; for numbers, the digits alone are one, too.
    pub fn new(text: &str) -> Self {
        let mut forms = vec![("utf-8", text.as_bytes().to_vec())];
        forms.push(("utf-16le", text.encode_utf16().flat_map(u16::to_le_bytes).collect()));
        forms.push(("utf-16be", text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
        forms.push(("hex", hex::encode(text).into_bytes()));
        forms.push(("HEX", hex::encode_upper(text).into_bytes()));
        for shift in 0..3 {
            forms.push(("base64", base64_inside(&STANDARD_NO_PAD, text, shift)));
            forms.push(("base64url", base64_inside(&URL_SAFE_NO_PAD, text, shift)));
        }
        if let Some(digits) = text.strip_prefix('+') {
            forms.push(("digits", digits.as_bytes().to_vec()));
        }
        forms.dedup();
        Self { text: text.to_owned(), forms }
    }

    /// The forms in which it stands in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> Vec<&'static str> {
        let stands = self.forms.iter().filter(|(_, form)| memchr::memmem::find(bytes, form).is_some());
        stands.map(|(name, _)| *name).collect()
    }
}

/// What is left of a text in base64 when it begins `shift` bytes into a group of three, without the characters that also
/// depend on its neighbours.
fn base64_inside(engine: &impl base64::Engine, text: &str, shift: usize) -> Vec<u8> {
    let padded = [&vec![0; shift], text.as_bytes()].concat();
    let encoded = engine.encode(&padded);
    let from = (shift * 8).div_ceil(6);
    let to = padded.len() * 8 / 6;
    encoded.as_bytes()[from..to].to_vec()
}

/// Every canary in every file below `dir`.
///
/// # Errors
/// When the directory cannot be read.
pub fn search_files(dir: &Path, canaries: &[Canary], skip: &[&str]) -> Result<Search> {
    let mut search = Search::default();
    search.add_dir(dir, canaries, skip)?;
    Ok(search)
}

/// What was read and found.
#[derive(Debug, Default)]
pub struct Search {
    /// Files read.
    pub files: Vec<PathBuf>,
    /// Bytes read.
    pub bytes: usize,
    /// What was found.
    pub finds: Vec<Find>,
}

impl Search {
    /// Looks through bytes that lie in no file.
    pub fn add(&mut self, place: &Path, bytes: &[u8], canaries: &[Canary]) {
        self.bytes += bytes.len();
        for canary in canaries {
            let finds = canary.found_in(bytes).into_iter();
            self.finds.extend(finds.map(|form| Find { place: place.to_owned(), text: canary.text.clone(), form }));
        }
    }

    fn add_dir(&mut self, dir: &Path, canaries: &[Canary], skip: &[&str]) -> Result<()> {
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            if path.is_dir() {
                self.add_dir(&path, canaries, skip)?;
            } else if !skip.iter().any(|name| path.ends_with(name))
                && let Ok(bytes) = std::fs::read(&path)
            {
                self.add(&path, &bytes, canaries);
                self.files.push(path);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    #[test]
    fn a_canary_is_found_in_every_form_and_at_every_offset() {
        let text = "+49301234567890";
        let canary = Canary::new(text);
        for offset in 0..4 {
            let plain = [&b"xyzw"[..offset], text.as_bytes(), b"tail"].concat();
            let mut places =
                vec![plain.clone(), hex::encode(&plain).into_bytes(), hex::encode_upper(&plain).into_bytes()];
            places.push(STANDARD_NO_PAD.encode(&plain).into_bytes());
            places.push(URL_SAFE_NO_PAD.encode(&plain).into_bytes());
            places.push(String::from_utf8_lossy(&plain).encode_utf16().flat_map(u16::to_le_bytes).collect());
            places.push(String::from_utf8_lossy(&plain).encode_utf16().flat_map(u16::to_be_bytes).collect());
            places.push(plain[offset + 1..].to_vec());
            for place in places {
                assert!(!canary.found_in(&place).is_empty(), "{offset}: {}", String::from_utf8_lossy(&place));
            }
        }
        assert!(canary.found_in(b"+4930123456789").is_empty());
    }
}
