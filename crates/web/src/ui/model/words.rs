//! The recovery key as words: for showing them in a grid, keeping them as a file, and reading them back however they
//! were typed or pasted.

/// How many words a recovery key has (BIP-39, 32 bytes).
pub const COUNT: usize = 24;

/// The words in what was pasted: numbers, commas, dots and line breaks fall away.
pub fn words_in(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 1).map(str::to_lowercase).collect()
}

/// The file that is kept or printed.
pub fn sheet(heading: &str, address: &str, advice: &str, words: &[String]) -> String {
    let mut out = format!("{heading}\n{address}\n\n");
    for (index, word) in words.iter().enumerate() {
        out.push_str(&format!("{:>2}. {word}\n", index + 1));
    }
    out.push_str(&format!("\n{advice}\n"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_sheet_pastes_back_as_its_words() {
        let words: Vec<String> = (0..COUNT).map(|n| format!("{}able", char::from(b'a' + n as u8))).collect();
        let sheet = sheet("", "", "", &words);
        assert_eq!(words_in(&sheet), words);
        assert_eq!(words_in("Able,  bable\n3) cable"), ["able", "bable", "cable"]);
    }
}
