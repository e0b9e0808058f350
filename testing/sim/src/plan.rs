//! What is to happen: a list of steps, drawn from the seed before anything runs. Whom a step concerns is a number, to be taken
//! among those who are there when its turn comes; so a list with steps left out is a list, too.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};

macro_rules! listed {
    ($(#[$doc:meta])* $name:ident { $($(#[$what:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$what])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

listed! {
    /// What somebody does.
    Op {
        /// Somebody new.
        SignUp,
        /// Writes to somebody for the first time.
        FirstContact,
        /// The same, by an invite that they made.
        Invite,
        /// Lets somebody in.
        Accept,
        /// Forgets a request.
        Decline,
        /// Blocks somebody.
        Block,
        /// Writes.
        Say,
        /// Answers a message.
        Answer,
        /// Writes what goes some time after it was sent.
        SayTimed,
        /// Writes what can be seen once, or sees it.
        Once,
        /// Changes what was written.
        Edit,
        /// Takes it back.
        Delete,
        /// Reacts.
        React,
        /// Reads.
        Read,
        /// Is writing.
        Typing,
        /// Keeps a draft.
        Draft,
        /// Keeps a message.
        Keep,
        /// Makes a group.
        MakeGroup,
        /// Adds somebody.
        AddMember,
        /// Removes somebody.
        RemoveMember,
        /// Leaves.
        Leave,
        /// Gives a role.
        SetRole,
        /// Changes a group's name.
        Rename,
        /// Says who may do what in a group.
        SetRules,
        /// Tells the server who sends in a group, or does not any more.
        SetAttributed,
        /// Joins by a link that somebody makes.
        JoinByLink,
        /// Says how long messages stay.
        SetExpiry,
        /// Changes who may write to them.
        SetReach,
        /// Changes their name.
        SetName,
        /// Changes their picture, or a group's.
        Picture,
        /// Links another device.
        LinkDevice,
        /// Answers for another account, too.
        LinkAccount,
        /// Takes a device off.
        Revoke,
        /// Comes back with the recovery key.
        Recover,
        /// Goes for good.
        DeleteAccount,
    }
}

listed! {
    /// What goes wrong.
    Fault {
        /// A home's connections break.
        Break,
        /// A request is done, and its answer lost.
        LostAnswer,
        /// Everything is slow.
        Slow,
        /// A home is cut off for a while.
        Partition,
        /// What a home sends and gets is swallowed for a while.
        Silence,
        /// The server dies between two batches.
        ServerCrash,
        /// A home's process dies between two effects.
        HomeCrash,
        /// A device's clock is set forward.
        ClockForward,
        /// A device's clock is set back.
        ClockBack,
        /// The power goes while a home or the server writes: what was under way is there in part, and is dropped.
        TornWrite,
        /// A device's disk is full.
        DiskFull,
        /// A device is off for a while.
        Off,
        /// A home is put back to what it was.
        OldCopy,
        /// A device is off for 29 days.
        Month,
    }
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Somebody does something.
    Op(Op),
    /// Something goes wrong.
    Fault(Fault),
    /// Something goes wrong with whoever does something, just as they do it.
    During(Op, Fault),
    /// All is mended, and looked at.
    Heal,
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// So long after the one before, milliseconds.
    pub wait_ms: u64,
    /// What.
    pub what: What,
    /// Who, of those who can.
    pub who: u32,
    /// Whom, where, what about.
    pub with: u32,
    /// How.
    pub how: u32,
}

/// How much of what.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Stretches that end with mending all.
    pub bursts: u32,
    /// Operations in each.
    pub ops: u32,
    /// Faults in each.
    pub faults: u32,
}

impl Size {
    /// So many simulated hours: four stretches each.
    #[must_use]
    pub fn hours(hours: u32) -> Self {
        Self { bursts: 4 * hours, ops: 520, faults: 8 }
    }

    /// What a test can afford.
    #[must_use]
    pub fn small() -> Self {
        Self { bursts: 2, ops: 150, faults: 8 }
    }
}

/// A stretch lasts about so long before it is mended, milliseconds.
const BURST_MS: u64 = 540_000;

const WEIGHTS: &[(Op, u32)] = &[
    (Op::SignUp, 4),
    (Op::FirstContact, 40),
    (Op::Invite, 8),
    (Op::Accept, 50),
    (Op::Decline, 3),
    (Op::Block, 2),
    (Op::Say, 360),
    (Op::Answer, 60),
    (Op::SayTimed, 20),
    (Op::Once, 16),
    (Op::Edit, 40),
    (Op::Delete, 16),
    (Op::React, 60),
    (Op::Read, 60),
    (Op::Typing, 20),
    (Op::Draft, 12),
    (Op::Keep, 8),
    (Op::MakeGroup, 14),
    (Op::AddMember, 20),
    (Op::RemoveMember, 8),
    (Op::Leave, 6),
    (Op::SetRole, 10),
    (Op::Rename, 12),
    (Op::SetRules, 6),
    (Op::SetAttributed, 4),
    (Op::JoinByLink, 8),
    (Op::SetExpiry, 10),
    (Op::SetReach, 8),
    (Op::SetName, 10),
    (Op::Picture, 10),
    (Op::LinkDevice, 8),
    (Op::LinkAccount, 5),
    (Op::Revoke, 2),
    (Op::Recover, 2),
    (Op::DeleteAccount, 1),
];

/// The fault that a stretch after the first is about: all of them in turn, over stretches and over seeds.
fn directed(seed: u64, burst: u32) -> Fault {
    Fault::ALL[(seed.wrapping_add(u64::from(burst)) % Fault::ALL.len() as u64) as usize]
}

/// Adds each thing that people do once, while this goes wrong: so the table of both has no empty cell.
fn everything_during(fault: Fault, stretch: &mut Vec<What>, rng: &mut ChaCha20Rng) {
    if fault == Fault::Month {
        // Whoever is awake does everything meanwhile.
        stretch.insert(stretch.len() / 2, What::Fault(fault));
        return;
    }
    for op in Op::ALL {
        let at = rng.next_u32() as usize % stretch.len().max(1);
        stretch.insert(at, What::During(*op, fault));
    }
}

/// The steps of a seed.
#[must_use]
pub fn steps(seed: u64, size: Size) -> Vec<Step> {
    let mut rng = ChaCha20Rng::seed_from_u64(seed ^ 0x706c_616e);
    let total: u32 = WEIGHTS.iter().map(|(_, weight)| weight).sum();
    let mut steps = Vec::new();
    for burst in 0..size.bursts {
        let mut stretch: Vec<What> = (0..size.ops)
            .map(|_| {
                let mut drawn = rng.next_u32() % total;
                let found = WEIGHTS.iter().find(|(_, weight)| match drawn.checked_sub(*weight) {
                    None => true,
                    Some(rest) => {
                        drawn = rest;
                        false
                    }
                });
                What::Op(found.map_or(Op::Say, |(op, _)| *op))
            })
            .collect();
        for _ in 0..size.faults {
            let fault = match Fault::ALL[rng.next_u32() as usize % Fault::ALL.len()] {
                // Rare: all else waits for it.
                Fault::Month if burst == 0 || !rng.next_u32().is_multiple_of(4) => Fault::HomeCrash,
                // Not among the first things: an old copy is to be old.
                Fault::OldCopy if !rng.next_u32().is_multiple_of(2) => Fault::ServerCrash,
                fault => fault,
            };
            // The first stretch begins in peace: people have to find each other.
            let least = if burst == 0 { stretch.len() / 3 } else { 0 };
            let at = least + rng.next_u32() as usize % (stretch.len() - least).max(1);
            stretch.insert(at, What::Fault(fault));
        }
        if burst > 0 {
            everything_during(directed(seed, burst), &mut stretch, &mut rng);
        }
        let mean = BURST_MS / stretch.len().max(1) as u64;
        for what in stretch {
            let wait_ms = rng.next_u64() % (2 * mean).max(1);
            steps.push(Step { wait_ms, what, who: rng.next_u32(), with: rng.next_u32(), how: rng.next_u32() });
        }
        steps.push(Step { wait_ms: 0, what: What::Heal, who: 0, with: 0, how: 0 });
    }
    steps
}
