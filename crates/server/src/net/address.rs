//! How many connections an address has open. In memory, while they are open; loopback is exempt.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex},
};

use crate::sync::MutexExt as _;

/// Open connections by address.
#[derive(Debug, Default)]
pub(super) struct Addresses(Mutex<HashMap<IpAddr, u32>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Slot(Option<(IpAddr, Arc<Addresses>)>);

impl Addresses {
    /// Counts a connection, unless there are `most` already.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr, most: u32) -> Option<Slot> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Some(Slot(None));
        }
        let address = network(address);
        let mut open = self.0.locked();
        let count = open.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Slot(Some((address, self.clone()))))
    }
}

/// One person has a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) >> 64 << 64)),
        v4 => v4,
    }
}

impl Slot {
    /// The address to meter by; `None` for loopback.
    pub(super) fn source(&self) -> Option<IpAddr> {
        self.0.as_ref().map(|(address, _)| *address)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some((address, all)) = &self.0 else { return };
        let mut open = all.0.locked();
        if let Some(count) = open.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                open.remove(address);
            }
        }
    }
}
