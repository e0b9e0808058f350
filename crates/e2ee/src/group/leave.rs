//! Leaving. MLS lets nobody commit their own removal, and a proposal by reference dies with its epoch and splits the
//! group where one member has missed it. So a leave request is a statement signed by the leaf's own key, sent as
//! ordinary content. Any member puts it *into* a commit, next to the removal, and every member verifies it right
//! there: whatever the epoch, whoever has seen it before, all judge alike. Should the leaf be renewed or removed in the
//! meantime, the request means nothing any more.

use std::collections::BTreeSet;

use minicbor::{Decode, Encode};
use openmls::prelude::{CustomProposal, Proposal};

use super::{Group, GroupError};
use crate::credential::Member;
use crate::keys::verify;
use crate::policy::rules::PolicyBreach;
use crate::suite::LEAVE;

/// Signature domain of a leave request.
pub const LEAVE_DOMAIN: &str = "parlour-leave-1";

/// A leaf's signed wish to be removed from one room.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct LeaveRequest {
    #[cbor(n(0), with = "minicbor::bytes")]
    leaf_key: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    signature: [u8; 64],
}

impl LeaveRequest {
    /// Encodes it (CBOR, about 100 bytes).
    pub fn to_bytes(&self) -> Vec<u8> {
        crate::cbor::encode(self)
    }

    /// Decodes it; `None` if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        crate::cbor::decode(bytes)
    }

    /// The leaf that asks, if it is among these members and signed this for this room.
    pub(super) fn leaf(&self, room: &[u8; 16], members: &[Member]) -> Option<u32> {
        let member = members.iter().find(|member| member.leaf_key() == self.leaf_key)?;
        verify(&self.leaf_key, LEAVE_DOMAIN, room, &self.signature).ok()?;
        Some(member.leaf)
    }

    pub(super) fn proposal(&self) -> Proposal {
        Proposal::Custom(Box::new(CustomProposal::new(LEAVE, self.to_bytes())))
    }
}

impl std::fmt::Debug for LeaveRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LeaveRequest(~{:08x})", parlour_proto::ids::log_tag(&self.leaf_key))
    }
}

impl Group {
    /// Asks the others to remove our leaf. Send it as content; whoever sees it commits [`super::Change::leave`].
    ///
    /// # Errors
    /// [`GroupError::Removed`].
    pub fn request_leave(&self) -> Result<LeaveRequest, GroupError> {
        self.ready()?;
        let signature = self.own.leaf().sign_for(LEAVE_DOMAIN, &self.room());
        Ok(LeaveRequest { leaf_key: self.own.leaf_public(), signature })
    }

    /// The leaf that a received request asks for; `None` if it is not (or no longer) a valid request here.
    pub fn leaving_leaf(&self, request: &LeaveRequest) -> Option<u32> {
        request.leaf(&self.room(), &self.members())
    }
}

/// Leaves asked for by the custom proposals of a commit.
pub(super) fn leaving<'a>(
    proposals: impl Iterator<Item = &'a CustomProposal>,
    room: &[u8; 16],
    members: &[Member],
) -> Result<BTreeSet<u32>, PolicyBreach> {
    proposals
        .map(|proposal| {
            if proposal.proposal_type() != LEAVE {
                return Err(PolicyBreach::Proposal);
            }
            LeaveRequest::from_bytes(proposal.payload())
                .and_then(|request| request.leaf(room, members))
                .ok_or(PolicyBreach::LeaveRequest)
        })
        .collect()
}
