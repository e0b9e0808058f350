//! A phone number while it is typed: grouped for reading, and what is still missing. Whether it is valid is the engine's
//! to say; here it is only about helping.

/// What is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// Nothing was typed.
    Empty,
    /// It does not start with `+` and a country.
    Country,
    /// Something else than digits.
    Digits,
    /// Fewer than 8 digits.
    TooShort,
    /// More than 15 digits.
    TooLong,
}

/// `+` and digits, for the engine.
///
/// # Errors
/// [`Lack`].
pub fn complete(typed: &str) -> Result<String, Lack> {
    let typed = typed.trim().replace("(0)", "");
    if typed.is_empty() {
        return Err(Lack::Empty);
    }
    let typed = match typed.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => typed,
    };
    let Some(rest) = typed.strip_prefix('+') else { return Err(Lack::Country) };
    if rest.chars().any(|c| !c.is_ascii_digit() && !" -/().\u{a0}".contains(c)) {
        return Err(Lack::Digits);
    }
    let digits: String = rest.chars().filter(char::is_ascii_digit).collect();
    match digits.len() {
        ..8 => Err(Lack::TooShort),
        8..=15 => Ok(format!("+{digits}")),
        _ => Err(Lack::TooLong),
    }
}

/// A number as it is read aloud: country code, then groups (`+49 170 123 45 67`).
pub fn grouped(number: &str) -> String {
    let Some(digits) = number.strip_prefix('+') else { return number.to_owned() };
    if !digits.bytes().all(|b| b.is_ascii_digit()) || digits.len() < 5 {
        return number.to_owned();
    }
    let (country, rest) = digits.split_at(country_len(digits));
    let mut out = format!("+{country}");
    let mut left = rest;
    while !left.is_empty() {
        let take = if left.len() > 4 {
            3
        } else if left.len() == 4 {
            2
        } else {
            left.len()
        };
        let (group, more) = left.split_at(take);
        out.push('\u{a0}');
        out.push_str(group);
        left = more;
    }
    out
}

/// Digits of the country code: the two one-digit zones, the two-digit countries, else three (ITU-T E.164 D).
fn country_len(digits: &str) -> usize {
    const TWO: &str = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 60 61 62 63 64 65 \
                       66 81 82 84 86 90 91 92 93 94 95 98";
    match digits.as_bytes()[0] {
        b'1' | b'7' => 1,
        _ if TWO.split(' ').any(|code| digits.starts_with(code)) => 2,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type_becomes_a_number() {
        assert_eq!(complete(" +49 (0)170 / 123-4567 ").unwrap(), "+491701234567");
        assert_eq!(complete("0044 20 7946 0958").unwrap(), "+442079460958");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(complete(""), Err(Lack::Empty));
        assert_eq!(complete("0170 1234567"), Err(Lack::Country));
        assert_eq!(complete("+49 170 x"), Err(Lack::Digits));
        assert_eq!(complete("+49 170"), Err(Lack::TooShort));
        assert_eq!(complete("+4917012345678901234"), Err(Lack::TooLong));
    }

    #[test]
    fn numbers_are_grouped_for_reading() {
        assert_eq!(grouped("+491701234567"), "+49\u{a0}170\u{a0}123\u{a0}45\u{a0}67");
        assert_eq!(grouped("+15550100"), "+1\u{a0}555\u{a0}01\u{a0}00");
        assert_eq!(grouped("ana"), "ana");
    }
}
