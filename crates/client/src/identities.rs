//! A home's set of identities: one engine for each account that this home answers for (DESIGN §8).
//!
//! It is driven as one engine is ([`crate::api`]); each engine keeps its own rows, keys, sockets and timers, and none knows of
//! the others. What a shell wants goes to the one that it concerns:
//!
//! | intent | to |
//! |---|---|
//! | about a conversation | the identity whose it is |
//! | [`Intent::As`] | the one that it names |
//! | lists, `Status`, `Sync`, `GoOffline` | all; one answer |
//! | [`Intent::LinkAccount`] | a new one, kept if the link succeeds |
//! | [`Intent::Unlink`] | the one that it names: taken off its account's list, then erased here |
//! | anything else | the first |
//!
//! An identity other than the first that is signed out (its device was revoked, its account is gone) is erased here.

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
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

/// Load tokens of an engine are below this; its number stands above.
const TOKEN_BITS: u32 = 48;
/// Most accounts of one home.
const MOST: usize = 16;
const FIRST: IdentityId = IdentityId(0);

/// Answers of several engines that become one.
struct Gathered {
    waits_for: usize,
    replies: Vec<Result<Reply, Failure>>,
}

/// The engines of one home. See [`crate::api`] for how to drive it.
pub struct Identities {
    engines: BTreeMap<IdentityId, Engine>,
    /// Being linked: not an identity yet.
    joining: BTreeSet<IdentityId>,
    /// Being taken off their account's list, for whom.
    leaving: HashMap<IdentityId, IntentId>,
    gathered: HashMap<IntentId, Gathered>,
    wakes: BTreeMap<IdentityId, UnixMillis>,
    told_wake: Option<UnixMillis>,
    effects: VecDeque<Effect>,
    /// Loads of rows that are to be erased.
    erased: BTreeSet<u64>,
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
        let mut by_identity: BTreeMap<IdentityId, Vec<Pair>> = [(FIRST, Vec::new())].into();
        for (key, value) in rows {
            if let Some(identity) = identity_of(&key) {
                by_identity.entry(IdentityId(identity)).or_default().push((key, value));
            }
        }
        let engines = by_identity.into_iter().map(|(id, rows)| Ok((id, Engine::open_as(id, rows)?)));
        let engines: BTreeMap<IdentityId, Engine> = engines.collect::<Result<_, BrokenRow>>()?;
        // What was being erased, or linked, when the process ended.
        let remains = engines.iter().filter(|(id, engine)| **id != FIRST && !engine.is_live()).map(|(id, _)| *id);
        Ok(Identities {
            remains: remains.collect(),
            engines,
            joining: BTreeSet::new(),
            leaving: HashMap::new(),
            gathered: HashMap::new(),
            wakes: BTreeMap::new(),
            told_wake: None,
            effects: VecDeque::new(),
            erased: BTreeSet::new(),
            online: false,
        })
    }

    /// Takes one input in. Drain [`poll`](Self::poll) afterwards.
    pub fn handle(&mut self, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        for identity in std::mem::take(&mut self.remains) {
            self.erase(identity);
        }
        match input {
            Input::Intent(id, intent) => self.on_intent(id, intent, now, rng),
            Input::Connected(Socket { identity, .. })
            | Input::Disconnected(Socket { identity, .. })
            | Input::Frame(Socket { identity, .. }, _) => self.feed(identity, input, now, rng),
            Input::Tick => {
                let due: Vec<_> = self.engines.keys().copied().collect();
                self.wakes.retain(|_, wake| *wake > now);
                for identity in due {
                    self.feed(identity, Input::Tick, now, rng);
                }
            }
            Input::Loaded { token, rows } if self.erased.remove(&token) => self.erase_rows(rows),
            Input::Loaded { token, rows } => {
                let identity = IdentityId(u16::try_from(token >> TOKEN_BITS).unwrap_or(u16::MAX));
                let token = token & ((1 << TOKEN_BITS) - 1);
                self.feed(identity, Input::Loaded { token, rows }, now, rng);
            }
        }
        self.tell_wake(now);
    }

    /// The next effect; `None` when the shell may wait for the next input.
    pub fn poll(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    // ---- inputs

    fn on_intent(&mut self, id: IntentId, intent: Intent, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        match intent {
            Intent::As(identity, intent) => {
                if self.engines.contains_key(&identity) {
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
            }
            Intent::WhoAmI | Intent::Conversations | Intent::Requests | Intent::Drafts | Intent::Status => {
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
            Target::Address(_) | Target::Invite(_) => None,
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
            | Intent::Rename { conversation, .. }
            | Intent::SetRole { conversation, .. }
            | Intent::SetRules { conversation, .. }
            | Intent::Leave { conversation }
            | Intent::PutDraft { conversation, .. } => by_conversation(conversation),
            Intent::SetShowing { device, .. } | Intent::RevokeDevice { device } => {
                self.find(|engine| engine.lists(device))
            }
            Intent::Picture { of: Some(account) } => by_account(account),
            _ => None,
        };
        found.unwrap_or(FIRST)
    }

    fn find(&self, is_it: impl Fn(&Engine) -> bool) -> Option<IdentityId> {
        self.engines.iter().find(|(_, engine)| is_it(engine)).map(|(id, _)| *id)
    }

    /// All identities; those that are nobody have nothing to say, unless nobody is anybody.
    fn ask_all(&mut self, id: IntentId, intent: &Intent, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let somebody = self.engines.iter().filter(|(id, engine)| engine.is_live() && !self.joining.contains(id));
        let mut asked: Vec<IdentityId> = somebody.map(|(id, _)| *id).collect();
        if asked.is_empty() {
            asked.push(FIRST);
        }
        self.gathered.insert(id, Gathered { waits_for: asked.len(), replies: Vec::new() });
        for identity in asked {
            self.feed(identity, Input::Intent(id, intent.clone()), now, rng);
        }
    }

    fn link(&mut self, id: IntentId, code: String, name: String, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        if !self.engines.get(&FIRST).is_some_and(Engine::is_taken) {
            return self.feed(FIRST, Input::Intent(id, Intent::Link { code, name }), now, rng);
        }
        let free = (1..u16::MAX).map(IdentityId).find(|id| !self.engines.contains_key(id));
        let Some(identity) = free.filter(|_| self.engines.len() < MOST) else {
            let why = format!("a home answers for at most {MOST} accounts");
            return self.done(id, Err(Failure::BadInput(why)));
        };
        let Ok(engine) = Engine::open_as(identity, []) else { return };
        self.engines.insert(identity, engine);
        self.joining.insert(identity);
        self.feed(identity, Input::Intent(id, Intent::Link { code, name }), now, rng);
    }

    fn unlink(&mut self, id: IntentId, identity: IdentityId, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let Some(device) = self.engines.get(&identity).filter(|_| identity != FIRST).and_then(Engine::this_device)
        else {
            return self.done(id, Err(Failure::NotFound("linked account")));
        };
        self.leaving.insert(identity, id);
        self.feed(identity, Input::Intent(id, Intent::RevokeDevice { device }), now, rng);
    }

    fn feed(&mut self, identity: IdentityId, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        let Some(engine) = self.engines.get_mut(&identity) else { return };
        engine.handle(input, now, rng);
        let effects: Vec<Effect> = std::iter::from_fn(|| engine.poll()).collect();
        for effect in effects {
            match effect {
                Effect::Load { token, prefix } => {
                    let token = (u64::from(identity.0) << TOKEN_BITS) | token;
                    self.effects.push_back(Effect::Load { token, prefix });
                }
                Effect::WakeAt(instant) => drop(self.wakes.insert(identity, instant)),
                Effect::Notify(event) => self.on_event(identity, event, now, rng),
                effect => self.effects.push_back(effect),
            }
        }
    }

    fn tell_wake(&mut self, now: UnixMillis) {
        let next = self.wakes.values().min().copied();
        if let Some(next) = next.filter(|next| self.told_wake != Some(*next) || *next <= now) {
            self.told_wake = Some(next);
            self.effects.push_back(Effect::WakeAt(next));
        }
    }

    // ---- what the engines tell

    fn on_event(&mut self, identity: IdentityId, event: Event, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        if !self.engines.contains_key(&identity) {
            return;
        }
        match event {
            Event::Done(id, result) => self.on_done(identity, id, result, now, rng),
            Event::Identities(_) => {
                let all = self.engines.values().flat_map(Engine::who_am_i).collect();
                self.notify(Event::Identities(all));
            }
            Event::SignedOut { .. } if identity != FIRST => {
                self.notify(event);
                self.erase(identity);
                if let Some(id) = self.leaving.remove(&identity) {
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
        if let Some(gathered) = self.gathered.get_mut(&id) {
            gathered.waits_for -= 1;
            gathered.replies.push(result);
            if gathered.waits_for == 0
                && let Some(gathered) = self.gathered.remove(&id)
            {
                self.done(id, join(gathered.replies));
            }
            return;
        }
        if self.joining.remove(&identity) {
            let linked = match &result {
                Ok(Reply::Linked { account, .. }) => Some(account.clone()),
                _ => None,
            };
            let others = self.engines.iter().filter(|(id, _)| **id != identity);
            let twice = linked.is_some_and(|linked| others.clone().any(|(_, engine)| engine.is_account(&linked)));
            if result.is_err() || twice {
                self.erase(identity);
            }
            if twice {
                let why = "this account is here already".to_owned();
                return self.done(id, Err(Failure::BadInput(why)));
            }
            self.done(id, result);
            if self.online && self.engines.contains_key(&identity) {
                // Nobody waits for its answer: what comes of it is told as events.
                self.feed(identity, Input::Intent(IntentId(u64::MAX), Intent::Sync), now, rng);
            }
            return;
        }
        if self.leaving.get(&identity) == Some(&id) {
            self.leaving.remove(&identity);
            if result.is_ok() {
                self.erase(identity);
            }
            return self.done(id, result.map(|_| Reply::Ok));
        }
        if id != IntentId(u64::MAX) {
            self.done(id, result);
        }
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
        if self.engines.remove(&identity).is_none() {
            return;
        }
        self.wakes.remove(&identity);
        for role in [crate::api::Role::Inbox, crate::api::Role::Outbox] {
            self.effects.push_back(Effect::Close(Socket { identity, role }));
        }
        for (at, prefix) in prefixes(identity.0, &[EAGER, LAZY]).into_iter().enumerate() {
            let token = (u64::from(identity.0) << TOKEN_BITS) | ((1 << TOKEN_BITS) - 1 - at as u64);
            self.erased.insert(token);
            self.effects.push_back(Effect::Load { token, prefix });
        }
        let all = self.engines.values().flat_map(Engine::who_am_i).collect();
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
            (Reply::Drafts(all), Reply::Drafts(more)) => all.extend(more),
            (Reply::Status(all), Reply::Status(more)) => *all = sum(*all, more),
            _ => {}
        }
    }
    match &mut joined {
        Reply::Conversations(all) => all.sort_by_key(|c| std::cmp::Reverse(c.last_activity)),
        Reply::Requests(all) => all.sort_by_key(|request| request.time),
        _ => {}
    }
    Ok(joined)
}

fn sum(one: Status, other: Status) -> Status {
    Status {
        received: one.received + other.received,
        unreadable: one.unreadable + other.unreadable,
        queued: one.queued + other.queued,
        held: one.held + other.held,
        repairs: one.repairs + other.repairs,
        conversations: one.conversations + other.conversations,
        requests: one.requests + other.requests,
    }
}
