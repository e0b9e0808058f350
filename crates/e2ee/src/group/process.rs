//! Rows from the room: messages, commits, and everything that is wrong with them.
//!
//! What is wrong falls into two classes, and the difference is what keeps the members together:
//! - [`Invalid`]: every member who followed the room so far sees the same. The row is void; skip it.
//! - [`Repair`]: it may be only us. The row may be good for the others.
//!
//! A member whose state has silently diverged calls good commits *unreadable* and skips them; the next one is then from
//! a later epoch than its own, which is [`Repair::FutureEpoch`]: it finds out at the second commit. The other choice,
//! repair for whatever does not decrypt, would let anybody who can write to the room send all members into repair.

mod classify;
pub(super) mod inspect;

use openmls::prelude::{
    ContentType, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, PrivateMessageIn, ProcessedMessage,
    ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit,
};
use tls_codec::Deserialize as _;

use self::inspect::Inspected;
use super::{Group, GroupError, Staged, next_send_key_digest, own};
use crate::credential::{LeafCredential, Member};
use crate::franking::{Envelope, Evidence, Expected, FrankingError};
use crate::policy::Policy;
use crate::policy::rules::PolicyBreach;

/// What the server said beside a row of the room.
#[derive(Debug, Clone, Copy)]
pub struct RowMeta {
    /// Place in the room's log.
    pub room_seq: u64,
    /// Message or commit id.
    pub id: [u8; 16],
    /// Commits: digest of the next epoch's send key, as the committer claimed it.
    pub next_send_key_digest: Option<[u8; 32]>,
    /// Messages: the franking tag that the server stamped.
    pub tag: Option<[u8; 32]>,
}

/// What a row turned out to be.
#[derive(Debug)]
pub enum Processed {
    /// A message, decrypted, with its franking verified.
    Message(Box<Message>),
    /// A commit: look at it, then call [`Group::merge_staged`] or [`Group::refuse_staged`].
    Commit(Box<StagedChange>),
    /// Our own message: the "sent" tick. Match its id with the outbox.
    OwnMessage,
    /// Our own pending commit: call [`Group::merge_pending`].
    OwnCommit,
    /// Seen before.
    Duplicate,
    /// Our leaf did something that this state does not know: it is an old copy. Discard it and rejoin. (Another member
    /// could forge this, since only the content is signed: limit how often you believe it.)
    OldCopy,
    /// Void for every member: skip the row.
    Invalid(Invalid),
    /// We cannot follow; others may.
    NeedsRepair(Repair),
}

/// A message that passed every check.
#[derive(Debug, Clone)]
pub struct Message {
    /// Whose leaf sent it, as of its epoch.
    pub sender: Member,
    /// Its epoch.
    pub epoch: u64,
    /// What was said.
    pub content: Vec<u8>,
    /// What a report about it needs.
    pub evidence: Evidence,
}

/// What a received commit does.
#[derive(Debug, Clone)]
pub struct StagedChange {
    /// Who made it.
    pub committer: Member,
    /// Epoch once merged.
    pub epoch: u64,
    /// New leaves. Check them against their accounts' device lists.
    pub added: Vec<Member>,
    /// Leaves that go; ours among them if `self_removed`.
    pub removed: Vec<Member>,
    /// The committer's leaf before and after, if its keys changed. Check the new one as those added.
    pub updated: Option<(Member, Member)>,
    /// Before and after, if it changed.
    pub policy: Option<(Policy, Policy)>,
    /// It puts the room into attributed mode, or out of it.
    pub attributed: Option<bool>,
    /// We are removed. Nothing vouches for the next epoch then: the send key's digest cannot be compared.
    pub self_removed: bool,
    /// Digest of the next epoch's send key; `None` if we are removed.
    pub send_key_digest: Option<[u8; 32]>,
}

/// Why a row is void for every member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It does not parse, or is no PrivateMessage.
    #[error("does not parse")]
    Malformed,
    /// It names another group.
    #[error("of another room")]
    WrongRoom,
    /// A proposal, another id than the row's, or a commit in a message's row.
    #[error("framed wrongly")]
    Framing,
    /// A commit of a past epoch.
    #[error("of a past epoch")]
    Epoch,
    /// It does not decrypt in an epoch that we hold.
    #[error("does not decrypt")]
    Unreadable,
    /// The sender's signature does not verify, or the sender is not in the group.
    #[error("signature does not verify")]
    Signature,
    /// A commit that MLS does not allow.
    #[error("commit not allowed by MLS")]
    Commit,
    /// A leaf's credential is not right.
    #[error("credential is not right")]
    Credential,
    /// A commit that the policy does not allow.
    #[error("commit not allowed by the policy")]
    Policy(PolicyBreach),
    /// The committer claimed another send key than the commit leads to.
    #[error("another send key than claimed")]
    SendKeyDigest,
    /// A message of an epoch that a removal has ended.
    #[error("after the removal that ended its epoch")]
    AfterRemoval,
    /// The message's franking does not hold.
    #[error("franking does not hold")]
    Franking(FrankingError),
}

/// Why only we cannot follow, and what helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Repair {
    /// A commit or message of an epoch ahead of ours: a commit is missing. Read the room's log, else rejoin.
    #[error("of an epoch ahead of ours")]
    FutureEpoch,
    /// A message of an epoch we no longer hold, or never did. Ask for it again; the state is sound.
    #[error("of an epoch that is gone")]
    EpochGone,
    /// A message overtaken by too many others of its sender. Ask for it again; the state is sound.
    #[error("key of the message is gone")]
    GenerationGone,
    /// The commit's secrets are not readable for us: rejoin.
    #[error("path secrets are not readable")]
    PathSecret,
    /// We are not in the group any more: rejoin if we should be.
    #[error("removed from the group")]
    Removed,
}

impl Group {
    /// Reads one row of the room, in order of the room's sequence.
    ///
    /// # Errors
    /// Only if our own rows are broken, or a staged commit still waits. What is wrong with the row is an `Ok`.
    pub fn process(&mut self, bytes: &[u8], row: &RowMeta) -> Result<Processed, GroupError> {
        match self.ready() {
            Ok(()) => {}
            Err(GroupError::Removed) => return Ok(Processed::NeedsRepair(Repair::Removed)),
            Err(error) => return Err(error),
        }
        let message = match self.framing(bytes, row) {
            Ok(message) => message,
            Err(invalid) => return Ok(Processed::Invalid(invalid)),
        };
        if let Some(known) = self.recognise(&message, bytes, row)? {
            self.provider.store().finish();
            return Ok(known);
        }
        let epoch = message.epoch().as_u64();
        if epoch == self.epoch() && message.content_type() == ContentType::Application {
            self.provider.store().leave_past_alone();
        }
        match self.mls.process_message(&self.provider, ProtocolMessage::from(message)) {
            Ok(processed) => self.judge(processed, row),
            Err(error) => {
                self.provider.store().discard();
                classify::classify(error, self.holds(epoch))
            }
        }
    }

    /// The epoch that an application message says it is of, readable without any key.
    #[must_use]
    pub fn epoch_of(bytes: &[u8]) -> Option<u64> {
        match MlsMessageIn::tls_deserialize_exact(bytes).ok()?.extract() {
            MlsMessageBodyIn::PrivateMessage(message) => Some(message.epoch().as_u64()),
            _ => None,
        }
    }

    /// What can be told without any key.
    fn framing(&self, bytes: &[u8], row: &RowMeta) -> Result<PrivateMessageIn, Invalid> {
        let message = MlsMessageIn::tls_deserialize_exact(bytes).map_err(|_| Invalid::Malformed)?;
        let MlsMessageBodyIn::PrivateMessage(message) = message.extract() else { return Err(Invalid::Malformed) };
        if message.group_id() != self.mls.group_id() {
            return Err(Invalid::WrongRoom);
        }
        let fits = match message.content_type() {
            ContentType::Application => row.tag.is_some() && row.next_send_key_digest.is_none(),
            ContentType::Commit => row.next_send_key_digest.is_some(),
            ContentType::Proposal => false,
        };
        if fits && message.aad() == row.id { Ok(message) } else { Err(Invalid::Framing) }
    }

    /// What can be told from our own records.
    fn recognise(
        &self,
        message: &PrivateMessageIn,
        bytes: &[u8],
        row: &RowMeta,
    ) -> Result<Option<Processed>, GroupError> {
        let store = self.provider.store();
        let (hash, epoch) = (own::hash(bytes), message.epoch().as_u64());
        if own::remembers(store, &hash)? {
            return Ok(Some(Processed::Duplicate));
        }
        if message.content_type() == ContentType::Commit {
            return Ok(match epoch.cmp(&self.epoch()) {
                _ if self.pending.as_ref().is_some_and(|pending| pending.hash == hash) => Some(Processed::OwnCommit),
                std::cmp::Ordering::Less => Some(Processed::Invalid(Invalid::Epoch)),
                std::cmp::Ordering::Greater => Some(Processed::NeedsRepair(Repair::FutureEpoch)),
                std::cmp::Ordering::Equal => None,
            });
        }
        Ok(if own::take_echo(store, epoch, &hash)? {
            Some(Processed::OwnMessage)
        } else if own::is_closed(store, epoch, row.room_seq)? {
            Some(Processed::Invalid(Invalid::AfterRemoval))
        } else if epoch > self.epoch() {
            Some(Processed::NeedsRepair(Repair::FutureEpoch))
        } else if !self.holds(epoch) {
            Some(Processed::NeedsRepair(Repair::EpochGone))
        } else {
            None
        })
    }

    fn holds(&self, epoch: u64) -> bool {
        epoch == self.epoch() || self.provider.store().holds_past_epoch(epoch)
    }

    /// What OpenMLS accepted is not yet what we accept.
    fn judge(&mut self, processed: ProcessedMessage, row: &RowMeta) -> Result<Processed, GroupError> {
        let epoch = processed.epoch().as_u64();
        let sender = match processed.sender() {
            Sender::Member(leaf) => leaf.u32(),
            _ => return self.void(Invalid::Framing),
        };
        let credential = LeafCredential::of(processed.credential());
        match processed.into_content() {
            ProcessedMessageContent::ApplicationMessage(content) => {
                // Whatever the content is worth, its key is used up.
                self.provider.store().finish();
                let opened = credential.map_err(|_| Invalid::Credential).and_then(|credential| {
                    self.open(&content.into_bytes(), Member { leaf: sender, credential }, epoch, row)
                });
                Ok(opened.map_or_else(Processed::Invalid, |message| Processed::Message(Box::new(message))))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => match self.inspect(sender, &commit, row) {
                Ok(change) => {
                    let removes = !change.removed.is_empty();
                    self.staged = Some(Staged { commit, room_seq: row.room_seq, removes });
                    Ok(Processed::Commit(Box::new(change)))
                }
                Err(invalid) => self.void(invalid),
            },
            ProcessedMessageContent::OwnPrivateMessage => {
                self.provider.store().discard();
                Ok(Processed::OldCopy)
            }
            _ => self.void(Invalid::Framing),
        }
    }

    fn void(&mut self, invalid: Invalid) -> Result<Processed, GroupError> {
        self.roll_back()?;
        Ok(Processed::Invalid(invalid))
    }

    fn open(&self, plaintext: &[u8], sender: Member, epoch: u64, row: &RowMeta) -> Result<Message, Invalid> {
        let expected = Expected {
            room: self.room(),
            epoch,
            message_id: row.id,
            tag: row.tag.ok_or(Invalid::Framing)?,
            sender: &sender.credential,
        };
        let (content, evidence) = Envelope::open(plaintext, &expected).map_err(Invalid::Franking)?;
        Ok(Message { sender, epoch, content, evidence })
    }

    fn inspect(&self, committer: u32, commit: &StagedCommit, row: &RowMeta) -> Result<StagedChange, Invalid> {
        let inspected = Inspected::of(self, committer, commit)?;
        inspected.check(self).map_err(Invalid::Policy)?;
        let send_key_digest = next_send_key_digest(commit, self.provider.crypto());
        let self_removed = inspected.removes(self.mls.own_leaf_index());
        if !self_removed && (send_key_digest.is_none() || send_key_digest != row.next_send_key_digest) {
            return Err(Invalid::SendKeyDigest);
        }
        let added = inspected.added_members();
        let before = inspected.committer.clone();
        let updated = inspected
            .updated
            .filter(|after| *after != before.credential)
            .map(|credential| (before.clone(), Member { leaf: before.leaf, credential }));
        let policy = (inspected.after != self.policy).then(|| (self.policy.clone(), inspected.after));
        Ok(StagedChange {
            committer: inspected.committer,
            epoch: commit.epoch().as_u64(),
            added,
            removed: inspected.removed,
            updated,
            attributed: policy.as_ref().and_then(|(before, after)| super::commit::switched(before, after)),
            policy,
            self_removed,
            send_key_digest,
        })
    }

    /// Accepts the received commit: on to the next epoch. A pending commit of ours is gone.
    ///
    /// # Errors
    /// [`GroupError::NothingStaged`].
    pub fn merge_staged(&mut self) -> Result<(), GroupError> {
        let staged = self.staged.take().ok_or(GroupError::NothingStaged)?;
        self.attempt(|group| {
            let ended = group.epoch();
            group.mls.merge_staged_commit(&group.provider, *staged.commit).map_err(GroupError::mls)?;
            group.after_merge(ended, staged.room_seq, staged.removes)
        })
    }

    /// Refuses the received commit: everything is as before its row.
    ///
    /// # Errors
    /// [`GroupError::NothingStaged`].
    pub fn refuse_staged(&mut self) -> Result<(), GroupError> {
        self.staged.take().ok_or(GroupError::NothingStaged)?;
        self.roll_back()
    }
}
