//! What an operator may choose about lifetimes: the section `[retention]`. A ceiling is never exceeded, an unknown name refused.
//!
//! [`Settings`] is what was written; only [`Settings::lifetimes`], which checks it, makes [`Lifetimes`], by which rows are written.

use parlour_proto::ids::UnixMillis;
use parlour_store::{UnixDay, UnixTime};
use serde::Deserialize;

use super::{DAY_S, HOUR_S, Kind, Lifetime};

/// Days that a commit is kept longer than what points to it.
const LOG_AFTER_MAILBOX_DAYS: u32 = 7;

/// What a setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// 60 seconds.
    Minutes,
    /// 60 minutes.
    Hours,
    /// 24 hours.
    Days,
}

impl Unit {
    fn seconds(self) -> u64 {
        match self {
            Self::Minutes => 60,
            Self::Hours => HOUR_S,
            Self::Days => DAY_S,
        }
    }
}

macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $setting:ident = $default:literal $unit:ident in $least:literal..=$most:literal;)*) => {
        /// The section as written; the defaults are those in the commented file.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct Settings {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl Default for Settings {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        /// A lifetime that the operator may choose below its ceiling.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Setting {
            $($(#[$doc])* $setting,)*
        }

        impl Setting {
            /// All of them.
            pub const ALL: &'static [Setting] = &[$(Setting::$setting,)*];

            /// Its name in the configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$setting => stringify!($field),)* }
            }

            /// What it counts.
            pub fn unit(self) -> Unit {
                match self { $(Self::$setting => Unit::$unit,)* }
            }

            /// The least and the most that may be chosen.
            pub fn bounds(self) -> (u32, u32) {
                match self { $(Self::$setting => ($least, $most),)* }
            }
        }

        impl Setting {
            /// The most that may be chosen, in seconds.
            pub fn ceiling_s(self) -> u64 {
                u64::from(self.bounds().1) * self.unit().seconds()
            }
        }

        impl Settings {
            fn of(&self, setting: Setting) -> u32 {
                match setting { $(Setting::$setting => self.$field,)* }
            }
        }
    };
}

settings! {
    /// Rows that wait for a device.
    mailbox_days: Mailbox = 30 Days in 1..=30;
    /// A room's commits and their answers; a week longer than what points to them.
    log_days: Log = 37 Days in 8..=37;
    /// A room that nobody loads any more, with its requests.
    room_days: Room = 400 Days in 120..=400;
    /// Who claimed whom as a stranger.
    claim_hours: Claim = 72 Hours in 1..=72;
    /// How many strangers an account claimed on a day.
    claim_count_days: ClaimCount = 30 Days in 1..=30;
    /// Key packages that nobody claimed.
    key_package_days: KeyPackage = 90 Days in 30..=90;
    /// Invites.
    invite_days: Invite = 365 Days in 1..=365;
    /// Freed handles, which nobody gets.
    quarantine_days: Quarantine = 30 Days in 1..=365;
    /// One-time codes.
    code_minutes: Code = 5 Minutes in 1..=5;
    /// What is between proving a handle and being signed in.
    ticket_minutes: Ticket = 10 Minutes in 1..=10;
    /// Relays for linking devices.
    relay_minutes: Relay = 10 Minutes in 2..=10;
}

/// What is wrong with a section.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("retention.{setting}: {what}; {advice}")]
pub struct Fault {
    /// Its name in the configuration.
    pub setting: &'static str,
    /// What was found.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Settings {
    /// The lifetimes, if none is beyond its ceiling.
    ///
    /// # Errors
    /// Every [`Fault`].
    pub fn lifetimes(&self) -> Result<Lifetimes, Vec<Fault>> {
        let mut faults: Vec<Fault> = Setting::ALL.iter().filter_map(|setting| self.fault(*setting)).collect();
        let least = self.mailbox_days.saturating_add(LOG_AFTER_MAILBOX_DAYS);
        if faults.is_empty() && self.log_days < least {
            let what = format!("{} is too short: waiting rows of {} days point to commits", self.log_days, least - 7);
            faults.push(Fault { setting: "log_days", what, advice: format!("use at least {least}") });
        }
        if faults.is_empty() { Ok(Lifetimes(self.clone())) } else { Err(faults) }
    }

    fn fault(&self, setting: Setting) -> Option<Fault> {
        let (given, (least, most)) = (self.of(setting), setting.bounds());
        let what = match given {
            given if given > most => format!("{given} is longer than {most}, which nothing may exceed"),
            given if given < least => format!("{given} is shorter than {least}, with which it still works"),
            _ => return None,
        };
        Some(Fault { setting: setting.name(), what, advice: format!("use {least} to {most}") })
    }
}

/// Lifetimes that were checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifetimes(Settings);

impl Lifetimes {
    /// How long what goes by this setting is kept, in the setting's unit.
    pub fn chosen(&self, setting: Setting) -> u32 {
        self.0.of(setting)
    }

    /// The same, in seconds.
    pub fn seconds(&self, setting: Setting) -> u64 {
        u64::from(self.chosen(setting)) * setting.unit().seconds()
    }

    /// The same, in milliseconds.
    pub fn ms(&self, setting: Setting) -> u64 {
        self.seconds(setting) * 1_000
    }

    /// How long at most; `None` for what has no number of days.
    pub fn most_s(&self, lifetime: Lifetime) -> Option<u64> {
        match lifetime {
            Lifetime::Seconds(s) => Some(s),
            Lifetime::Set(setting) => Some(self.seconds(setting)),
            Lifetime::Account | Lifetime::Work | Lifetime::Data => None,
        }
    }

    /// When a row of this kind, written now, disappears.
    pub fn expires(&self, kind: Kind, now: UnixMillis) -> Option<UnixTime> {
        self.most_s(kind.kept().lifetime).map(|s| UnixTime(now.seconds()).plus_s(s))
    }

    /// The day on which a mailbox row written now is gone: its last one is lived to the end, because times are kept as days.
    pub fn mailbox_row_expires(&self, now: UnixMillis) -> UnixDay {
        UnixTime(now.seconds()).day().plus(self.queue_row_days())
    }

    /// Days after the day it was written on which a mailbox row, and the day's key, are gone.
    pub fn queue_row_days(&self) -> u32 {
        self.chosen(Setting::Mailbox) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_may_be_shortened_and_not_exceeded() {
        for setting in Setting::ALL {
            let (least, most) = setting.bounds();
            let with = |value: u32| {
                let mut text = format!("{} = {value}", setting.name());
                // Commits outlive what points to them.
                if *setting == Setting::Log {
                    text.push_str("\nmailbox_days = 1");
                }
                toml::from_str::<Settings>(&text).unwrap().lifetimes()
            };
            assert_eq!(with(least).unwrap().chosen(*setting), least, "{setting:?}");
            assert_eq!(with(most).unwrap().chosen(*setting), most, "{setting:?}");
            for beyond in [most + 1, least - 1, u32::MAX] {
                let faults = with(beyond).unwrap_err();
                assert_eq!((faults.len(), faults[0].setting), (1, setting.name()), "{beyond}");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused() {
        let error = toml::from_str::<Settings>("mailbox_day = 3").unwrap_err().to_string();
        assert!(error.contains("mailbox_day") && error.contains("mailbox_days"), "{error}");
    }

    #[test]
    fn commits_outlive_the_rows_that_point_to_them() {
        let settings = |mailbox_days, log_days| Settings { mailbox_days, log_days, ..Settings::default() };
        assert!(settings(7, 14).lifetimes().is_ok());
        let faults = settings(7, 13).lifetimes().unwrap_err();
        assert!(faults[0].to_string().contains("use at least 14"), "{faults:?}");
    }
}
