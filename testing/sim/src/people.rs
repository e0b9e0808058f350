//! What people do, one function for each kind of thing; `None` when there is nobody who could.

use parlour_client::api::{
    Allowed, Body, Conversation, ConversationState, Event, Expiry, GroupRole, GroupRules, Intent, Picture, Proof,
    Reply, Target, Timer,
};
use parlour_proto::{
    frames::{AppId, ReachRule},
    ids::MessageId,
};
use zeroize::Zeroizing;

use crate::{
    book::{Book, Key, Person, Said, Seat},
    director::{Director, PATIENCE_MS},
    plan::{Op, Step},
    secrets::MARK,
};

/// Whether one may write into it.
pub(crate) fn may_write(view: &Conversation) -> bool {
    let Some(group) = &view.group else { return true };
    group.rules.write == Allowed::Everyone || group.role != GroupRole::Member
}

const APPS: [&str; 3] = ["bell", "den", "porch"];
const EMOJI: [&str; 4] = ["👍", "❤️", "😀", ""];

impl Director {
    /// Does it; the home of who did.
    pub(crate) fn act(&mut self, op: Op, step: &Step) -> Option<usize> {
        if op == Op::SignUp {
            return self.has_place().then(|| self.sign_up(step.how)).flatten();
        }
        let ready: Vec<usize> = (0..self.book.seats.len()).filter(|seat| self.is_there(*seat)).collect();
        // Who cannot do it leaves it to the next one.
        (0..ready.len()).find_map(|n| {
            let seat = ready[(step.who as usize + n) % ready.len()];
            let home = self.book.seats[seat].home;
            (self.is_there(seat) && self.act_as(op, seat, step).is_some()).then_some(home)
        })
    }

    /// Whether somebody on this home could do it.
    pub(crate) fn act_on(&mut self, home: usize, op: Op, step: &Step) -> bool {
        let mut seats = 0..self.book.seats.len();
        seats.any(|seat| {
            self.book.seats[seat].home == home && self.is_there(seat) && self.act_as(op, seat, step).is_some()
        })
    }

    fn act_as(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        match op {
            Op::SignUp => None,
            Op::FirstContact | Op::Invite => self.first_contact(op, seat, step),
            Op::Accept | Op::Decline | Op::Block => self.choose(op, seat, step),
            Op::Say | Op::SayTimed | Op::Answer => self.say_something(op, seat, step),
            Op::Once => self.once(seat, step),
            Op::Edit | Op::Delete | Op::React | Op::Keep => self.about_a_message(op, seat, step),
            Op::Read | Op::Typing | Op::Draft => self.quietly(op, seat, step),
            Op::MakeGroup => self.make_group(seat, step),
            Op::AddMember => self.add_member(seat, step),
            Op::RemoveMember | Op::SetRole => self.about_a_member(op, seat, step),
            Op::Leave => self.leave(seat, step),
            Op::Rename => self.rename(seat, step),
            Op::SetRules => self.set_rules(seat, step),
            Op::SetAttributed => self.set_attributed(seat, step),
            Op::JoinByLink => self.join_by_link(seat, step),
            Op::SetExpiry => self.set_expiry(seat, step),
            Op::SetReach => self.set_reach(seat, step),
            Op::SetName => self.set_name(seat, step),
            Op::Picture => self.picture(seat, step),
            Op::LinkDevice => self.link(seat, seat, step),
            Op::LinkAccount => self.link_account(seat, step),
            Op::Revoke => self.revoke(seat, step),
            Op::Recover => self.recover(seat, step),
            Op::DeleteAccount => self.delete_account(seat),
        }
    }

    fn is_there(&self, seat: usize) -> bool {
        let seat = &self.book.seats[seat];
        seat.live && !self.book.people[seat.person].gone && self.w.homes[seat.home].engine.is_some()
    }

    // ---- accounts and devices

    fn proof(app: &str, code: Option<String>) -> Proof {
        match app {
            "bell" => Proof::Code(code.unwrap_or_default()),
            _ => Proof::Password(Zeroizing::new(format!("{MARK} correct horse"))),
        }
    }

    /// A code, where the app wants one.
    fn prove(&mut self, home: usize, app: &AppId, handle: &str) -> Option<Proof> {
        if app.as_str() == "bell" {
            let request = Intent::RequestCode { app: app.clone(), handle: handle.to_owned() };
            self.w.ask(home, request, PATIENCE_MS)?.ok()?;
        }
        Some(Self::proof(app.as_str(), self.w.code(handle)))
    }

    /// Somebody new, on a home of their own. Most are on Bell: a password takes its time.
    pub(crate) fn sign_up(&mut self, how: u32) -> Option<usize> {
        let number = self.book.people.len();
        let app = if how % 9 < 7 { APPS[0] } else { APPS[how as usize % 9 - 6] };
        let handle = match app {
            "bell" => format!("+49170{:07}", 1_000_000 + number * 37 + self.w.homes.len() * 1_000),
            _ => format!("person{number}x{}", self.w.homes.len()),
        };
        let app = AppId::parse(app).ok()?;
        let home = self.w.home();
        self.strike(home);
        // Who is interrupted gives up: that was somebody else.
        let Some(proof) = self.prove(home, &app, &handle) else { return Some(home) };
        let sign_up = Intent::SignUp { app: app.clone(), handle: handle.clone(), proof };
        let Some(Ok(Reply::SignedUp { account, address, recovery_key })) = self.w.ask(home, sign_up, PATIENCE_MS)
        else {
            return Some(home);
        };
        let recovery = recovery_key.to_string();
        self.w.store.seen(|seen| seen.secrets.add("a recovery key".to_owned(), &recovery.as_bytes()[..24]));
        let person = Person { app, handle, address, account, recovery, gone: false };
        let person = self.book.add_person(person);
        self.sit(person, home, 0);
        let seat = self.book.seats.len() - 1;
        self.w.homes[home].synced = true;
        self.w.homes[home].intent(Intent::Sync);
        for app in APPS {
            let from = AppId::parse(app).ok()?;
            self.ask(seat, Intent::SetReach { from, rule: ReachRule::Ask });
        }
        Some(home)
    }

    fn sit(&mut self, person: usize, home: usize, identity: u16) {
        let identity = parlour_client::api::IdentityId(identity);
        let since = self.w.now();
        self.w.say(&format!("seat {} is home {home}/{}, person {person}", self.book.seats.len(), identity.0));
        let (live, restored, put_back, unreadable) = (true, false, false, 0);
        self.book.seats.push(Seat { person, home, identity, since, live, restored, put_back, unreadable });
    }

    /// A device of `shows`'s account on a new home, or (other than `from`) on `from`'s home.
    fn link(&mut self, from: usize, shows: usize, step: &Step) -> Option<()> {
        let person = self.book.seats[shows].person;
        let devices = self.book.seats.iter().filter(|seat| seat.person == person && seat.live).count();
        if devices > 2 || (from == shows && !self.has_room()) {
            return None;
        }
        let Some(Reply::LinkCode { code, .. }) = self.ask(shows, Intent::OfferLink) else { return Some(()) };
        let home = if from == shows { self.w.home() } else { self.book.seats[from].home };
        let name = format!("Tablet {MARK} {}", step.how % 10);
        let link = if from == shows { Intent::Link { code, name } } else { Intent::LinkAccount { code, name } };
        let before = self.w.homes[home].rows.len();
        let (id, starts) = (self.w.homes[home].intent(link), self.w.homes[home].starts);
        let shown_at = self.book.seats[shows].home;
        let mut asked = false;
        for _ in 0..40 {
            self.w.run_for(500);
            let mut events = self.w.homes[shown_at].events.iter();
            asked = events.any(|event| matches!(event, Event::LinkAsked { .. }));
            if asked {
                break;
            }
        }
        if !asked {
            return Some(());
        }
        self.ask(shows, Intent::ConfirmLink { yes: true });
        let linked = self.w.wait(home, id, starts, PATIENCE_MS);
        if !matches!(linked, Some(Ok(Reply::Linked { .. }))) && self.w.homes[home].rows.len() == before {
            return Some(());
        }
        let Some(identity) = self.identity_of(home, person) else { return Some(()) };
        self.w.homes[home].synced = true;
        self.w.homes[home].intent(Intent::Sync);
        self.sit(person, home, identity);
        // What was said before comes by the history, not by the rooms; and what one device has forgotten, the other is not told.
        let restored = self.book.seats[shows].restored;
        let new = self.book.seats.last_mut()?;
        (new.since, new.restored) = (u64::MAX, restored);
        Some(())
    }

    /// Which of a home's identities somebody is.
    fn identity_of(&mut self, home: usize, person: usize) -> Option<u16> {
        let Reply::Identities(all) = self.w.query(home, Intent::WhoAmI)?.ok()? else { return None };
        let account = &self.book.people[person].account;
        all.iter().find(|identity| identity.account == *account).map(|identity| identity.id.0)
    }

    fn link_account(&mut self, seat: usize, step: &Step) -> Option<()> {
        let home = self.book.seats[seat].home;
        let others: Vec<usize> = (0..self.book.seats.len()).filter(|other| self.is_there(*other)).collect();
        let shows = *others.get(step.with as usize % others.len())?;
        let other = self.book.seats[shows].person;
        let is_here = |person| self.book.seats.iter().any(|seat| seat.home == home && seat.person == person);
        let mine: Vec<usize> =
            self.book.seats.iter().filter(|seat| seat.home == home).map(|seat| seat.person).collect();
        let met = mine.iter().any(|one| self.have_met(*one, other));
        if self.book.seats[shows].home == home || is_here(other) || met {
            return None;
        }
        // They are one human from now on, whatever comes of it.
        for one in mine {
            self.book.same.insert((one.min(other), one.max(other)));
        }
        self.link(seat, shows, step)?;
        let here: Vec<(u16, [u8; 16])> = self
            .book
            .seats
            .iter()
            .filter(|seat| seat.home == home)
            .map(|seat| (seat.identity.0, self.book.people[seat.person].account.account.0))
            .collect();
        for (identity, account) in &here {
            let others = here.iter().filter(|(_, other)| other != account).map(|(_, other)| *other).collect();
            self.w.apart.insert((home, *identity), others);
        }
        Some(())
    }

    /// Whether two people have been in one conversation, or may have.
    fn have_met(&self, one: usize, other: usize) -> bool {
        one == other || self.book.may_share(one, other)
    }

    fn revoke(&mut self, seat: usize, step: &Step) -> Option<()> {
        let person = self.book.seats[seat].person;
        if self.book.seats.iter().filter(|seat| seat.person == person && seat.live).count() < 2 {
            return None;
        }
        let Reply::Devices(devices) = self.ask(seat, Intent::Devices)? else { return None };
        let others: Vec<_> = devices.into_iter().filter(|device| !device.this).collect();
        let device = others.get(step.with as usize % others.len().max(1))?.id;
        // Which of the seats it is shows when it is told.
        self.ask(seat, Intent::RevokeDevice { device });
        for (at, other) in self.book.seats.iter_mut().enumerate() {
            if other.person == person && at != seat {
                other.live = false;
            }
        }
        Some(())
    }

    fn recover(&mut self, seat: usize, _: &Step) -> Option<()> {
        let person = self.book.seats[seat].person;
        let devices = self.book.seats.iter().filter(|seat| seat.person == person && seat.live).count();
        if devices > 2 || !self.has_room() {
            return None;
        }
        let Person { app, handle, recovery, .. } = self.book.people[person].clone();
        let home = self.w.home();
        self.strike(home);
        let Some(proof) = self.prove(home, &app, &handle) else { return Some(()) };
        let recovery_key = Zeroizing::new(recovery);
        let answer = self.w.ask(home, Intent::SignIn { app, handle, proof, recovery_key }, PATIENCE_MS);
        if answer.is_some_and(|answer| answer.is_ok()) {
            self.w.homes[home].synced = true;
            self.w.homes[home].intent(Intent::Sync);
            self.sit(person, home, 0);
            self.book.seats.last_mut()?.since = u64::MAX;
        }
        Some(())
    }

    fn delete_account(&mut self, seat: usize) -> Option<()> {
        let person = self.book.seats[seat].person;
        let there = self.book.people.iter().filter(|person| !person.gone).count();
        if there < 6 {
            return None;
        }
        self.book.people[person].gone = true;
        self.book.touch_all(person);
        for seat in self.book.seats.iter_mut().filter(|seat| seat.person == person) {
            seat.live = false;
        }
        self.ask(seat, Intent::DeleteAccount);
        Some(())
    }

    // ---- contacts

    fn first_contact(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let me = self.book.seats[seat].person;
        let all = self.book.people.len();
        let other = (0..all).map(|n| (step.with as usize + n) % all).find(|other| {
            let known = self.book.said.iter().any(|said| said.key == Book::pair(me, *other));
            *other != me && !known && !self.book.are_same(me, *other) && !self.book.people[*other].gone
        })?;
        let key = Book::pair(me, other);
        let to = match op {
            Op::Invite => {
                self.strike(self.book.seats[seat].home);
                let Some(invite) = self.invite(other) else { return Some(()) };
                invite
            }
            _ => Target::Address(self.book.people[other].address.clone()),
        };
        let note = self.note(seat, key, self.text(step.how), vec![other], None);
        // There is no room before the first word is answered.
        self.book.touch(key, me);
        self.book.touch(key, other);
        self.say(seat, to, note, None);
        Some(())
    }

    /// Somebody makes an invite.
    fn invite(&mut self, person: usize) -> Option<Target> {
        let seat =
            (0..self.book.seats.len()).find(|seat| self.book.seats[*seat].person == person && self.is_there(*seat))?;
        match self.ask(seat, Intent::CreateInvite { uses: 2, ttl_s: 3_600 })? {
            Reply::Invite { text, .. } => Some(Target::Invite(text)),
            _ => None,
        }
    }

    fn choose(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let Reply::Requests(requests) = self.look(seat, Intent::Requests)? else { return None };
        let request = requests.get(step.with as usize % requests.len().max(1))?.clone();
        let (me, other) = (self.book.seats[seat].person, self.book.person(&request.from)?);
        let request = match op {
            Op::Accept => Intent::Accept { request: request.id },
            Op::Decline => Intent::Decline { request: request.id },
            _ => Intent::Block { conversation: request.id },
        };
        let key = Book::pair(me, other);
        self.book.touch(key, me);
        self.book.touch(key, other);
        if op != Op::Accept {
            self.book.apart.insert(key);
        }
        self.start(seat, request);
        Some(())
    }

    fn set_reach(&mut self, seat: usize, step: &Step) -> Option<()> {
        let from = AppId::parse(APPS[step.with as usize % 3]).ok()?;
        let rule = if step.how.is_multiple_of(3) { ReachRule::Invite } else { ReachRule::Ask };
        self.start(seat, Intent::SetReach { from, rule });
        Some(())
    }

    fn set_name(&mut self, seat: usize, step: &Step) -> Option<()> {
        self.start(seat, Intent::SetName { name: format!("{MARK} {}", step.how % 100) });
        Some(())
    }

    /// One's own, or that of a group.
    fn picture(&mut self, seat: usize, step: &Step) -> Option<()> {
        let image = vec![step.how as u8; 200 + step.how as usize % 9_000];
        let picture = Picture::new("image/png", image.into()).filter(|_| !step.how.is_multiple_of(5));
        let group = self.open_one(seat, step.with, Some(true)).filter(|_| step.who.is_multiple_of(2));
        let intent = match group {
            Some((view, _)) => Intent::SetGroupPicture { conversation: view.id, picture },
            None => Intent::SetProfile { name: format!("{MARK} {}", step.how % 100), picture },
        };
        self.start(seat, intent);
        Some(())
    }

    // ---- messages

    fn note(&self, seat: usize, key: Key, text: String, readers: Vec<usize>, timer: Option<Timer>) -> Said {
        let at = self.w.now();
        Said { text, edits: Vec::new(), seat, key, at, timer, message: None, readers, deleted: false }
    }

    /// Says something in a conversation that is open.
    pub(crate) fn say_in(
        &mut self,
        seat: usize,
        view: &Conversation,
        key: Key,
        text: String,
        timer: Option<Timer>,
        reply: Option<MessageId>,
    ) {
        let mut readers: Vec<usize> =
            view.members.iter().filter_map(|member| self.book.person(&member.account)).collect();
        readers.push(self.book.seats[seat].person);
        let note = self.note(seat, key, text, readers, timer);
        self.say(seat, Target::Conversation(view.id), note, reply);
    }

    fn say_something(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, None)?;
        if !may_write(&view) {
            return None;
        }
        let timer = (op == Op::SayTimed).then(|| match step.how % 2 {
            0 => Timer::Sending(10 + step.how % 200),
            _ => Timer::Reading(10 + step.how % 200),
        });
        let reply = match op {
            Op::Answer => Some(self.one_message(seat, view.id, step.how, false)?),
            _ => None,
        };
        self.say_in(seat, &view, key, self.text(step.how), timer, reply);
        Some(())
    }

    fn once(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, None)?;
        let mut waiting = self.messages(seat, view.id, 20).into_iter();
        let waiting = waiting.rfind(|message| message.timer == Some(Timer::Once) && message.from.is_some());
        if let Some(message) = waiting {
            self.start(seat, Intent::Open { conversation: view.id, message: message.id });
        } else if may_write(&view) {
            self.say_in(seat, &view, key, self.text(step.how), Some(Timer::Once), None);
        }
        Some(())
    }

    fn about_a_message(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let (view, _) = self.open_one(seat, step.with, None)?;
        let own = matches!(op, Op::Edit | Op::Delete);
        let message = self.one_message(seat, view.id, step.how, own)?;
        let said = self.book.find(&message);
        let to = Target::Conversation(view.id);
        match op {
            Op::Edit => {
                let text = format!("e{} {MARK}", step.how);
                let said = &mut self.book.said[said?];
                if said.timer.is_some() || said.deleted {
                    return None;
                }
                said.edits.push(text.clone());
                self.start(seat, Intent::Send { to, body: Body::Edit { message, text } });
            }
            Op::Delete => {
                self.book.said[said?].deleted = true;
                self.start(seat, Intent::Send { to, body: Body::Delete { message } });
            }
            Op::React => {
                let emoji = EMOJI[step.who as usize % 4].to_owned();
                self.start(seat, Intent::Send { to, body: Body::Reaction { message, emoji } });
            }
            _ => {
                let keep = !step.who.is_multiple_of(3);
                self.start(seat, Intent::Keep { conversation: view.id, message, keep });
            }
        }
        Some(())
    }

    fn quietly(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let (view, _) = self.open_one(seat, step.with, None)?;
        let conversation = view.id;
        self.start(
            seat,
            match op {
                Op::Read => Intent::MarkRead { conversation },
                Op::Typing => Intent::Typing { conversation, typing: !step.how.is_multiple_of(3) },
                _ => {
                    let text = (!step.how.is_multiple_of(4)).then(|| format!("draft {MARK} {}", step.how % 9));
                    Intent::PutDraft { conversation, text }
                }
            },
        );
        Some(())
    }

    // ---- groups

    /// Whether somebody may come among these: never two accounts of one human.
    fn fits(&self, person: usize, among: &[usize]) -> bool {
        !self.book.people[person].gone && !among.iter().any(|other| self.book.are_same(person, *other))
    }

    fn make_group(&mut self, seat: usize, step: &Step) -> Option<()> {
        let me = self.book.seats[seat].person;
        let mut there = vec![me];
        let mut members = Vec::new();
        for view in self.conversations(seat) {
            if view.is_group || view.state != ConversationState::Open || members.len() as u32 > 1 + step.how % 5 {
                continue;
            }
            let Some(other) = view.members.first().and_then(|member| self.book.person(&member.account)) else {
                continue;
            };
            if self.fits(other, &there) {
                there.push(other);
                members.push(Target::Account(self.book.people[other].account.clone()));
            }
        }
        if members.is_empty() {
            return None;
        }
        self.book.groups += 1;
        let key = Key::Group(self.book.groups);
        there.iter().for_each(|person| self.book.touch(key, *person));
        let title = format!("G{} {MARK}", self.book.groups);
        self.start(seat, Intent::CreateGroup { title, members });
        Some(())
    }

    fn present(&self, seat: usize, view: &Conversation) -> Vec<usize> {
        let mut there: Vec<usize> =
            view.members.iter().filter_map(|member| self.book.person(&member.account)).collect();
        there.push(self.book.seats[seat].person);
        there
    }

    fn add_member(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, Some(true))?;
        let (there, known) = (self.present(seat, &view), self.book.touched(key));
        let all = self.book.people.len();
        let mut others = (0..all).map(|n| (step.how as usize + n) % all);
        let other = others.find(|other| !there.contains(other) && self.fits(*other, &known))?;
        self.book.touch(key, other);
        let members = vec![Target::Address(self.book.people[other].address.clone())];
        self.start(seat, Intent::AddMembers { conversation: view.id, members });
        Some(())
    }

    fn about_a_member(&mut self, op: Op, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, Some(true))?;
        let member = view.members.get(step.how as usize % view.members.len().max(1))?.account.clone();
        let conversation = view.id;
        if op == Op::SetRole {
            let role = [GroupRole::Admin, GroupRole::Member, GroupRole::Owner][step.who as usize % 3];
            self.start(seat, Intent::SetRole { conversation, member, role });
        } else {
            self.book.touch(key, self.book.person(&member)?);
            self.start(seat, Intent::RemoveMember { conversation, member });
        }
        Some(())
    }

    fn leave(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, Some(true))?;
        self.book.touch(key, self.book.seats[seat].person);
        self.start(seat, Intent::Leave { conversation: view.id });
        Some(())
    }

    fn rename(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, Some(true))?;
        let Key::Group(number) = key else { return None };
        let title = format!("G{number} {MARK} {}", step.how % 100);
        self.start(seat, Intent::Rename { conversation: view.id, title });
        Some(())
    }

    fn set_rules(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, _) = self.open_one(seat, step.with, Some(true))?;
        let allowed = |most: u32| if most.is_multiple_of(3) { Allowed::Admins } else { Allowed::Everyone };
        let (add, write, change) = (allowed(step.who), allowed(step.how), allowed(step.with));
        let history_s = step.how.is_multiple_of(2).then_some(86_400);
        let rules = GroupRules { add, write, change, history_s };
        self.start(seat, Intent::SetRules { conversation: view.id, rules });
        Some(())
    }

    fn set_attributed(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, _) = self.open_one(seat, step.with, Some(true))?;
        let attributed = !view.group.as_ref()?.attributed;
        self.start(seat, Intent::SetAttributed { conversation: view.id, attributed });
        Some(())
    }

    fn join_by_link(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, Some(true))?;
        let (there, known) = (self.present(seat, &view), self.book.touched(key));
        let approve = step.how.is_multiple_of(2);
        let make = Intent::CreateGroupLink { conversation: view.id, approve, uses: 3, ttl_s: 3_600 };
        let Some(Reply::GroupLink(link)) = self.ask(seat, make) else { return Some(()) };
        let others: Vec<usize> = (0..self.book.seats.len())
            .filter(|other| {
                let person = self.book.seats[*other].person;
                self.is_there(*other) && !there.contains(&person) && self.fits(person, &known)
            })
            .collect();
        let Some(joins) = others.get(step.how as usize % others.len().max(1)).copied() else { return Some(()) };
        self.book.touch(key, self.book.seats[joins].person);
        self.start(joins, Intent::JoinByLink { link: link.text });
        Some(())
    }

    fn set_expiry(&mut self, seat: usize, step: &Step) -> Option<()> {
        let (view, key) = self.open_one(seat, step.with, None)?;
        let (least, most) = view.expiry_range?;
        let after_s = match step.how % 4 {
            0 => Some(least.max(7_200)),
            1 => most,
            _ => Some(most.unwrap_or(u32::MAX).min(40 * 86_400)),
        };
        if after_s.is_some_and(|after_s| after_s < 2 * 86_400) {
            self.book.short.insert(key);
        }
        let expiry = Expiry { after_s, archive: step.who.is_multiple_of(2) };
        let existing = step.who.is_multiple_of(3);
        self.start(seat, Intent::SetExpiry { conversation: view.id, expiry, existing });
        Some(())
    }
}
