//! Days and times as people say them. Local time is an offset given from outside, not read here.

use crate::ui::strings::Strings;
use parlour_proto::ids::UnixMillis;

/// An instant where the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Minutes since midnight.
    pub minute: u32,
}

impl Local {
    /// `offset_min`: minutes east of Greenwich at that instant.
    pub fn of(instant: UnixMillis, offset_min: i32) -> Self {
        let minutes = (instant.0 / 60_000) as i64 + i64::from(offset_min);
        Self { day: minutes.div_euclid(1440), minute: minutes.rem_euclid(1440) as u32 }
    }

    /// `14:05`.
    pub fn time(self) -> String {
        format!("{:02}:{:02}", self.minute / 60, self.minute % 60)
    }
}

/// A day in full, as a separator in a conversation: `Today`, `Yesterday`, `Monday`, `3 March`, `3 March 2024`.
pub fn day_name(day: i64, today: i64, words: &Strings) -> String {
    match today - day {
        0 => words.today.to_owned(),
        1 => words.yesterday.to_owned(),
        2..=6 => words.weekdays[weekday(day)].to_owned(),
        _ => {
            let (year, month, date) = civil(day);
            let name = words.months[month - 1];
            let point = words.after_date;
            if civil(today).0 == year {
                format!("{date}{point} {name}")
            } else {
                format!("{date}{point} {name} {year}")
            }
        }
    }
}

/// An instant in a narrow column: the time today, else the day as short as it is clear.
pub fn short(at: Local, today: i64, words: &Strings) -> String {
    match today - at.day {
        ..=0 => at.time(),
        1 => words.yesterday.to_owned(),
        2..=6 => words.weekdays_short[weekday(at.day)].to_owned(),
        _ => {
            let (year, month, date) = civil(at.day);
            if civil(today).0 == year {
                format!("{date}{} {}", words.after_date, words.months_short[month - 1])
            } else {
                format!("{date:02}.{month:02}.{:02}", year.rem_euclid(100))
            }
        }
    }
}

/// 0 is Monday.
fn weekday(day: i64) -> usize {
    (day + 3).rem_euclid(7) as usize
}

/// Year, month (1 to 12), day of the month (Howard Hinnant, "chrono-compatible low-level date algorithms").
fn civil(day: i64) -> (i64, usize, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month as usize, date)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::strings::{DE, EN};

    /// 2024-02-29, a Thursday.
    const LEAP: i64 = 19_782;

    #[test]
    fn days_are_named_by_how_far_they_are() {
        assert_eq!(day_name(LEAP, LEAP, &EN), "Today");
        assert_eq!(day_name(LEAP - 1, LEAP, &EN), "Yesterday");
        assert_eq!(day_name(LEAP, LEAP + 3, &EN), "Thursday");
        assert_eq!(day_name(LEAP, LEAP + 30, &EN), "29 February");
        assert_eq!(day_name(LEAP, LEAP + 400, &DE), "29. Februar 2024");
    }

    #[test]
    fn a_narrow_column_gets_the_least_that_is_clear() {
        let at = Local { day: LEAP, minute: 65 };
        assert_eq!(short(at, LEAP, &EN), "01:05");
        assert_eq!(short(at, LEAP + 2, &DE), "Do");
        assert_eq!(short(at, LEAP + 20, &EN), "29 Feb");
        assert_eq!(short(at, LEAP + 500, &EN), "29.02.24");
    }

    #[test]
    fn local_days_begin_at_local_midnight() {
        let instant = UnixMillis(LEAP as u64 * 86_400_000 + 30 * 60_000);
        assert_eq!(Local::of(instant, 0), Local { day: LEAP, minute: 30 });
        assert_eq!(Local::of(instant, -60).day, LEAP - 1);
        assert_eq!(Local::of(instant, 330).time(), "06:00");
    }
}
