//! Hours in which nothing makes a sound: minutes of the day, from and until, through midnight if until is less.

/// What is suggested: from ten in the evening until seven.
pub const NIGHT: (u16, u16) = (22 * 60, 7 * 60);

/// Whether a minute of the day is among them.
pub fn is_quiet(quiet: Option<(u16, u16)>, minute: u16) -> bool {
    match quiet {
        Some((from, until)) if from <= until => (from..until).contains(&minute),
        Some((from, until)) => minute >= from || minute < until,
        None => false,
    }
}

/// As a field for times has it: `07:05`.
pub fn clock(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

/// The other way; seconds are not heard.
pub fn minute_of(clock: &str) -> Option<u16> {
    let mut parts = clock.split(':').map(|part| part.parse::<u16>().ok());
    let (hour, minute) = (parts.next()??, parts.next()??);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_night_goes_through_midnight() {
        for (minute, quiet) in [(22 * 60 - 1, false), (22 * 60, true), (0, true), (419, true), (420, false)] {
            assert_eq!(is_quiet(Some(NIGHT), minute), quiet, "{minute}");
        }
        assert!(is_quiet(Some((60, 120)), 60) && !is_quiet(Some((60, 120)), 120));
        assert!(!is_quiet(Some((60, 60)), 60) && !is_quiet(None, 60));
    }

    #[test]
    fn a_time_is_read_as_it_is_written() {
        for minute in [0, 5, 425, 1439] {
            assert_eq!(minute_of(&clock(minute)), Some(minute));
        }
        assert_eq!(minute_of("22:00:30"), Some(1320));
        assert_eq!((minute_of(""), minute_of("24:00"), minute_of("7")), (None, None, None));
    }
}
