//! Small texts for people: durations, ages, hexadecimal ids, digits in groups.

use parlour_proto::ids::UnixMillis;

/// A duration, rounded up to its largest unit: `40 s`, `2 min`, `3 h`, `5 d`.
pub(crate) fn duration(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match seconds {
        0..=90 => format!("{seconds} s"),
        91..=5_400 => format!("{} min", seconds.div_ceil(60)),
        5_401..=172_800 => format!("{} h", seconds.div_ceil(3_600)),
        _ => format!("{} d", seconds.div_ceil(86_400)),
    }
}

/// How long ago: `now`, `5 min`, `3 h`, `2 d`.
pub(crate) fn age(then: UnixMillis, now: UnixMillis) -> String {
    let seconds = now.since(then) / 1000;
    match seconds {
        0..=59 => "now".to_owned(),
        60..=3_599 => format!("{} min", seconds / 60),
        3_600..=86_399 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// The first characters of an id, enough to type.
pub(crate) fn short(id: &[u8]) -> String {
    hex::encode(&id[..id.len().min(4)])
}

/// `1234567890` in groups of five.
pub(crate) fn groups_of_five(digits: &str) -> Vec<String> {
    groups(digits, 5)
}

/// `123456` in groups of three.
pub(crate) fn groups_of_three(digits: &str) -> Vec<String> {
    groups(digits, 3)
}

fn groups(digits: &str, of: usize) -> Vec<String> {
    let digits: Vec<char> = digits.chars().filter(char::is_ascii_digit).collect();
    digits.chunks(of).map(|group| group.iter().collect()).collect()
}

/// Text of others, made safe for a terminal: no control characters but line breaks, no reordering of what is shown.
pub(crate) fn plain(text: &str) -> String {
    let harmful =
        |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if harmful(c) { '\u{fffd}' } else { c }).collect()
}

/// The day of an instant, in universal time: `2026-11-22`.
pub(crate) fn date(at: UnixMillis) -> String {
    // Days since 1 March of the year 0, by eras of 400 years (Howard Hinnant's `civil_from_days`).
    let days = at.0 / 86_400_000 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    format!("{:04}-{month:02}-{date:02}", era * 400 + year + u64::from(month <= 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        let at = |s: u64| age(UnixMillis(0), UnixMillis(s * 1000));
        assert_eq!([at(3), at(61), at(7_300), at(200_000)], ["now", "1 min", "2 h", "2 d"]);
        assert_eq!([duration(40_000), duration(90_500), duration(86_400_000)], ["40 s", "2 min", "24 h"]);
    }

    #[test]
    fn a_terminal_cannot_be_steered_by_a_message() {
        assert_eq!(plain("a\u{1b}[2Jb\nc\u{202e}d"), "a\u{fffd}[2Jb\nc\u{fffd}d");
    }

    #[test]
    fn digits_come_in_fives_or_threes() {
        assert_eq!(groups_of_three("482 719356021").join(" "), "482 719 356 021");
        assert_eq!(groups_of_five("12345 6789012"), ["12345", "67890", "12"]);
    }

    #[test]
    fn days_have_their_dates() {
        let day = |days: u64| date(UnixMillis(days * 86_400_000));
        assert_eq!(
            [day(0), day(19_782), day(20_000), day(20_088)],
            ["1970-01-01", "2024-02-29", "2024-10-04", "2024-12-31"]
        );
    }
}
