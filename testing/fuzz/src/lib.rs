//! Everything that takes bytes from outside, as targets: a function of bytes that must neither panic nor break what it says of
//! itself (what is read is written the same, what was changed does not open).
//!
//! Each target is run in three ways, by the same function: over its committed corpus (`cargo test -p parlour-fuzz`), over some
//! thousand changes of that corpus with a fixed seed (the same command), and by libFuzzer with coverage
//! (`cargo xtask fuzz TARGET --seconds N`). Each has a planted bug, on only when [`Plant::Yes`] is given: a test holds
//! that the second way finds it.
//!
//! What was run, and what is not covered: `docs/fuzzing.md`.

mod change;
mod corpus;
mod engine;
mod group;
mod names;
mod records;
mod sealed;
mod socket;
mod wire;

pub use change::Changer;
pub use corpus::committed;

/// Whether the target's planted bug is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// It is.
    Yes,
    /// As the product is.
    No,
}

/// Something that takes bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its corpus.
    pub name: &'static str,
    /// Runs it once; panics when something is wrong.
    pub run: fn(&[u8], Plant),
    /// Inputs that are good.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many changed inputs the test runs: so many take about a second in a debug build.
    pub changes: u32,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "client_frame", run: wire::client_frame, seeds: wire::client_seeds, changes: 20_000 },
    Target { name: "server_frame", run: wire::server_frame, seeds: wire::server_seeds, changes: 20_000 },
    Target { name: "row", run: wire::row, seeds: wire::row_seeds, changes: 20_000 },
    Target { name: "stored_row", run: wire::stored_row, seeds: wire::stored_seeds, changes: 20_000 },
    Target { name: "content", run: wire::content, seeds: wire::content_seeds, changes: 20_000 },
    Target { name: "device_list", run: records::device_list, seeds: records::device_list_seeds, changes: 2_000 },
    Target { name: "handle", run: names::handle, seeds: names::handle_seeds, changes: 20_000 },
    Target { name: "address", run: names::address, seeds: names::address_seeds, changes: 20_000 },
    Target { name: "mention", run: names::mention, seeds: names::mention_seeds, changes: 20_000 },
    Target { name: "config", run: names::config, seeds: names::config_seeds, changes: 1_000 },
    Target { name: "policy", run: records::policy, seeds: records::policy_seeds, changes: 20_000 },
    Target { name: "record", run: records::record, seeds: records::record_seeds, changes: 20_000 },
    Target { name: "key_package", run: records::key_package, seeds: records::key_package_seeds, changes: 1_000 },
    Target { name: "sealed", run: sealed::sealed, seeds: sealed::seeds, changes: 1_000 },
    Target { name: "pairing", run: sealed::pairing, seeds: sealed::pairing_seeds, changes: 300 },
    Target { name: "group", run: group::group, seeds: group::seeds, changes: 300 },
    Target { name: "welcome", run: group::welcome, seeds: group::welcome_seeds, changes: 300 },
    Target { name: "engine", run: engine::engine, seeds: engine::seeds, changes: 1_000 },
    Target { name: "home", run: engine::home, seeds: engine::home_seeds, changes: 1_000 },
    Target { name: "socket", run: socket::socket, seeds: socket::seeds, changes: 60 },
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().copied().find(|target| target.name == name)
}

/// A generator whose numbers are always the same: an input alone decides what happens.
fn rng() -> rand_chacha::ChaCha20Rng {
    rand_core::SeedableRng::from_seed([7; 32])
}

/// The planted bug of a target: it panics where `here` holds.
fn bug(plant: Plant, here: bool) {
    assert!(!(plant == Plant::Yes && here), "the planted bug");
}

/// A good value and how it is changed: places and bytes, three of input each. Nothing is changed by no input.
fn edited(good: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([edit[0], edit[1]]));
        if bytes.is_empty() {
            break;
        }
        let len = bytes.len();
        match edit[2] {
            0 => bytes.truncate(at % len),
            1 => bytes.insert(at % len, edit[0]),
            2 => drop(bytes.remove(at % len)),
            value => bytes[at % len] ^= value,
        }
    }
    bytes
}
