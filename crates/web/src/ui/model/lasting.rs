//! How long things stay, in words: a conversation's expiry, a message's timer, what is left of it, and who changed it.

use super::when::{Local, day_name};
use crate::ui::strings::{Strings, fill, plural};
use parlour_client::api::{Expiry, MOST_EXPIRY_S, Message, Notice, Preview, Timer};
use parlour_proto::ids::UnixMillis;

const MINUTE_S: u32 = 60;
/// An hour, seconds.
pub const HOUR_S: u32 = 60 * MINUTE_S;
/// A day, seconds.
pub const DAY_S: u32 = 24 * HOUR_S;
/// A week, seconds.
pub const WEEK_S: u32 = 7 * DAY_S;
const MONTH_S: u32 = 30 * DAY_S;
const YEAR_S: u32 = 365 * DAY_S;

/// What is offered for a conversation, seconds.
pub const TERMS: [u32; 6] = [HOUR_S, DAY_S, WEEK_S, MONTH_S, 3 * MONTH_S, YEAR_S];
/// What is offered for one message, seconds.
pub const TIMERS: [u32; 7] = [5, 30, MINUTE_S, HOUR_S, DAY_S, WEEK_S, 4 * WEEK_S];

/// `1 week`, `90 minutes`: in the largest unit that counts it whole. (As it stands after "after".)
pub fn span(seconds: u32, words: &Strings) -> String {
    let units = [
        (YEAR_S, words.years),
        (MONTH_S, words.months_count),
        (WEEK_S, words.weeks),
        (DAY_S, words.days),
        (HOUR_S, words.hours),
        (MINUTE_S, words.minutes),
    ];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, forms) = whole.unwrap_or((1, words.seconds));
    plural(forms, (seconds / unit) as usize)
}

/// `30 s`, `5 min`, `3 h`, `28 d`: for a place with little room, rounded up.
pub fn brief(seconds: u32, words: &Strings) -> String {
    let units = [(MINUTE_S, 1, words.unit_s), (HOUR_S, MINUTE_S, words.unit_min), (DAY_S, HOUR_S, words.unit_h)];
    let fits = units.into_iter().find(|(below, ..)| seconds < *below);
    let (unit, name) = fits.map_or((DAY_S, words.unit_d), |(_, unit, name)| (unit, name));
    format!("{} {name}", seconds.div_ceil(unit))
}

/// `after 1 week`, `never`.
pub fn term(after_s: Option<u32>, words: &Strings) -> String {
    after_s.map_or_else(|| words.expiry_never.to_owned(), |s| fill(words.expiry_after, &[("span", &span(s, words))]))
}

/// What was chosen for a conversation: seconds, empty for never, or `custom` for so many of a unit. `None` for what is no
/// number, or is not between the least and the most.
pub fn chosen(choice: &str, count: &str, unit: u32, (least, most): (u32, Option<u32>)) -> Option<Option<u32>> {
    let seconds = match choice {
        "" => return Some(None),
        "custom" => count.trim().parse::<u32>().ok()?.checked_mul(unit)?,
        given => return given.parse().ok().map(Some),
    };
    (least..=most.unwrap_or(MOST_EXPIRY_S)).contains(&seconds).then_some(Some(seconds))
}

/// A timer as it is chosen: `30 seconds after reading`.
pub fn timer(timer: Timer, words: &Strings) -> String {
    match timer {
        Timer::Reading(s) => fill(words.timer_reading_of, &[("span", &span(s, words))]),
        Timer::Sending(s) => fill(words.timer_sending_of, &[("span", &span(s, words))]),
        Timer::Once => words.timer_once.to_owned(),
    }
}

/// What a message's clock shows: where it has a timer, or a day is left at the most.
pub fn clock(message: &Message, now: UnixMillis, words: &Strings) -> Option<String> {
    let timer_s = match message.timer {
        _ if message.kept || message.deleted => return None,
        Some(Timer::Once) => return None,
        Some(Timer::Reading(s) | Timer::Sending(s)) => Some(s),
        None => None,
    };
    let left_s = message.expires.map(|at| u32::try_from(at.since(now).div_ceil(1000)).unwrap_or(u32::MAX));
    let shown = match (left_s, timer_s) {
        // The clock that it is drawn by may be a moment behind.
        (Some(left_s), Some(timer_s)) => Some(left_s.min(timer_s)),
        (left_s, timer_s) => left_s.filter(|left_s| *left_s <= DAY_S).or(timer_s),
    };
    shown.map(|seconds| brief(seconds, words))
}

/// When it will go, in a sentence; `at` is [`Message::expires`] where the reader is.
pub fn ending(message: &Message, at: Option<Local>, today: i64, words: &Strings) -> String {
    let after = |sentence, s| fill(sentence, &[("span", &span(s, words))]);
    match (at, message.timer) {
        (Some(at), _) => {
            let sentence = match at.day - today {
                ..=0 => words.ends_today,
                1 => words.ends_tomorrow,
                _ => words.ends_on,
            };
            fill(sentence, &[("day", &day_name(at.day, today, words)), ("time", &at.time())])
        }
        (None, Some(Timer::Reading(s))) if message.from.is_some() => after(words.ends_reading, s),
        (None, Some(Timer::Reading(s) | Timer::Sending(s))) => after(words.ends_sending, s),
        (None, _) => String::new(),
    }
}

/// What happened, in a sentence; `who` is `None` for oneself.
pub fn notice(notice: Notice, who: Option<&str>, words: &Strings) -> String {
    let (Expiry { after_s, archive }, existing) = match notice {
        Notice::Expiry { expiry, existing } => (expiry, existing),
        Notice::Attributed { on } => {
            let sentence = match (on, who) {
                (true, Some(_)) => words.notice_attributed,
                (true, None) => words.notice_attributed_you,
                (false, Some(_)) => words.notice_unattributed,
                (false, None) => words.notice_unattributed_you,
            };
            return fill(sentence, &[("who", who.unwrap_or_default())]);
        }
    };
    let sentence = match (after_s, who) {
        (Some(_), Some(_)) => words.notice_on,
        (Some(_), None) => words.notice_on_you,
        (None, Some(_)) => words.notice_off,
        (None, None) => words.notice_off_you,
    };
    let span = after_s.map(|s| span(s, words)).unwrap_or_default();
    let mut said = fill(sentence, &[("who", who.unwrap_or_default()), ("span", &span)]);
    if after_s.is_some() {
        said.push_str(if existing { words.notice_existing } else { "" });
        said.push_str(if archive { words.notice_keep } else { "" });
    }
    said
}

/// One line of a message, for lists and quotes: never the text of one that can be seen once.
pub fn line(message: &Preview, words: &Strings) -> String {
    let who = message.from.as_ref().map(|_| message.from_name.as_deref().unwrap_or(words.somebody));
    match message.notice {
        Some(told) => notice(told, who, words),
        None if message.once => words.once_hidden.to_owned(),
        None => super::text::preview(&message.text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::model::samples::{message, received};
    use crate::ui::model::state::preview;
    use crate::ui::strings::{DE, EN};

    #[test]
    fn spans_are_said_in_the_largest_unit_that_counts_them_whole() {
        let said = [5, 60, 90 * 60, DAY_S, 4 * WEEK_S, 90 * DAY_S, YEAR_S, 366 * DAY_S].map(|s| span(s, &EN));
        let expected = ["5 seconds", "1 minute", "90 minutes", "1 day", "4 weeks", "3 months", "1 year", "366 days"];
        assert_eq!(said, expected);
        assert_eq!(term(Some(90 * DAY_S), &DE), "nach 3 Monaten");
        assert_eq!(term(None, &EN), "never");
        assert_eq!(
            [59, 60, 61, HOUR_S, DAY_S, 4 * WEEK_S].map(|s| brief(s, &EN)),
            ["59 s", "1 min", "2 min", "1 h", "1 d", "28 d"]
        );
    }

    #[test]
    fn a_custom_time_lies_between_the_least_and_the_most() {
        let custom = |count, unit| chosen("custom", count, unit, (DAY_S, Some(WEEK_S)));
        assert_eq!(custom(" 3", DAY_S), Some(Some(3 * DAY_S)));
        for (count, unit) in
            [("23", HOUR_S), ("8", DAY_S), ("x", DAY_S), ("", DAY_S), ("-1", WEEK_S), ("4000000000", WEEK_S)]
        {
            assert_eq!(custom(count, unit), None, "{count}");
        }
        assert_eq!(chosen("custom", "367", DAY_S, (HOUR_S, None)), None);
        assert_eq!(chosen("", "", DAY_S, (HOUR_S, None)), Some(None));
        assert_eq!(chosen("86400", "", DAY_S, (HOUR_S, None)), Some(Some(DAY_S)));
    }

    #[test]
    fn a_clock_is_there_with_a_timer_or_on_the_last_day() {
        let now = UnixMillis(1_000_000);
        let at = |left_s: u64| Some(UnixMillis(now.0 + left_s * 1000 - 1));
        let shown = |message: &Message| clock(message, now, &EN);
        let plain = |expires| Message { expires, ..received(1, "x") };
        assert_eq!(shown(&plain(None)), None);
        assert_eq!(shown(&plain(at(u64::from(DAY_S) + 1))), None);
        assert_eq!(shown(&plain(at(7_200))), Some("2 h".to_owned()));
        assert_eq!(shown(&plain(Some(UnixMillis(5)))), Some("0 s".to_owned()));
        let timed = |expires| Message { timer: Some(Timer::Reading(WEEK_S)), ..plain(expires) };
        assert_eq!(shown(&timed(None)), Some("7 d".to_owned()));
        assert_eq!(shown(&timed(at(u64::from(2 * DAY_S)))), Some("2 d".to_owned()));
        assert_eq!(shown(&Message { kept: true, ..plain(at(60)) }), None);
        assert_eq!(shown(&Message { timer: Some(Timer::Once), ..plain(at(60)) }), None);
    }

    #[test]
    fn how_a_message_will_end_is_said_before_and_after_its_clock_has_begun() {
        let timed = |timer| Message { timer: Some(timer), ..received(1, "x") };
        let own = Message { timer: Some(Timer::Reading(30)), ..message(1, "x") };
        let says = |message: &Message, at| ending(message, at, 19_782, &EN);
        assert_eq!(says(&timed(Timer::Reading(30)), None), "disappears 30 seconds after you read it");
        assert_eq!(says(&own, None), "disappears 30 seconds after it was sent");
        let at = |day| Some(Local { day, minute: 845 });
        assert_eq!(says(&own, at(19_782)), "disappears today at 14:05");
        assert_eq!(says(&own, at(19_783)), "disappears tomorrow at 14:05");
        assert_eq!(says(&own, at(19_785)), "disappears on 3 March at 14:05");
    }

    #[test]
    fn who_changed_how_long_messages_stay_is_said_in_a_sentence() {
        let set = |after_s, archive, existing| Notice::Expiry { expiry: Expiry { after_s, archive }, existing };
        let week = set(Some(WEEK_S), false, true);
        assert_eq!(
            notice(week, Some("Maya"), &EN),
            "Maya set messages to disappear after 1 week, also those that were here"
        );
        assert_eq!(notice(set(None, true, false), None, &EN), "You switched disappearing messages off");
        assert_eq!(
            notice(set(Some(DAY_S), true, false), None, &EN),
            "You set messages to disappear after 1 day. People may keep messages here"
        );
        let told = Message { notice: Some(week), text: "fallback".to_owned(), ..received(1, "") };
        assert!(line(&preview(&told), &EN).starts_with("Ana set messages"));
    }

    #[test]
    fn what_can_be_seen_once_is_in_no_list() {
        let once = Message { timer: Some(Timer::Once), ..received(1, "SECRET") };
        assert_eq!(line(&preview(&once), &EN), "View-once message");
        assert_eq!(line(&preview(&received(1, "plain\ntext")), &EN), "plain text");
    }
}
