//! Carries the steps out: people do what they do, things go wrong, all is mended and looked at.

use std::collections::{BTreeMap, BTreeSet};

use parlour_client::api::{
    Body, Conversation, ConversationId, ConversationState, Event, Intent, IntentId, Message, MessageState, Reply,
};
use parlour_proto::ids::MessageId;

use crate::{
    book::{Book, Key, Said},
    coverage::Coverage,
    home::Cut,
    oracle,
    plan::{Fault, Op, Step, What},
    plant::Plant,
    secrets::MARK,
    world::World,
};

/// A step that waits for an answer gives up after so long.
pub(crate) const PATIENCE_MS: u64 = 20_000;
/// How long healing may take.
const HEALING_MS: u64 = 900_000;
/// How long a fault counts as being there, for the table.
const LASTS_MS: u64 = 60_000;
/// No more homes in use than this.
const MOST_HOMES: usize = 40;
/// No more people than this at a time.
const MOST_PEOPLE: usize = 18;
/// Conversations on Porch stay so long, the shortest of the apps.
const SHORTEST_MS: u64 = 30 * DAY_MS;
const DAY_MS: u64 = 86_400_000;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// What is wrong, in words; the first is where it stopped.
    pub faults: Vec<String>,
    /// The steps that nobody could do, by their place.
    pub idle: BTreeSet<usize>,
    /// How many steps were carried out.
    pub steps: usize,
    /// Over every frame, row and event.
    pub digest: String,
    /// Which operation met which fault.
    pub coverage: Coverage,
    /// Simulated time, milliseconds, without what all slept.
    pub simulated_ms: u64,
    /// Operations that somebody could carry out.
    pub ops: u64,
    /// Faults that struck.
    pub struck: u64,
    /// Homes and server ended so often without being asked to.
    pub crashes: (u64, u64),
    /// Engines at the end.
    pub engines: usize,
    /// Frames that arrived, and that were lost.
    pub frames: (u64, u64),
    /// Messages, and how many of them were looked for at somebody's.
    pub messages: (u64, u64),
}

/// A run.
pub struct Director {
    pub(crate) w: World,
    pub(crate) book: Book,
    pub(crate) plant: Option<Plant>,
    /// Intents under way: what was said with them.
    pub(crate) saying: BTreeMap<(usize, IntentId), usize>,
    pub(crate) looked: u64,
    coverage: Coverage,
    /// What goes wrong with whoever does the next thing, at that instant.
    pub(crate) pending: Option<(Fault, Step)>,
    /// A clock was so far ahead since all was mended last, milliseconds.
    most_ahead: u64,
    active: Vec<(Fault, Option<usize>, u64)>,
    undo: Vec<(u64, Undo)>,
    ops: u64,
    struck: u64,
}

enum Undo {
    Connect(usize),
    Empty(usize),
    Hurry,
}

impl Director {
    /// A world in which the first people are there.
    #[must_use]
    pub fn new(seed: u64, plant: Option<Plant>) -> Self {
        Self::traced(seed, plant, false)
    }

    /// The same, telling all that happens if that is wanted.
    #[must_use]
    pub fn traced(seed: u64, plant: Option<Plant>, traced: bool) -> Self {
        // OpenMLS seals for several members at once: on one thread each draws the same randomness in every run.
        rayon::ThreadPoolBuilder::new().num_threads(1).build_global().ok();
        let mut director = Self {
            w: World::new(seed, plant),
            book: Book::default(),
            plant,
            saying: BTreeMap::new(),
            looked: 0,
            coverage: Coverage::default(),
            pending: None,
            most_ahead: 0,
            active: Vec::new(),
            undo: Vec::new(),
            ops: 0,
            struck: 0,
        };
        director.w.traced = traced;
        for n in 0..9 {
            director.sign_up(n);
        }
        director
    }

    /// Runs all steps, or up to the first fault.
    #[must_use]
    pub fn run(mut self, steps: &[Step]) -> Outcome {
        let mut done = 0;
        let mut idle = BTreeSet::new();
        let healed = [Step { wait_ms: 0, what: What::Heal, who: 0, with: 0, how: 0 }];
        let closing = if steps.last().is_some_and(|step| step.what == What::Heal) { &healed[..0] } else { &healed[..] };
        for step in steps.iter().chain(closing) {
            self.wait(step.wait_ms);
            self.w.say(&format!("{step:?}"));
            match step.what {
                What::Op(op) => {
                    if !self.op(op, step) {
                        idle.insert(done);
                    }
                }
                What::Fault(fault) => {
                    let seats = self.book.seats.len();
                    let home = self.book.seats.get(step.who as usize % seats).map_or(0, |seat| seat.home);
                    self.fault(fault, home, step);
                }
                What::During(op, fault) => {
                    if !self.during(op, fault, step) {
                        idle.insert(done);
                    }
                }
                What::Heal => self.heal(),
            }
            done += 1;
            self.collect();
            if !self.w.faults.is_empty() {
                break;
            }
        }
        if self.w.faults.is_empty() {
            self.after_days();
        }
        Outcome {
            steps: done,
            idle,
            digest: self.w.digest(),
            coverage: self.coverage,
            simulated_ms: self.w.now() - crate::clockwork::START.0 - self.w.slept_ms,
            ops: self.ops,
            struck: self.struck,
            crashes: (self.w.counts.home_crashes, self.w.counts.server_crashes),
            engines: self.book.seats.len(),
            frames: (self.w.counts.frames, self.w.counts.lost),
            messages: (self.book.said.len() as u64, self.looked),
            faults: self.w.faults,
        }
    }

    /// Days later the server has swept what was over by then.
    fn after_days(&mut self) {
        self.w.leap(5 * DAY_MS);
        self.wait(3_700_000);
        // Nobody did anything.
        self.w.slept_ms += 3_700_000;
        oracle::judge_server(self);
    }

    /// Lets time pass, undoing what is to be undone meanwhile.
    pub(crate) fn wait(&mut self, ms: u64) {
        let end = self.w.now() + ms;
        loop {
            self.undo.sort_by_key(|(at, _)| *at);
            let Some((at, _)) = self.undo.first().filter(|(at, _)| *at <= end) else { break };
            let at = *at;
            self.w.run_for(at.saturating_sub(self.w.now()));
            let (_, undo) = self.undo.remove(0);
            self.undo(&undo);
        }
        self.w.run_for(end.saturating_sub(self.w.now()));
    }

    fn undo(&mut self, undo: &Undo) {
        match undo {
            Undo::Connect(home) => self.w.set_cut(*home, Cut::No),
            Undo::Empty(home) => self.w.homes[*home].full = false,
            Undo::Hurry => self.w.most_delay = 60,
        }
    }

    /// Takes in what the homes have answered and told.
    pub(crate) fn collect(&mut self) {
        for home in 0..self.w.homes.len() {
            let answers = std::mem::take(&mut self.w.homes[home].answers);
            for (id, answer) in answers {
                let Some(said) = self.saying.remove(&(home, id)) else { continue };
                if let Ok(Reply::Queued { message, .. }) = answer {
                    self.book.said[said].message = Some(message);
                }
            }
            for event in std::mem::take(&mut self.w.homes[home].events) {
                if let Event::SignedOut { identity, .. } = event {
                    let seats = self.book.seats.iter_mut();
                    let seat = seats.filter(|seat| seat.home == home && seat.identity == identity && seat.live);
                    seat.for_each(|seat| seat.live = false);
                }
            }
        }
        let leaks = self.w.store.seen(|seen| std::mem::take(&mut seen.leaks));
        self.w.faults.extend(leaks);
    }

    // ---- what goes wrong

    pub(crate) fn fault(&mut self, fault: Fault, home: usize, step: &Step) {
        let how = u64::from(step.how);
        let now = self.w.now();
        let mut whom = Some(home);
        match fault {
            Fault::Break => self.w.break_links(home),
            Fault::LostAnswer => self.w.lose_answer(home),
            Fault::Slow => {
                whom = None;
                self.w.most_delay = 500 + how % 6_000;
                self.undo.push((now + 40_000, Undo::Hurry));
            }
            Fault::Partition => {
                self.w.set_cut(home, Cut::Plainly);
                self.undo.push((now + 2_000 + how % 120_000, Undo::Connect(home)));
            }
            Fault::Silence => {
                self.w.set_cut(home, Cut::Silently);
                self.undo.push((now + 2_000 + how % 200_000, Undo::Connect(home)));
            }
            Fault::ServerCrash => {
                whom = None;
                self.w.store.crash_after(how as usize % 12);
            }
            Fault::HomeCrash => self.w.homes[home].crash_in = Some(step.how % 40),
            Fault::ClockForward => {
                let it = &mut self.w.homes[home];
                it.ahead += i64::from(step.how % 86_400) * 1_000;
                self.most_ahead = self.most_ahead.max(it.ahead.unsigned_abs());
            }
            Fault::TornWrite if step.how.is_multiple_of(2) => {
                whom = None;
                self.w.store.tear(true);
            }
            Fault::TornWrite => self.w.homes[home].tears = true,
            Fault::ClockBack => {
                self.w.homes[home].ahead -= i64::from(step.how % 86_400) * 1_000;
                self.w.homes[home].look_at_clock();
            }
            Fault::DiskFull => {
                self.w.homes[home].full = true;
                self.undo.push((now + 5_000 + how % 90_000, Undo::Empty(home)));
            }
            // What others do meanwhile is what counts.
            Fault::Off => {
                whom = None;
                self.w.crash_home(home, now + 5_000 + how % 300_000);
            }
            Fault::OldCopy => self.old_copy(home),
            Fault::Month => self.month(home),
        }
        self.struck += 1;
        self.active.push((fault, whom, self.w.now() + LASTS_MS));
    }

    /// Puts a home back to what it was when all was mended last; without such a copy, one is made.
    fn old_copy(&mut self, home: usize) {
        let Some(copy) = self.w.homes[home].copy.take() else {
            self.w.homes[home].copy = Some(self.w.homes[home].rows.clone());
            return;
        };
        let now = self.w.now();
        self.w.crash_home(home, now + 2_000);
        // An account that was linked after it is not there any more.
        let has = |identity: u16| copy.contains_key(&[&b"ei"[..], &identity.to_be_bytes()].concat());
        for seat in self.book.seats.iter_mut().filter(|seat| seat.home == home && !has(seat.identity.0)) {
            seat.live = false;
        }
        self.w.homes[home].rows = copy;
        self.w.homes[home].shown.clear();
        // What it did meanwhile it does not know: nothing that it said then is looked for.
        for seat in self.book.seats.iter_mut().filter(|seat| seat.home == home) {
            seat.restored = true;
            seat.put_back = true;
            seat.since = u64::MAX;
        }
    }

    /// All but one sleep most of 29 days; when they wake up for moments, they do a bit of everything.
    fn month(&mut self, home: usize) {
        self.w.crash_home(home, u64::MAX);
        let mut ops = Op::ALL.iter().cycle();
        for n in 0..8 {
            self.w.leap(29 * DAY_MS / 8 - 60_000);
            self.wait(20_000);
            self.active.push((Fault::Month, None, self.w.now() + LASTS_MS));
            for m in 0..5 {
                let Some(op) = ops.next() else { break };
                let step = Step { wait_ms: 0, what: What::Heal, who: m * 7 + n, with: m, how: m + n };
                if !self.op(*op, &step) {
                    self.prepare(*op, &step);
                    self.op(*op, &step);
                }
                self.wait(2_000);
            }
            self.wait(20_000);
        }
        self.w.start_home(home);
    }

    // ---- what people do

    /// Whether somebody could do it.
    pub(crate) fn op(&mut self, op: Op, step: &Step) -> bool {
        let pending = self.pending.map(|(fault, _)| fault);
        let Some(home) = self.act(op, step) else { return false };
        self.ops += 1;
        let now = self.w.now();
        self.active.retain(|(_, _, until)| *until > now);
        let here = self.active.iter().filter(|(_, whom, _)| whom.is_none_or(|whom| whom == home));
        let struck = pending.filter(|_| self.pending.is_none());
        let met: BTreeSet<Fault> = here.map(|(fault, ..)| *fault).chain(struck).collect();
        met.into_iter().for_each(|fault| self.coverage.count(op, fault));
        self.coverage.count_op(op);
        true
    }

    /// Something goes wrong with whoever does this, just as they do it.
    fn during(&mut self, op: Op, fault: Fault, step: &Step) -> bool {
        (0..2).any(|attempt| {
            if attempt > 0 {
                self.prepare(op, step);
            }
            if fault == Fault::OldCopy {
                return self.with_old_copy(op, step);
            }
            self.pending = Some((fault, *step));
            let done = self.op(op, step);
            self.pending = None;
            done
        })
    }

    /// A home that was put back to what it was does it as soon as it can; each is put back once in a stretch. Not all are: of the
    /// others all can be judged.
    fn with_old_copy(&mut self, op: Op, step: &Step) -> bool {
        let mut homes: Vec<usize> = self.book.seats.iter().filter(|seat| seat.live).map(|seat| seat.home).collect();
        homes.retain(|home| home % 3 == 1 && !self.w.homes[*home].retired);
        homes.dedup();
        let count = homes.len().max(1);
        homes.rotate_left(step.who as usize % count);
        // Who was put back already, and if none of them can, one more.
        let put_back = |d: &Self, home: usize| d.book.seats.iter().any(|seat| seat.home == home && seat.put_back);
        let (before, others): (Vec<usize>, Vec<usize>) = homes.into_iter().partition(|home| put_back(self, *home));
        let other = others.into_iter().find(|home| self.w.homes[*home].copy.is_some());
        for home in before.into_iter().chain(other) {
            if !put_back(self, home) {
                self.fault(Fault::OldCopy, home, step);
                self.wait(10_000);
            }
            if self.act_on(home, op, step) {
                self.ops += 1;
                self.coverage.count(op, Fault::OldCopy);
                self.coverage.count_op(op);
                return true;
            }
        }
        false
    }

    /// What is to go wrong with whoever does something goes wrong now.
    pub(crate) fn strike(&mut self, home: usize) {
        let Some((fault, step)) = self.pending.take() else { return };
        let home = match fault {
            // Somebody else is off meanwhile.
            Fault::Off => (home + 1 + step.how as usize % 5) % self.w.homes.len(),
            _ => home,
        };
        self.fault(fault, home, &step);
    }

    /// Makes it possible for somebody to do what nobody could.
    fn prepare(&mut self, op: Op, step: &Step) {
        let first: &[Op] = match op {
            Op::Accept | Op::Decline | Op::Block => &[Op::SignUp, Op::FirstContact],
            Op::FirstContact | Op::Invite | Op::LinkAccount | Op::AddMember | Op::JoinByLink => &[Op::SignUp],
            Op::Revoke => &[Op::LinkDevice],
            Op::Edit | Op::Delete | Op::React | Op::Answer | Op::Keep | Op::Read => &[Op::Say],
            Op::RemoveMember | Op::SetRole | Op::Leave | Op::Rename | Op::SetRules | Op::SetAttributed => {
                &[Op::MakeGroup]
            }
            _ => &[],
        };
        for op in first {
            self.act(*op, step);
            self.wait(4_000);
        }
    }

    /// There is room for one more home.
    pub(crate) fn has_room(&self) -> bool {
        self.w.homes.iter().filter(|home| !home.retired).count() < MOST_HOMES
    }

    /// There is room for one more person.
    pub(crate) fn has_place(&self) -> bool {
        self.has_room() && self.book.people.iter().filter(|person| !person.gone).count() < MOST_PEOPLE
    }

    /// Whether the shortest of the apps' times may be over, by some device's clock.
    pub(crate) fn is_old(&self, said: &Said) -> bool {
        said.at + SHORTEST_MS < self.w.now() + self.most_ahead + 3_600_000
    }

    /// Starts something on a seat; the intent's number.
    pub(crate) fn start(&mut self, seat: usize, intent: Intent) -> IntentId {
        self.strike(self.book.seats[seat].home);
        self.w.say(&format!("seat {seat} wants {intent:?}"));
        let (home, identity) = (self.book.seats[seat].home, self.book.seats[seat].identity);
        self.w.homes[home].intent(Intent::As(identity, Box::new(intent)))
    }

    /// What a seat's screen says.
    pub(crate) fn look(&mut self, seat: usize, intent: Intent) -> Option<Reply> {
        let (home, identity) = (self.book.seats[seat].home, self.book.seats[seat].identity);
        self.w.query(home, Intent::As(identity, Box::new(intent)))?.ok()
    }

    /// Asks, and waits.
    pub(crate) fn ask(&mut self, seat: usize, intent: Intent) -> Option<Reply> {
        self.strike(self.book.seats[seat].home);
        let (home, identity) = (self.book.seats[seat].home, self.book.seats[seat].identity);
        self.w.ask(home, Intent::As(identity, Box::new(intent)), PATIENCE_MS)?.ok()
    }

    pub(crate) fn conversations(&mut self, seat: usize) -> Vec<Conversation> {
        match self.look(seat, Intent::Conversations) {
            Some(Reply::Conversations(mut all)) => {
                let identity = self.book.seats[seat].identity;
                all.retain(|conversation| conversation.identity == identity);
                all.sort_by_key(|conversation| conversation.id);
                all
            }
            _ => Vec::new(),
        }
    }

    pub(crate) fn messages(&mut self, seat: usize, conversation: ConversationId, limit: u32) -> Vec<Message> {
        match self.look(seat, Intent::Messages { conversation, before: None, limit }) {
            Some(Reply::Messages(all)) => all,
            _ => Vec::new(),
        }
    }

    /// One of the conversations that one can write into.
    pub(crate) fn open_one(&mut self, seat: usize, with: u32, groups: Option<bool>) -> Option<(Conversation, Key)> {
        let me = self.book.seats[seat].person;
        let mut open = Vec::new();
        for conversation in self.conversations(seat) {
            let fits = groups.is_none_or(|groups| groups == conversation.is_group);
            if fits
                && conversation.state == ConversationState::Open
                && let Some(key) = self.book.key(me, &conversation)
            {
                open.push((conversation, key));
            }
        }
        // Those who are in it have their own numbers for it; the book's is the same for all.
        open.sort_by_key(|(_, key)| *key);
        let count = open.len();
        (count > 0).then(|| open.swap_remove(with as usize % count))
    }

    /// One of the own, or others', latest messages.
    pub(crate) fn one_message(&mut self, seat: usize, at: ConversationId, how: u32, own: bool) -> Option<MessageId> {
        let mut all = self.messages(seat, at, 12);
        all.retain(|message| message.from.is_none() == own && !message.deleted && message.notice.is_none());
        all.retain(|message| !own || message.state >= MessageState::Sent && message.state != MessageState::Failed);
        let count = all.len();
        (count > 0).then(|| all.swap_remove(how as usize % count).id)
    }

    /// Notes that something is said, and says it.
    pub(crate) fn say(&mut self, seat: usize, to: parlour_client::api::Target, note: Said, reply: Option<MessageId>) {
        let timer = if self.plant == Some(Plant::ExpiryOff) { None } else { note.timer };
        let body = Body::Text { text: note.text.clone(), in_reply_to: reply, timer };
        let home = self.book.seats[seat].home;
        self.w.say(&format!("seat {seat} says {:?} in {:?} {to:?}", note.text, note.key));
        let id = self.start(seat, Intent::Send { to, body });
        self.saying.insert((home, id), self.book.said.len());
        self.book.said.push(note);
    }

    pub(crate) fn text(&self, how: u32) -> String {
        format!("m{} {MARK} {}", self.book.said.len(), "lorem ".repeat(how as usize % 9))
    }

    // ---- mending

    fn heal(&mut self) {
        for undo in std::mem::take(&mut self.undo) {
            self.undo(&undo.1);
        }
        self.w.most_delay = 60;
        self.w.store.crash_after(usize::MAX);
        self.w.store.tear(false);
        for home in 0..self.w.homes.len() {
            let it = &mut self.w.homes[home];
            (it.full, it.ahead, it.crash_in, it.tears) = (false, 0, None, false);
            if it.retired {
                continue;
            }
            it.look_at_clock();
            self.w.start_home(home);
            if self.w.homes[home].cut != Cut::No {
                self.w.set_cut(home, Cut::No);
            }
        }
        self.active.clear();
        let end = self.w.now() + HEALING_MS;
        self.wait(150_000);
        while self.w.now() < end && !oracle::is_quiet(self) {
            self.wait(15_000);
        }
        self.collect();
        let now = self.w.now();
        self.book.settle(now);
        for seat in self.book.seats.iter_mut().filter(|seat| seat.live && seat.since == u64::MAX) {
            seat.since = now;
        }
        self.wait(1_000);
        self.probe();
        self.wait(45_000);
        self.collect();
        oracle::judge(self);
        self.book.judged = self.book.said.len();
        self.most_ahead = 0;
        self.book.seats.iter_mut().for_each(|seat| seat.put_back = false);
        for home in 0..self.w.homes.len() {
            let mut seats = self.book.seats.iter().filter(|seat| seat.home == home).peekable();
            let is_used = seats.peek().is_none() || seats.any(|seat| seat.live);
            if !is_used && !self.w.homes[home].retired {
                self.w.crash_home(home, u64::MAX);
                self.w.homes[home].retired = true;
            }
            self.w.homes[home].copy = is_used.then(|| self.w.homes[home].rows.clone());
        }
    }

    /// Somebody says something in each conversation: if somebody is shut out without knowing, it shows.
    fn probe(&mut self) {
        let mut probed = BTreeSet::new();
        for seat in 0..self.book.seats.len() {
            if !self.book.seats[seat].live {
                continue;
            }
            let me = self.book.seats[seat].person;
            for view in self.conversations(seat) {
                let Some(key) = self.book.key(me, &view).filter(|_| view.state == ConversationState::Open) else {
                    continue;
                };
                if probed.insert(key) && crate::people::may_write(&view) {
                    let text = self.text(0);
                    self.say_in(seat, &view, key, text, None, None);
                }
            }
        }
    }
}
