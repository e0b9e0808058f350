//! Who somebody is inside a conversation: an account on an app, answered for by a device.

use std::fmt;

use minicbor::{Decode, Encode};
use parlour_proto::ids::log_tag;

use crate::keys::DeviceKeys;

/// An account: the app's provider domain and the account's id there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(array)]
pub struct AccountRef {
    /// Provider domain of the app, 1 to 253 bytes.
    #[n(0)]
    pub app: String,
    /// The account's id on that app.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub id: [u8; 16],
}

impl fmt::Debug for AccountRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountRef(~{:08x})", log_tag(&[self.app.as_bytes(), &self.id].concat()))
    }
}

/// A device's id.
pub type DeviceId = [u8; 16];

/// Who I am in an operation: one device answering for one account.
#[derive(Clone, Copy)]
pub struct Identity<'a> {
    /// The account.
    pub account: &'a AccountRef,
    /// The device that answers for it here.
    pub device: DeviceId,
    /// That device's keys.
    pub keys: &'a DeviceKeys,
}

impl fmt::Debug for Identity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, device ~{:08x})", self.account, log_tag(&self.device))
    }
}
