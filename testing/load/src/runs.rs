//! The measurements, one module each.

pub(crate) mod capacity;
pub(crate) mod deliver;
pub(crate) mod fanout;
pub(crate) mod first_message;
pub(crate) mod group;
pub(crate) mod idle;
pub(crate) mod large;
pub(crate) mod latency;
pub(crate) mod offline;
pub(crate) mod start;
pub(crate) mod sweep;

use crate::closed::Lane;
use crate::device::{self, Device};
use crate::net::Net;
use crate::process::Server;
use crate::room::{self, PreparedSend, Room};
use crate::socket::{Role, Ws, connect};
use anyhow::Result;

/// Two devices that share a room.
pub(crate) struct Pair {
    /// Who writes, signed in.
    pub(crate) sender: (Device, Ws),
    /// Who reads, signed in.
    pub(crate) recipient: (Device, Ws),
    /// Their room.
    pub(crate) room: Room,
}

/// Signs up `count` pairs and makes their rooms.
pub(crate) fn pairs(server: &Server, count: usize) -> Result<Vec<Pair>> {
    let to = server.endpoint();
    let app = device::phone_app(&to)?;
    let mut devices = device::sign_up(&to, &app, count * 2)?.into_iter();
    let mut pairs = Vec::with_capacity(count);
    while let (Some(mut sender), Some(mut recipient)) = (devices.next(), devices.next()) {
        let room = room::make(&to, &mut [&mut sender.1, &mut recipient.1])?;
        pairs.push(Pair { sender, recipient, room });
    }
    Ok(pairs)
}

/// Puts a room's sockets into `net`: a fresh outbox, and these members as online.
pub(crate) fn lane(server: &Server, net: &mut Net, room: &Room, online: Vec<Ws>) -> Result<Lane> {
    let (outbox, _) = connect(&server.endpoint(), Role::Outbox)?;
    let outbox = net.add(outbox)?;
    let online = online.into_iter().map(|ws| net.add(ws)).collect::<Result<_>>()?;
    Ok(Lane::new(outbox, online, PreparedSend::new(room)?))
}
