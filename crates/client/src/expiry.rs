//! How long what is said stays: the conversation's expiry, in its policy, the same for all; and single messages' timers.
//!
//! An expiry is counted from the server's time of a message, so that all members' devices agree. When a message is over it is hidden at
//! once, and destroyed as soon as that time is sure ([`clock`]): its rows, what lists show of it, its place in the index, and the
//! key that it lay under ([`crate::keyring`]). A conversation's messages share keys by stretches of time; a stretch is at most a
//! day for an expiry of a month, a week for one of a year.
//!
//! - [`sweep`]: finds what is over.
//! - [`timers`]: clocks that start when a message is read; what can be seen once.
//! - [`refile`]: another expiry for what is there already; what is kept for oneself.

pub(crate) mod archive;
pub(crate) mod clock;
pub(crate) mod refile;
pub(crate) mod sweep;
pub(crate) mod timers;

use crate::api::{
    ConversationId, Expiry, Failure, GroupRole, IntentId, LEAST_TIMER_S, MOST_EXPIRY_S, MOST_TIMER_S, Notice, Role,
    Timer,
};
use crate::engine::{Engine, Purpose};
use crate::keyring::NEVER;
use crate::rows::codec::{choice, record};
use crate::state::Want;
use parlour_e2ee::{EXPIRY_S, Policy};
use parlour_proto::content::Expires;
use parlour_proto::frames::{AccountRef, Answer, AppId, Request};
use parlour_proto::ids::{MessageId, RoomId, UnixMillis};

const MINUTE_MS: u64 = 60_000;
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;
/// How often it is asked what the apps say of expiry.
const ASK_MS: u64 = DAY_MS;

choice! {
    /// [`Timer`], stored.
    enum StoredTimer {
        0 Reading { seconds: u32, },
        1 Sending { seconds: u32, },
        2 Once,
    }
}

choice! {
    /// [`Notice`], stored.
    enum StoredNotice {
        0 Expiry { after_s: Option<u32>, archive: bool, existing: bool, },
        1 Attributed { on: bool, },
    }
}

record! {
    /// What an app says of expiry, seconds.
    struct AppExpiry {
        app: AppId,
        at_first: u64,
        least: u64,
        most: Option<u64>,
    }
}

record! {
    /// What all apps say.
    struct Apps {
        apps: Vec<AppExpiry>,
        asked: UnixMillis,
    }
}

/// What a received message says of its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    Once,
    /// So long after it was read.
    Read {
        seconds: u32,
    },
    /// So long after it was sent, which is the time of its row: all agree on that, and its author's clock may be wrong.
    Sent {
        seconds: u32,
    },
    /// At an instant by its author's clock.
    At {
        unix_s: u32,
    },
}

impl Ends {
    pub(crate) fn new(expires: Expires, lasts: Option<u32>) -> Self {
        match (expires, lasts) {
            (Expires::AfterReading { seconds: 0 }, _) => Self::Once,
            (Expires::AfterReading { seconds }, _) => Self::Read { seconds },
            (Expires::At { .. }, Some(seconds)) => Self::Sent { seconds },
            (Expires::At { unix_s }, None) => Self::At { unix_s },
        }
    }
}

impl StoredTimer {
    pub(crate) fn new(timer: Timer) -> Result<Self, Failure> {
        let fits = |seconds: u32| {
            let fits = (LEAST_TIMER_S..=MOST_TIMER_S).contains(&seconds);
            fits.then_some(seconds).ok_or_else(|| Failure::BadInput("a timer runs 5 seconds to 4 weeks".into()))
        };
        Ok(match timer {
            Timer::Reading(seconds) => Self::Reading { seconds: fits(seconds)? },
            Timer::Sending(seconds) => Self::Sending { seconds: fits(seconds)? },
            Timer::Once => Self::Once,
        })
    }

    pub(crate) fn shown(&self) -> Timer {
        match *self {
            Self::Reading { seconds } => Timer::Reading(seconds),
            Self::Sending { seconds } => Timer::Sending(seconds),
            Self::Once => Timer::Once,
        }
    }

    /// Whether each reader's time is their own.
    pub(crate) fn counts_from_reading(&self) -> bool {
        matches!(self, Self::Reading { .. } | Self::Once)
    }

    /// As it is written into a message that is sealed now.
    pub(crate) fn expires(&self, now: UnixMillis) -> Expires {
        match *self {
            Self::Reading { seconds } => Expires::AfterReading { seconds },
            Self::Once => Expires::AfterReading { seconds: 0 },
            Self::Sending { seconds } => Expires::At { unix_s: unix_s(now.plus_ms(u64::from(seconds) * 1_000)) },
        }
    }

    /// For who wrote the message: the end, counted from when it was sent.
    pub(crate) fn end_of_own(&self, sent: UnixMillis) -> Option<UnixMillis> {
        match *self {
            Self::Reading { seconds } | Self::Sending { seconds } => Some(sent.plus_ms(u64::from(seconds) * 1_000)),
            Self::Once => Some(sent.plus_ms(u64::from(MOST_TIMER_S) * 1_000)),
        }
    }
}

impl From<Notice> for StoredNotice {
    fn from(notice: Notice) -> Self {
        match notice {
            Notice::Expiry { expiry: Expiry { after_s, archive }, existing } => {
                Self::Expiry { after_s, archive, existing }
            }
            Notice::Attributed { on } => Self::Attributed { on },
        }
    }
}

impl StoredNotice {
    pub(crate) fn shown(&self) -> Notice {
        match *self {
            Self::Expiry { after_s, archive, existing } => {
                Notice::Expiry { expiry: Expiry { after_s, archive }, existing }
            }
            Self::Attributed { on } => Notice::Attributed { on },
        }
    }
}

/// When it is to be over, rounded up to seconds.
pub(crate) fn unix_s(instant: UnixMillis) -> u32 {
    u32::try_from(instant.0.div_ceil(1_000)).unwrap_or(u32::MAX)
}

/// The end of the stretch of time that a message's key is for.
pub(crate) fn key_end(time: UnixMillis, expires: Option<UnixMillis>) -> UnixMillis {
    let Some(expires) = expires else { return NEVER };
    let stretch = match expires.since(time) {
        lasts if lasts <= DAY_MS => (lasts / 24).max(MINUTE_MS),
        lasts if lasts <= 35 * DAY_MS => DAY_MS,
        _ => 7 * DAY_MS,
    };
    // In whole minutes, so that stretches of one expiry share their ends.
    let stretch = stretch.next_multiple_of(MINUTE_MS);
    UnixMillis(expires.0.checked_next_multiple_of(stretch).unwrap_or(u64::MAX - 1))
}

/// What a policy says.
pub(crate) fn expiry_in(policy: &Policy) -> Expiry {
    let after_s = policy.expiry_s.map(|seconds| u32::try_from(seconds).unwrap_or(MOST_EXPIRY_S));
    Expiry { after_s, archive: policy.archive == Some(true) }
}

impl Engine {
    // ---- what is set

    /// What goes in a conversation now.
    pub(crate) fn expiry(&self, conversation: ConversationId) -> Option<Expiry> {
        let rooms = || {
            let rooms = &self.s.conversations.get(&conversation)?.rooms;
            rooms.iter().rev().find(|room| self.s.rooms.contains(room)).copied()
        };
        let room = self.best_room(conversation).or_else(rooms)?;
        Some(expiry_in(&self.policy_of(&room)?.0))
    }

    /// When something that is said in a room is over by its policy.
    pub(crate) fn over_at(&self, room: &RoomId, time: UnixMillis) -> Option<UnixMillis> {
        let seconds = self.policy_of(room)?.0.expiry_s?;
        Some(time.plus_ms(seconds.saturating_mul(1_000)))
    }

    /// What a received message says of its end: its timer, and when it is over as far as that is known.
    pub(crate) fn ending(
        &self,
        room: &RoomId,
        time: UnixMillis,
        says: Option<Ends>,
    ) -> (Option<StoredTimer>, Option<UnixMillis>) {
        let policy = self.over_at(room, time);
        let longest = time.plus_ms(u64::from(MOST_TIMER_S) * 1_000);
        let first = |end: UnixMillis| Some(policy.map_or(end, |policy| policy.min(end)));
        match says {
            None => (None, policy),
            Some(Ends::Once) => (Some(StoredTimer::Once), first(longest)),
            Some(Ends::Read { seconds }) => {
                (Some(StoredTimer::Reading { seconds: seconds.clamp(LEAST_TIMER_S, MOST_TIMER_S) }), policy)
            }
            Some(Ends::Sent { seconds }) => {
                let timer = StoredTimer::Sending { seconds: seconds.clamp(LEAST_TIMER_S, MOST_TIMER_S) };
                let end = timer.end_of_own(time);
                (Some(timer), end.and_then(first))
            }
            Some(Ends::At { unix_s }) => {
                let end = UnixMillis(u64::from(unix_s) * 1_000).clamp(time, longest);
                let seconds = u32::try_from(end.since(time) / 1_000).unwrap_or(MOST_TIMER_S);
                (Some(StoredTimer::Sending { seconds: seconds.max(1) }), first(end))
            }
        }
    }

    /// Between what one of this role in a group (`None`: in a conversation of two) may set it; a most of `None`: also off.
    pub(crate) fn expiry_range(
        &self,
        conversation: ConversationId,
        role: Option<GroupRole>,
    ) -> Option<(u32, Option<u32>)> {
        self.best_room(conversation).filter(|_| role.is_none_or(|role| role >= GroupRole::Admin))?;
        let (least, most) = self.apps_range(&self.apps_of(conversation));
        let short = |seconds: u64| u32::try_from(seconds).unwrap_or(MOST_EXPIRY_S);
        Some((short(least), most.map(short)))
    }

    fn apps_of(&self, conversation: ConversationId) -> Vec<AppId> {
        let members = self.s.conversations.get(&conversation).into_iter().flat_map(|c| &c.members);
        let mut apps: Vec<AppId> =
            members.map(|account| &account.app).chain(self.me().map(|me| &me.account.app)).cloned().collect();
        apps.sort();
        apps.dedup();
        apps
    }

    fn known_apps<'a>(&'a self, apps: &'a [AppId]) -> impl Iterator<Item = &'a AppExpiry> {
        let known = self.s.apps.get(&()).into_iter().flat_map(|all| &all.apps);
        known.filter(|known| apps.contains(&known.app))
    }

    /// The strictest of the apps counts.
    fn apps_range(&self, apps: &[AppId]) -> (u64, Option<u64>) {
        let least = self.known_apps(apps).map(|app| app.least).max().unwrap_or(0).max(*EXPIRY_S.start());
        let most = self.known_apps(apps).filter_map(|app| app.most).min();
        (least, most.map(|most| most.clamp(least, *EXPIRY_S.end())))
    }

    /// What goes at first: the shortest of the apps'; a year where nothing is known of them.
    pub(crate) fn expiry_at_first(&self, accounts: &[AccountRef]) -> Option<u64> {
        let apps: Vec<AppId> = accounts.iter().map(|account| account.app.clone()).collect();
        let shortest = self.known_apps(&apps).map(|app| app.at_first).min();
        Some(shortest.unwrap_or(365 * DAY_MS / 1_000).clamp(*EXPIRY_S.start(), *EXPIRY_S.end()))
    }

    pub(crate) fn set_expiry(&mut self, intent: IntentId, id: ConversationId, expiry: Expiry, existing: bool) {
        let wanted = self.s.conversations.get(&id).ok_or(Failure::NotFound("conversation")).and_then(|_| {
            let room = self.best_room(id).ok_or(Failure::NotFound("conversation that can be changed now"))?;
            let is_group = self.is_group_room(&room);
            let role = self.me().filter(|_| is_group).map(|me| self.role_in(&room, &me.account));
            let Some((least, most)) = self.expiry_range(id, role) else {
                return Err(Failure::BadInput("only admins say how long messages stay in this group".into()));
            };
            let fits = match (expiry.after_s, most) {
                (None, most) => most.is_none(),
                (Some(seconds), most) => (least..=most.unwrap_or(MOST_EXPIRY_S)).contains(&seconds),
            };
            let range = || match most {
                Some(most) => format!("messages stay {least} to {most} seconds in this conversation's apps"),
                None => format!("messages stay at least {least} seconds, at most a year, or always"),
            };
            fits.then_some(room).ok_or_else(|| Failure::BadInput(range()))
        });
        let want = |room| (room, Want::Expiry { after_s: expiry.after_s, archive: expiry.archive, existing });
        self.want_for(intent, wanted.map(want));
    }

    /// The policy of a room is another one: what follows from it, and what everybody sees of it.
    pub(crate) fn policy_set(
        &mut self,
        room: RoomId,
        by: Option<AccountRef>,
        time: UnixMillis,
        commit: MessageId,
        (before, after): (&Policy, &Policy),
    ) {
        let Some(conversation) = self.s.rooms.get(&room).map(|r| r.conversation) else { return };
        if before.attributed != after.attributed {
            // An id of its own: the same commit may have set how long messages stay, too.
            let id = MessageId(commit.0.map(|byte| !byte));
            self.put_notice(conversation, id, by.clone(), time, StoredNotice::Attributed { on: after.attributed });
            self.tell_conversation(conversation);
        }
        let existing = before.expiry_again != after.expiry_again;
        if expiry_in(before) == expiry_in(after) && !existing {
            return;
        }
        let Expiry { after_s, archive } = expiry_in(after);
        self.put_notice(conversation, commit, by, time, StoredNotice::Expiry { after_s, archive, existing });
        if existing {
            self.refile(conversation, refile::Refiling::Expiry { after_s });
        }
        self.tell_conversation(conversation);
    }

    // ---- what the apps say

    pub(crate) fn settle_apps(&mut self) {
        let now = self.now;
        if self.s.apps.get(&()).is_none_or(|apps| now.since(apps.asked) >= ASK_MS) {
            self.ask(Role::Inbox, Purpose::Apps, || Request::Apps);
        }
    }

    pub(crate) fn on_apps(&mut self, answer: Answer) {
        let Answer::Apps(infos) = answer else { return };
        let expiry = |info: parlour_proto::frames::AppInfo| AppExpiry {
            app: info.app,
            at_first: info.expiry_s,
            least: info.expiry_least_s,
            most: info.expiry_most_s,
        };
        let apps = Apps { apps: infos.into_iter().map(expiry).collect(), asked: self.now };
        self.s.apps.insert((), apps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scale;
    use rand_core::SeedableRng as _;

    #[test]
    fn what_a_message_says_of_its_end_is_bounded() {
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(1);
        let [one, other] = [1, 2].map(|n| crate::contacts::e2ee_account(&scale::account(n)));
        let mut policy = Policy::direct(one, other, &mut rng);
        policy.expiry_s = Some(86_400);
        let mut engine = Engine::open([]).unwrap();
        let (room, time) = (RoomId([1; 16]), UnixMillis(1_800_000_000_000));
        let stored = crate::state::Room { policy: policy.to_bytes().into(), ..scale::room(1) };
        engine.s.rooms.insert(room, stored);
        let ending = |says| {
            let (timer, expires) = engine.ending(&room, time, Some(says));
            (timer.map(|timer| timer.shown()), expires.map(|end| end.since(time)))
        };
        assert_eq!(ending(Ends::At { unix_s: 1 }), (Some(Timer::Sending(1)), Some(0)), "in the past: over at once");
        assert_eq!(ending(Ends::At { unix_s: u32::MAX }), (Some(Timer::Sending(MOST_TIMER_S)), Some(DAY_MS)));
        let most = Ends::Read { seconds: u32::MAX };
        assert_eq!(ending(most), (Some(Timer::Reading(MOST_TIMER_S)), Some(DAY_MS)), "not past the policy's");
        assert_eq!(ending(Ends::Read { seconds: 1 }), (Some(Timer::Reading(LEAST_TIMER_S)), Some(DAY_MS)));
        assert_eq!(ending(Ends::Once), (Some(Timer::Once), Some(DAY_MS)));
    }

    #[test]
    fn a_key_lasts_little_longer_than_what_lies_under_it() {
        const HOUR_MS: u64 = 3_600_000;
        let start = 1_800_000_123_456;
        for (lasts, most) in [
            (HOUR_MS, 3 * MINUTE_MS),
            (DAY_MS, HOUR_MS),
            (7 * DAY_MS, DAY_MS),
            (30 * DAY_MS, DAY_MS),
            (365 * DAY_MS, 7 * DAY_MS),
        ] {
            let mut ends = std::collections::BTreeSet::new();
            for n in 0..1_000 {
                let time = UnixMillis(start + n * lasts / 1_000);
                let expires = time.plus_ms(lasts);
                let end = key_end(time, Some(expires));
                assert!(end >= expires && end.since(expires) < most, "{lasts}");
                ends.insert(end);
            }
            assert!(ends.len() <= 54, "{lasts}: {} keys", ends.len());
        }
        assert_eq!(key_end(UnixMillis(start), None), NEVER);
        assert!(key_end(UnixMillis(start), Some(NEVER)) < NEVER);
    }
}
