//! A home's set of identities: one engine for each account that this home answers for (DESIGN §8).
//!
//! It is driven as one engine is ([`crate::api`]); each engine keeps its own rows, keys, sockets and timers, and none knows of
//! the others. What a shell wants goes to the one that it concerns:
//!
//! | intent | to |
//! |---|---|
//! | about a conversation, or to an address that one of them talks with | the identity whose it is |
//! | [`Intent::As`] | the one that it names |
//! | lists, `Status`, `Sync`, `GoOffline` | all; one answer |
//! | [`Intent::LinkAccount`] | a new one, kept if the link succeeds |
//! | [`Intent::Unlink`] | the one that it names: taken off its account's list, then erased here |
//! | anything else | the first |
//!
//! An identity other than the first that is signed out (its device was revoked, its account is gone) is erased here.

mod doubles;

use self::doubles::Double;
use crate::api::{
    Changes, ConversationId, Effect, Event, Failure, IdentityId, Input, Intent, IntentId, Reply, Socket, Status, Target,
};
use crate::engine::Engine;
use crate::messages::Pair;
use crate::rows::codec::BrokenRow;
use crate::rows::{EAGER, LAZY, identity_of, prefixes};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;
use std::collections::VecDeque;

/// Load tokens of an engine are below this; its number stands above.
const TOKEN_BITS: u32 = 48;
/// Most accounts of one home.
const MOST: usize = 16;
const FIRST: IdentityId = IdentityId(0);

/// Answers of several engines that become one.
struct Gathered {
    intent: IntentId,
    waits_for: usize,
    replies: Vec<Result<Reply, Failure>>,
}

/// The engines of one home. See [`crate::api`] for how to drive it.
pub struct Identities {
    /// By number. (Lists, for these few: maps would be more code for every browser to download.)
    engines: Vec<(IdentityId, Engine)>,
    pool_size: u32,
    /// Being linked: not an identity yet.
    joining: Vec<IdentityId>,
    /// Being taken off their account's list, for whom.
    leaving: Vec<(IdentityId, IntentId)>,
    /// Of an account that another one answers for: nobody sees them.
    doubles: Vec<Double>,
    gathered: Vec<Gathered>,
    wakes: Vec<(IdentityId, UnixMillis)>,
    told_wake: Option<UnixMillis>,
    effects: VecDeque<Effect>,
    /// Loads of rows that are to be erased.
    erased: Vec<u64>,
    /// To be erased at the first input.
    remains: Vec<IdentityId>,
    online: bool,
}

impl std::fmt::Debug for Identities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identities").field("engines", &self.engines.len()).finish_non_exhaustive()
    }
}

impl Identities {
    /// All identities of the stored rows of class [`EAGER`] (others are skipped); one that is nobody yet if there are none.
    ///
    /// # Errors
    /// [`BrokenRow`] when a row is of a newer version, or damaged.
    pub fn open(rows: impl IntoIterator<Item = Pair>) -> Result<Self, BrokenRow> {
        let mut by_identity: Vec<(IdentityId, Vec<Pair>)> = vec![(FIRST, Vec::new())];
        for (key, value) in rows {
            let Some(identity) = identity_of(&key).map(IdentityId) else { continue };
            match by_identity.iter_mut().find(|(id, _)| *id == identity) {
                Some((_, rows)) => rows.push((key, value)),
                None => by_identity.push((identity, vec![(key, value)])),
            }
        }
        by_identity.sort_by_key(|(id, _)| *id);
        let mut engines = Vec::new();
        for (id, rows) in by_identity {
            engines.push((id, Engine::open_as(id, rows)?));
        }
        // What was being erased, or linked, when the process ended.
        let remains = engines.iter().filter(|(id, engine)| *id != FIRST && !engine.is_live()).map(|(id, _)| *id);
        let mut identities = Identities {
            remains: remains.collect(),
            engines,
            pool_size: crate::keypackages::POOL_SIZE,
            joining: Vec::new(),
            leaving: Vec::new(),
            doubles: Vec::new(),
            gathered: Vec::new(),
            wakes: Vec::new(),
            told_wake: None,
            effects: VecDeque::new(),
            erased: Vec::new(),
            online: false,
        };
        identities.find_doubles();
        Ok(identities)
    }

    /// Takes one input in. Drain [`poll`](Self::poll) afterwards.
    pub fn handle(&mut self, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        for identity in std::mem::take(&mut self.remains) {
            self.erase(identity);
        }
        match input {
            Input::Intent(id, intent) => self.on_intent(id, intent, now, rng),
            Input::Connected(Socket { identity, .. }) | Input::Frame(Socket { identity, .. }, _) => {
                self.feed(identity, input, now, rng);
            }
            Input::Disconnected(Socket { identity, .. }) => {
                self.feed(identity, input, now, rng);
                self.double_lost(identity);
            }
            Input::Tick => {
                let all: Vec<IdentityId> = self.engines.iter().map(|(id, _)| *id).collect();
                self.wakes.retain(|(_, wake)| *wake > now);
                for identity in all {
                    self.feed(identity, Input::Tick, now, rng);
                }
            }
            Input::Loaded { token, rows } if self.erased.contains(&token) => {
                self.erased.retain(|erased| *erased != token);
                self.erase_rows(rows);
            }
            Input::Loaded { token, rows } => {
                let identity = IdentityId(u16::try_from(token >> TOKEN_BITS).unwrap_or(u16::MAX));
                let token = token & ((1 << TOKEN_BITS) - 1);
                self.feed(identity, Input::Loaded { token, rows }, now, rng);
            }
        }
        self.settle_doubles(now, rng);
        self.tell_wake(now);
    }

    /// Keeps so many key packages in each pool, instead of [`POOL_SIZE`](crate::POOL_SIZE).
    #[must_use]
    pub fn with_pools(mut self, size: u32) -> Self {
        self.pool_size = size;
        for (_, engine) in &mut self.engines {
            engine.pool_size = size;
        }
        self
    }

    /// The next effect; `None` when the shell may wait for the next input.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    // ---- inputs

    fn on_intent(&mut self, id: IntentId, intent: Intent, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        match intent {
            Intent::As(identity, intent) => {
                if self.engine(identity).is_some() {
                    self.feed(identity, Input::Intent(id, *intent), now, rng);
                } else {
                    self.done(id, Err(Failure::NotFound("account")));
                }
            }
            Intent::LinkAccount { code, name } => self.link(id, code, name, now, rng),
            Intent::Unlink { identity } => self.unlink(id, identity, now, rng),
            Intent::Sync | Intent::GoOffline => {
                self.online = matches!(intent, Intent::Sync);
                self.ask_all(id, &intent, now, rng);
                self.tell_doubles(&intent, now, rng);
            }
            Intent::WhoAmI
            | Intent::Conversations
            | Intent::Requests
            | Intent::Archive { .. }
            | Intent::Joining
            | Intent::Drafts
            | Intent::Status => {
                self.ask_all(id, &intent, now, rng);
            }
            intent => {
                let identity = self.concerned(&intent);
                self.feed(identity, Input::Intent(id, intent), now, rng);
            }
        }
    }

    /// Whose affair an intent is.
    fn concerned(&self, intent: &Intent) -> IdentityId {
        let by_conversation = |id: &ConversationId| self.find(|engine| engine.has_conversation(id));
        let by_target = |target: &Target| match target {
            Target::Conversation(id) => by_conversation(id),
            // Who talks with them already, goes on.
            Target::Address(text) => self.find(|engine| engine.talks_with(text)),
            Target::Account(account) => self.find(|engine| engine.knows(account)),
            Target::Invite(_) => None,
        };
        let by_account = |account: &AccountRef| self.find(|engine| engine.knows(account));
        let found = match intent {
            Intent::Send { to: target, .. } | Intent::SafetyNumber { with: target } => by_target(target),
            Intent::CreateGroup { members, .. } => members.iter().find_map(by_target),
            Intent::Messages { conversation, .. }
            | Intent::MarkRead { conversation }
            | Intent::Readers { conversation, .. }
            | Intent::Accept { request: conversation }
            | Intent::Decline { request: conversation }
            | Intent::Block { conversation }
            | Intent::Unblock { conversation }
            | Intent::SetVerified { conversation, .. }
            | Intent::AddMembers { conversation, .. }
            | Intent::RemoveMember { conversation, .. }
            | Intent::Uninvite { conversation, .. }
            | Intent::CreateGroupLink { conversation, .. }
            | Intent::GroupLinks { conversation }
            | Intent::Rename { conversation, .. }
            | Intent::SetGroupPicture { conversation, .. }
            | Intent::GroupPicture { conversation }
            | Intent::SetRole { conversation, .. }
            | Intent::SetRules { conversation, .. }
            | Intent::SetAttributed { conversation, .. }
            | Intent::Leave { conversation }
            | Intent::PutDraft { conversation, .. }
            | Intent::Typing { conversation, .. } => by_conversation(conversation),
            Intent::SetShowing { device, .. } | Intent::RevokeDevice { device } => {
                self.find(|engine| engine.lists(device))
            }
            Intent::RevokeGroupLink { link } => self.find(|engine| engine.has_link(link)),
            Intent::StopJoining { join } => self.find(|engine| engine.has_join(join)),
            Intent::CancelLink => self.joining.first().copied(),
            Intent::Picture { of: Some(account) } => by_account(account),
            _ => None,
        };
        found.unwrap_or(FIRST)
    }

    fn engine(&self, identity: IdentityId) -> Option<&Engine> {
        self.engines.iter().find(|(id, _)| *id == identity).map(|(_, engine)| engine)
    }

    fn find(&self, is_it: impl Fn(&Engine) -> bool) -> Option<IdentityId> {
        self.singles().find(|(_, engine)| is_it(engine)).map(|(id, _)| *id)
    }

    /// All identities; those that are nobody have nothing to say, unless nobody is anybody.
    fn ask_all(&mut self, id: IntentId, intent: &Intent, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let somebody = self.singles().filter(|(id, engine)| engine.is_live() && !self.joining.contains(id));
        let mut asked: Vec<IdentityId> = somebody.map(|(id, _)| *id).collect();
        if asked.is_empty() {
            asked.push(FIRST);
        }
        self.gathered.push(Gathered { intent: id, waits_for: asked.len(), replies: Vec::new() });
        for identity in asked {
            self.feed(identity, Input::Intent(id, intent.clone()), now, rng);
        }
    }

    fn link(&mut self, id: IntentId, code: String, name: String, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        if !self.engine(FIRST).is_some_and(Engine::is_taken) {
            return self.feed(FIRST, Input::Intent(id, Intent::Link { code, name }), now, rng);
        }
        // Behind all others: of two that answer for one account, the earlier one is known by its number.
        let last = self.engines.last().map_or(0, |(id, _)| id.0);
        let mut free = (last.saturating_add(1)..u16::MAX).chain(1..u16::MAX).map(IdentityId);
        let free = free.find(|id| self.engine(*id).is_none());
        let Some(identity) = free.filter(|_| self.engines.len() < MOST) else {
            let why = format!("a home answers for at most {MOST} accounts");
            return self.done(id, Err(Failure::BadInput(why)));
        };
        let Ok(mut engine) = Engine::open_as(identity, []) else { return };
        engine.pool_size = self.pool_size;
        self.engines.push((identity, engine));
        self.engines.sort_by_key(|(id, _)| *id);
        self.joining.push(identity);
        self.feed(identity, Input::Intent(id, Intent::Link { code, name }), now, rng);
    }

    fn unlink(&mut self, id: IntentId, identity: IdentityId, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let Some(device) = self.engine(identity).filter(|_| identity != FIRST).and_then(Engine::this_device) else {
            return self.done(id, Err(Failure::NotFound("linked account")));
        };
        self.leaving.push((identity, id));
        self.feed(identity, Input::Intent(id, Intent::RevokeDevice { device }), now, rng);
    }

    fn feed(&mut self, identity: IdentityId, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let Some((_, engine)) = self.engines.iter_mut().find(|(id, _)| *id == identity) else { return };
        engine.handle(input, now, rng);
        let effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
        for effect in effects {
            match effect {
                Effect::Load { token, prefix } => {
                    let token = (u64::from(identity.0) << TOKEN_BITS) | token;
                    self.effects.push_back(Effect::Load { token, prefix });
                }
                Effect::WakeAt(instant) => {
                    self.wakes.retain(|(id, _)| *id != identity);
                    self.wakes.push((identity, instant));
                }
                Effect::Notify(event) => self.on_event(identity, event, now, rng),
                effect => self.effects.push_back(effect),
            }
        }
    }

    fn tell_wake(&mut self, now: UnixMillis) {
        let next = self.wakes.iter().map(|(_, wake)| *wake).min();
        if let Some(next) = next.filter(|next| self.told_wake != Some(*next) || *next <= now) {
            self.told_wake = Some(next);
            self.effects.push_back(Effect::WakeAt(next));
        }
    }

    // ---- what the engines tell

    fn on_event(&mut self, identity: IdentityId, event: Event, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        if self.engine(identity).is_none() {
            return;
        }
        if self.is_double(identity) {
            return self.on_double_event(identity, &event);
        }
        match event {
            Event::Done(id, result) => self.on_done(identity, id, result, now, rng),
            Event::Identities(_) => self.tell_identities(),
            Event::SignedOut { .. } if identity != FIRST => {
                self.notify(event);
                self.erase(identity);
                if let Some(id) = self.takes_leave(identity) {
                    self.done(id, Ok(Reply::Ok));
                }
            }
            event => self.notify(event),
        }
    }

    fn on_done(
        &mut self,
        identity: IdentityId,
        id: IntentId,
        result: Result<Reply, Failure>,
        now: UnixMillis,
        rng: &mut dyn CryptoRngCore,
    ) {
        if let Some(at) = self.gathered.iter().position(|gathered| gathered.intent == id) {
            let gathered = &mut self.gathered[at];
            gathered.waits_for -= 1;
            gathered.replies.push(result);
            if gathered.waits_for == 0 {
                let gathered = self.gathered.swap_remove(at);
                self.done(id, join(gathered.replies));
            }
            return;
        }
        if self.joining.contains(&identity) {
            self.joining.retain(|joining| *joining != identity);
            let linked = match &result {
                Ok(Reply::Linked { account, .. }) => Some(account.clone()),
                _ => None,
            };
            let mut others = self.engines.iter().filter(|(id, _)| *id != identity);
            let twice = linked.is_some_and(|linked| others.any(|(_, engine)| engine.is_account(&linked)));
            if twice {
                return self.linked_twice(identity, id, now, rng);
            }
            if result.is_err() {
                self.erase(identity);
            }
            self.done(id, result);
            if self.online && self.engine(identity).is_some() {
                // Nobody waits for its answer: what comes of it is told as events.
                self.feed(identity, Input::Intent(IntentId(u64::MAX), Intent::Sync), now, rng);
            }
            return;
        }
        if self.leaving.contains(&(identity, id)) {
            self.takes_leave(identity);
            if result.is_ok() {
                self.erase(identity);
            }
            return self.done(id, result.map(|_| Reply::Ok));
        }
        if id != IntentId(u64::MAX) {
            self.done(id, result);
        }
    }

    /// Whose intent it was to take it off its account's list.
    fn takes_leave(&mut self, identity: IdentityId) -> Option<IntentId> {
        let at = self.leaving.iter().position(|(id, _)| *id == identity)?;
        Some(self.leaving.swap_remove(at).1)
    }

    fn done(&mut self, id: IntentId, result: Result<Reply, Failure>) {
        self.notify(Event::Done(id, result));
    }

    fn notify(&mut self, event: Event) {
        self.effects.push_back(Effect::Notify(event));
    }

    // ---- erasing

    /// Nothing of an identity stays.
    fn erase(&mut self, identity: IdentityId) {
        if self.engine(identity).is_none() {
            return;
        }
        self.engines.retain(|(id, _)| *id != identity);
        self.wakes.retain(|(id, _)| *id != identity);
        for role in [crate::api::Role::Inbox, crate::api::Role::Outbox] {
            self.effects.push_back(Effect::Close(Socket { identity, role }));
        }
        for (at, prefix) in prefixes(identity.0, &[EAGER, LAZY]).into_iter().enumerate() {
            let token = (u64::from(identity.0) << TOKEN_BITS) | ((1 << TOKEN_BITS) - 1 - at as u64);
            self.erased.push(token);
            self.effects.push_back(Effect::Load { token, prefix });
        }
        self.tell_identities();
    }

    fn tell_identities(&mut self) {
        let all = self.singles().flat_map(|(_, engine)| engine.who_am_i()).collect();
        self.notify(Event::Identities(all));
    }

    /// Rows of an identity that is not here any more.
    fn erase_rows(&mut self, rows: Vec<Pair>) {
        let gone = rows.into_iter().map(|(key, _)| key);
        let changes = Changes(gone.map(|key| (key, None)).collect());
        if !changes.0.is_empty() {
            self.effects.push_back(Effect::Commit(changes));
        }
    }
}

/// One answer of several: lists put together; the first failure otherwise.
fn join(replies: Vec<Result<Reply, Failure>>) -> Result<Reply, Failure> {
    let mut replies = replies.into_iter();
    let mut joined = replies.next().unwrap_or(Ok(Reply::Ok))?;
    for reply in replies {
        match (&mut joined, reply?) {
            (Reply::Identities(all), Reply::Identities(more)) => all.extend(more),
            (Reply::Conversations(all), Reply::Conversations(more)) => all.extend(more),
            (Reply::Requests(all), Reply::Requests(more)) => all.extend(more),
            (Reply::Joining(all), Reply::Joining(more)) => all.extend(more),
            (Reply::Drafts(all), Reply::Drafts(more)) => all.extend(more),
            (Reply::Archive(all), Reply::Archive(more)) => {
                // Either may have had more to tell from before its oldest: it does when it is asked for that.
                let oldest =
                    |kept: &[(ConversationId, crate::api::Message)]| kept.last().map(|(_, message)| message.time);
                let both_know = oldest(all).max(oldest(&more));
                all.extend(more);
                all.retain(|(_, message)| Some(message.time) >= both_know);
            }
            (Reply::Status(all), Reply::Status(more)) => *all = sum(*all, more),
            _ => {}
        }
    }
    match &mut joined {
        Reply::Conversations(all) => all.sort_by_key(|c| std::cmp::Reverse(c.last_activity)),
        Reply::Archive(all) => all.sort_by_key(|(_, message)| std::cmp::Reverse((message.time, message.id))),
        Reply::Requests(all) => all.sort_by_key(|request| request.time),
        _ => {}
    }
    Ok(joined)
}

fn sum(one: Status, other: Status) -> Status {
    Status {
        received: one.received + other.received,
        unreadable: one.unreadable + other.unreadable,
        refused: one.refused + other.refused,
        queued: one.queued + other.queued,
        held: one.held + other.held,
        repairs: one.repairs + other.repairs,
        conversations: one.conversations + other.conversations,
        requests: one.requests + other.requests,
        backed_up: one.backed_up && other.backed_up,
    }
}
