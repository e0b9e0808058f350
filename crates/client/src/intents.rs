//! What users want: each intent is answered at once, or waits for the network.
//!
//! Writing, accepting, blocking … are stored and answered at once; they reach the server when it can be reached. What only
//! the server can answer (apps, codes, reach, invites) is a [`NetworkIntent`]: it waits for the socket if there is or will
//! be one, and fails with `Offline` otherwise.

use crate::api::{Failure, Holdings, Intent, IntentId, Reply, Role, Status};
use crate::engine::{Engine, Purpose};
use crate::state::{GroupLink, Outgoing};
use bytes::Bytes;
use parlour_proto::address::{Invite, InviteAt};
use parlour_proto::frames::{self, Answer, Request};
use parlour_proto::ids::{Secret, UnixMillis};
use parlour_proto::problem::Problem;
use rand_core::CryptoRngCore;

/// Rows after which a server that always has more is not asked any more.
const MAX_ROWS: usize = 200_000;

/// An intent that only the server can answer.
pub(crate) struct NetworkIntent {
    request: Request,
    /// Needs a signed-in socket.
    signed_in: bool,
    /// The reply, where the server's `Done` does not tell it.
    reply: Option<Reply>,
    /// Of a group: known from when the server has its invite.
    link: Option<GroupLink>,
    /// What came so far of an answer in pages.
    held: Holdings,
    sent: bool,
}

impl Holdings {
    /// Adds a page; gives where the next one begins. One that goes nowhere is the last.
    fn add(&mut self, page: &frames::Holdings) -> Option<Bytes> {
        let new = page.kinds.iter().filter(|kind| self.kinds.iter().all(|known| known.number != kind.number));
        let new: Vec<_> = new.cloned().collect();
        self.kinds.extend(new);
        self.kinds.sort_by_key(|kind| kind.number);
        self.rows.extend_from_slice(&page.rows);
        self.unlisted.extend_from_slice(&page.unlisted);
        page.next.clone().filter(|_| !page.rows.is_empty() && self.rows.len() < MAX_ROWS)
    }
}

impl Engine {
    pub(crate) fn on_intent(&mut self, id: IntentId, intent: Intent, rng: &mut dyn CryptoRngCore) {
        let needs_account = !matches!(
            intent,
            Intent::Apps
                | Intent::RequestCode { .. }
                | Intent::SignUp { .. }
                | Intent::SignIn { .. }
                | Intent::WhoAmI
                | Intent::Link { .. }
        );
        if needs_account && self.me().is_none() && !matches!(intent, Intent::GoOffline) {
            return self.done(id, Err(Failure::NotSignedIn));
        }
        match intent {
            Intent::Apps => self.ask_network(id, Request::Apps, false, None),
            Intent::RequestCode { app, handle } => {
                self.ask_network(id, Request::RequestCode { app, handle }, false, None);
            }
            Intent::SignUp { app, handle, proof } => self.start_sign_up(id, app, handle, proof, None),
            Intent::SignIn { app, handle, proof, recovery_key } => {
                self.start_sign_up(id, app, handle, proof, Some(recovery_key));
            }
            Intent::WhoAmI => self.done(id, Ok(Reply::Identities(self.who_am_i()))),
            Intent::Sync => {
                if !self.wanted && self.s.number > 0 {
                    // Not in one breath with the home's other accounts.
                    self.inbox.wait_a_little(self.now, rng);
                }
                self.wanted = true;
                self.sync_intents.push(id);
            }
            Intent::GoOffline if self.waits_to_part(id) => {}
            Intent::GoOffline => self.go_offline_now(id),
            Intent::Send { to, body } => self.send(id, to, body, rng),
            Intent::Conversations => self.done(id, Ok(Reply::Conversations(self.conversations()))),
            Intent::Messages { conversation, before, limit } => {
                self.list_messages(id, conversation, before, limit, rng);
            }
            Intent::Readers { conversation, message } => self.readers(id, conversation, message),
            Intent::MarkRead { conversation } => self.mark_read(id, conversation, rng),
            Intent::Requests => self.done(id, Ok(Reply::Requests(self.requests()))),
            Intent::Accept { request } => self.accept(id, request, rng),
            Intent::Decline { request } => self.decline(id, request, rng),
            Intent::Block { conversation } => self.block(id, conversation),
            Intent::Unblock { conversation } => self.unblock(id, conversation),
            Intent::Reach => self.ask_network(id, Request::Reach, true, None),
            Intent::SetReach { from, rule } => self.ask_network(id, Request::SetReach { from, rule }, true, None),
            Intent::CreateInvite { uses, ttl_s } => self.create_invite(id, uses, ttl_s, rng),
            Intent::RevokeInvites => self.ask_network(id, Request::RevokeInvite { digest: None }, true, None),
            Intent::SafetyNumber { with } => self.safety_number(id, &with),
            Intent::SetVerified { conversation, verified } => self.set_verified(id, conversation, verified),
            Intent::SetReports { delivered, read, typing } => {
                self.set_reports(delivered, read, typing);
                self.share_settings(rng);
                self.done(id, Ok(Reply::Ok));
            }
            Intent::SetName { name } => self.set_name(id, &name, rng),
            Intent::SetGroupPicture { conversation, picture } => {
                self.change_group_picture(id, conversation, picture.as_ref(), rng);
            }
            Intent::GroupPicture { conversation } => self.group_picture(id, conversation),
            Intent::SetProfile { name, picture } => self.set_profile(id, &name, picture, rng),
            Intent::Picture { of } => self.picture(id, of),
            Intent::CreateGroup { title, members } => self.create_group(id, &title, &members, rng),
            Intent::AddMembers { conversation, members } => self.add_members(id, conversation, &members, rng),
            Intent::Uninvite { conversation, member } => self.uninvite(id, conversation, member, rng),
            Intent::CreateGroupLink { conversation, approve, uses, ttl_s } => {
                self.create_group_link(id, (conversation, approve, uses, ttl_s), rng);
            }
            Intent::GroupLinks { conversation } => {
                let links = self.group_links(conversation);
                self.done(id, Ok(Reply::GroupLinks(links)));
            }
            Intent::RevokeGroupLink { link } => self.revoke_group_link(id, link, rng),
            Intent::JoinByLink { link } => self.join_by_link(id, &link, rng),
            Intent::Joining => self.done(id, Ok(Reply::Joining(self.joining()))),
            Intent::StopJoining { join } => self.stop_joining(id, join, rng),
            Intent::RemoveMember { conversation, member } => self.remove_member(id, conversation, member),
            Intent::Rename { conversation, title } => self.rename(id, conversation, &title, rng),
            Intent::SetRole { conversation, member, role } => self.set_role(id, conversation, member, role),
            Intent::SetRules { conversation, rules } => self.set_rules(id, conversation, rules),
            Intent::SetAttributed { conversation, attributed } => self.set_attributed(id, conversation, attributed),
            Intent::Leave { conversation } => self.leave(id, conversation, rng),
            Intent::SetExpiry { conversation, expiry, existing } => self.set_expiry(id, conversation, expiry, existing),
            Intent::Open { conversation, message } => self.open_once(id, conversation, message),
            Intent::Keep { conversation, message, keep } => self.keep(id, conversation, message, keep),
            Intent::Archive { before, limit } => self.read_archive(id, before, limit),
            Intent::KeepAll { conversation, keep } => self.keep_all(id, conversation, keep, rng),
            // Of a set of identities; here there is one.
            Intent::LinkAccount { .. } => self.done(id, Err(Failure::AlreadySignedIn)),
            Intent::Unlink { .. } => self.done(id, Err(Failure::NotFound("linked account"))),
            Intent::As(_, intent) => self.on_intent(id, *intent, rng),
            Intent::OfferLink => self.offer_link(id, rng),
            Intent::ConfirmLink { yes } => self.confirm_link(id, yes),
            Intent::CancelLink => self.cancel_link(id),
            Intent::Link { code, name } => self.join_link(id, &code, &name),
            Intent::Devices => {
                let devices = self.show_devices();
                self.done(id, Ok(Reply::Devices(devices)));
            }
            Intent::NameDevice { name } => self.name_device(id, &name),
            Intent::RevokeDevice { device } => self.revoke_device(id, device),
            Intent::SetShowing { device, showing } => self.set_showing(id, device, showing, rng),
            Intent::PutDraft { conversation, text } => self.put_draft(id, conversation, text, rng),
            Intent::Typing { conversation, typing } => self.typing(id, conversation, typing),
            Intent::Drafts => self.done(id, Ok(Reply::Drafts(self.drafts()))),
            Intent::Backup => self.done(id, Ok(Reply::Backup(self.show_backup()))),
            Intent::SetBackup { history } => self.set_backup(id, history, rng),
            Intent::Holdings => self.ask_network(id, Request::Holdings { after: None }, true, None),
            Intent::Status => self.done(id, Ok(Reply::Status(self.status()))),
            Intent::DeleteAccount => self.start_deleting(id, rng),
        }
    }

    pub(crate) fn go_offline_now(&mut self, id: IntentId) {
        self.wanted = false;
        for sync in std::mem::take(&mut self.sync_intents) {
            self.done(sync, Err(Failure::Offline));
        }
        self.done(id, Ok(Reply::Ok));
    }

    /// Answers those who wait for the mailbox to be drained.
    pub(crate) fn finish_syncs(&mut self) {
        if self.is_online() {
            for id in std::mem::take(&mut self.sync_intents) {
                self.done(id, Ok(Reply::Ok));
            }
        }
    }

    fn ask_network(&mut self, id: IntentId, request: Request, signed_in: bool, reply: Option<Reply>) {
        if signed_in && !self.wanted {
            return self.done(id, Err(Failure::Offline));
        }
        self.network_intents.insert(
            id,
            NetworkIntent { request, signed_in, reply, link: None, held: Holdings::default(), sent: false },
        );
    }

    /// Asks for the invite of a link to a group.
    pub(crate) fn ask_for_link(&mut self, id: IntentId, request: Request, link: GroupLink) {
        self.ask_network(id, request, true, None);
        if let Some(waiting) = self.network_intents.get_mut(&id) {
            waiting.link = Some(link);
        }
    }

    pub(crate) fn has_network_intents(&self) -> bool {
        !self.network_intents.is_empty()
    }

    pub(crate) fn settle_network_intents(&mut self) {
        let ready: Vec<(IntentId, Request)> = self
            .network_intents
            .iter()
            .filter(|(_, waiting)| !waiting.sent && (!waiting.signed_in || self.signed_in))
            .map(|(id, waiting)| (*id, waiting.request.clone()))
            .collect();
        for (id, request) in ready {
            let sent = self.ask(Role::Inbox, Purpose::Intent(id), || request);
            if let Some(waiting) = self.network_intents.get_mut(&id) {
                waiting.sent = sent;
            }
        }
    }

    pub(crate) fn on_network_intent(
        &mut self,
        id: IntentId,
        result: Result<Answer, Problem>,
        rng: &mut dyn CryptoRngCore,
    ) {
        let Some(mut waiting) = self.network_intents.remove(&id) else { return };
        if let Ok(Answer::Holdings(page)) = &result
            && let Some(after) = waiting.held.add(page)
        {
            let next = NetworkIntent { request: Request::Holdings { after: Some(after) }, sent: false, ..waiting };
            self.network_intents.insert(id, next);
            return self.settle_network_intents();
        }
        if result.is_ok() && matches!(waiting.request, Request::RevokeInvite { digest: None }) {
            self.forget_links(rng);
        }
        let reply = match (result, waiting.reply) {
            (Err(problem), _) => Err(Failure::Refused(problem)),
            (Ok(Answer::Done), None) => waiting.link.map_or(Ok(Reply::Ok), |link| self.link_made(link, rng)),
            (Ok(Answer::Apps(apps)), _) => Ok(Reply::Apps(apps)),
            (Ok(Answer::Holdings(_)), _) => Ok(Reply::Holdings(waiting.held)),
            (Ok(Answer::Reach(rules)), _) => Ok(Reply::Reach(rules)),
            (Ok(Answer::Done), reply) => Ok(reply.unwrap_or(Reply::Ok)),
            (Ok(_), _) => Err(Failure::Suspicious("an answer that does not belong to the question".into())),
        };
        self.done(id, reply);
    }

    pub(crate) fn fail_network_intents(&mut self, failure: &Failure) {
        for (id, _) in std::mem::take(&mut self.network_intents) {
            self.done(id, Err(failure.clone()));
        }
        if !matches!(failure, Failure::Offline) {
            for id in std::mem::take(&mut self.sync_intents) {
                self.done(id, Err(failure.clone()));
            }
        }
        self.sign_up_interrupted();
    }

    fn create_invite(&mut self, id: IntentId, uses: u32, ttl_s: u64, rng: &mut dyn CryptoRngCore) {
        let Some(app) = self.me().map(|me| me.account.app.clone()) else { return };
        let token = Secret::random(rng);
        let digest = token.digest();
        let text = Invite { at: InviteAt::App(app), token, group: None }.to_text();
        let expires: UnixMillis = self.server_time().plus_ms(ttl_s.saturating_mul(1000));
        let reply = Reply::Invite { text, expires };
        self.ask_network(id, Request::CreateInvite { digest, uses, ttl_s, everywhere: false }, true, Some(reply));
    }

    /// What the user did and the server does not know yet.
    fn queued(&self) -> u64 {
        let own = self.me().and_then(|me| me.own);
        let said = self.s.outgoing.iter().filter(|((id, _), item)| !item.accepted && Some(*id) != own).count();
        let chosen = self.s.chores.iter().filter(|(_, chore)| chore.is_a_choice()).count();
        // In a conversation of two what is wanted is what the queued message needs.
        let groups = self.s.work.iter().filter(|(room, _)| self.is_group_room(room));
        let wanted = groups.flat_map(|(_, work)| &work.wants).filter(|want| want.is_a_choice()).count();
        (said + chosen + wanted) as u64
    }

    /// Texts and invitations that are kept until the other side accepts.
    fn held(&self) -> u64 {
        let text = |item: &Outgoing| !item.accepted && item.saying.begins();
        let asked = |id| self.standing(id) == Some(crate::api::ConversationState::Asked);
        self.s.outgoing.iter().filter(|((id, _), item)| asked(*id) && text(item)).count() as u64
    }

    fn status(&self) -> Status {
        let counters = self.s.counters.get(&());
        Status {
            received: counters.map_or(0, |c| c.received),
            unreadable: counters.map_or(0, |c| c.unreadable),
            refused: counters.map_or(0, |c| c.refused),
            queued: self.queued(),
            held: self.held(),
            repairs: counters.map_or(0, |c| c.repairs),
            conversations: self.conversations().len() as u64,
            requests: self.requests().len() as u64,
            backed_up: self.is_backed_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Ends, HeldKind, HeldRow};

    fn page(kinds: &[u32], rows: usize, next: Option<&'static [u8]>) -> frames::Holdings {
        let kind = |number: &u32| HeldKind { number: *number, name: "n".into(), why: "w".into(), erased: "e".into() };
        let row = HeldRow { kind: kinds[0], which: String::new(), day: None, bytes: 1, ends: Ends::WithAccount };
        frames::Holdings {
            kinds: kinds.iter().map(kind).collect(),
            rows: vec![row; rows],
            unlisted: Vec::new(),
            next: next.map(Bytes::from_static),
        }
    }

    #[test]
    fn pages_add_up_and_come_to_an_end() {
        let mut held = Holdings::default();
        assert_eq!(held.add(&page(&[7, 1], 3, Some(b"a"))), Some(Bytes::from_static(b"a")));
        assert_eq!(held.add(&page(&[1, 4], 2, None)), None);
        assert_eq!(
            (held.kinds.iter().map(|kind| kind.number).collect::<Vec<_>>(), held.rows.len()),
            (vec![1, 4, 7], 5)
        );
        assert_eq!(held.add(&page(&[1], 0, Some(b"a"))), None, "a page without rows goes nowhere");
        let mut endless = Holdings::default();
        let most = (0..).take_while(|_| endless.add(&page(&[1], 500, Some(b"a"))).is_some()).count();
        assert_eq!(most, MAX_ROWS / 500 - 1);
    }
}
