//! How good a password is, roughly and quickly: length first, then variety; a few famous ones are worth nothing.

/// From bad to good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    /// Not allowed: shorter than [`SHORTEST`].
    TooShort,
    /// Guessed at once.
    Weak,
    /// Will do.
    Fair,
    /// Good.
    Strong,
}

/// Fewest characters of a password.
pub const SHORTEST: usize = 8;

/// Judges a password; `handle` inside it is worth nothing.
pub fn strength(password: &str, handle: &str) -> Strength {
    let chars: Vec<char> = password.chars().collect();
    if chars.len() < SHORTEST {
        return Strength::TooShort;
    }
    match bits(&chars) - famous_cost(password, handle) {
        ..45 => Strength::Weak,
        45..64 => Strength::Fair,
        _ => Strength::Strong,
    }
}

/// About 4 bits for a character that is new, 1 for one that repeats or continues the one before, and some for variety.
fn bits(chars: &[char]) -> i32 {
    let mut seen = Vec::new();
    let mut bits = 0;
    let mut before = None::<char>;
    for c in chars {
        let follows = before.is_some_and(|b| (*c as i64 - b as i64).abs() <= 1);
        bits += if follows {
            1
        } else if seen.contains(c) {
            2
        } else {
            4
        };
        seen.push(*c);
        before = Some(*c);
    }
    let kinds: [fn(&char) -> bool; 4] =
        [|c| c.is_lowercase(), |c| c.is_uppercase(), |c| c.is_numeric(), |c| !c.is_alphanumeric()];
    bits + 4 * (kinds.iter().filter(|kind| chars.iter().any(kind)).count() as i32 - 1)
}

fn famous_cost(password: &str, handle: &str) -> i32 {
    const FAMOUS: [&str; 10] =
        ["password", "passwort", "qwert", "12345", "letmein", "iloveyou", "welcome", "hallo", "admin", "abc123"];
    let lower = password.to_lowercase();
    let famous = FAMOUS.iter().filter(|word| lower.contains(**word)).count() as i32;
    let own = i32::from(handle.len() >= 3 && lower.contains(&handle.to_lowercase()));
    20 * (famous + own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_and_variety_count_and_famous_words_do_not() {
        assert_eq!(strength("kurz", ""), Strength::TooShort);
        assert_eq!(strength("password1", ""), Strength::Weak);
        assert_eq!(strength("aaaaaaaaaaaa", ""), Strength::Weak);
        assert_eq!(strength("1234567890", ""), Strength::Weak);
        assert_eq!(strength("robin-2024x", "robin"), Strength::Weak);
        assert_eq!(strength("tea for two at", ""), Strength::Fair);
        assert_eq!(strength("correct horse battery staple", ""), Strength::Strong);
    }
}
