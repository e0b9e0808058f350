//! A home: one process with an engine, its rows on a disk, its sockets, its clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use parlour_client::{
    Identities,
    api::{ConversationId, Event, Failure, Input, Intent, IntentId, Reply, Socket},
    rows::EAGER,
};
use parlour_proto::ids::{MessageId, UnixMillis};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// The rows of a home.
pub(crate) type Rows = BTreeMap<Vec<u8>, Vec<u8>>;
/// Key packages in a pool: few, so that they run out now and then.
const POOL: u32 = 6;

/// One of the world's homes.
pub(crate) struct Home {
    /// `None`: the process is not running.
    pub(crate) engine: Option<Identities>,
    pub(crate) rows: Rows,
    /// An old copy of the rows.
    pub(crate) copy: Option<Rows>,
    pub(crate) inputs: VecDeque<Input>,
    pub(crate) wake: Option<UnixMillis>,
    pub(crate) links: BTreeMap<Socket, u64>,
    pub(crate) rng: ChaCha20Rng,
    /// The device's clock is so far ahead, milliseconds.
    pub(crate) ahead: i64,
    /// Rows cannot be written.
    pub(crate) full: bool,
    /// The power goes in the next transaction of several rows.
    pub(crate) tears: bool,
    /// Nobody uses it any more.
    pub(crate) retired: bool,
    /// The network: none at all, or one that swallows what is sent.
    pub(crate) cut: Cut,
    /// The process dies before the so-manyth of the next effects.
    pub(crate) crash_in: Option<u32>,
    /// When it is started again.
    pub(crate) start_at: Option<u64>,
    /// Somebody is signed in: it connects by itself when it is started.
    pub(crate) synced: bool,
    pub(crate) events: Vec<Event>,
    pub(crate) answers: BTreeMap<IntentId, Result<Reply, Failure>>,
    /// What was shown since the last start, to be looked for after a crash; and when it is over, milliseconds.
    pub(crate) shown: BTreeMap<(ConversationId, MessageId), u64>,
    /// Messages that were sent (for a planted bug).
    pub(crate) sent: BTreeSet<MessageId>,
    pub(crate) starts: u64,
    next_intent: u64,
}

/// How a home is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is not.
    No,
    /// Sockets break, and none can be opened.
    Plainly,
    /// What is sent is swallowed, both ways; nobody is told.
    Silently,
}

impl Home {
    pub(crate) fn new(seed: u64) -> Self {
        let mut home = Self {
            engine: None,
            rows: Rows::new(),
            copy: None,
            inputs: VecDeque::new(),
            wake: None,
            links: BTreeMap::new(),
            rng: ChaCha20Rng::seed_from_u64(seed),
            ahead: 0,
            full: false,
            tears: false,
            retired: false,
            cut: Cut::No,
            crash_in: None,
            start_at: None,
            synced: false,
            events: Vec::new(),
            answers: BTreeMap::new(),
            shown: BTreeMap::new(),
            sent: BTreeSet::new(),
            starts: 0,
            next_intent: 0,
        };
        home.start();
        home
    }

    /// Starts the process on what is written.
    pub(crate) fn start(&mut self) {
        let rows = self.rows.range(EAGER.to_vec()..).take_while(|(key, _)| key.starts_with(EAGER));
        let rows: Vec<_> = rows.map(|(key, value)| (key.clone(), value.clone())).collect();
        let engine = Identities::open(rows).expect("an engine opens what an engine wrote");
        self.engine = Some(engine.with_pools(POOL));
        self.start_at = None;
        self.starts += 1;
        self.inputs.push_back(Input::Tick);
        if self.synced {
            self.intent(Intent::Sync);
        }
    }

    /// The process ends: nothing stays but the rows.
    pub(crate) fn die(&mut self) {
        self.engine = None;
        self.inputs.clear();
        self.wake = None;
        self.crash_in = None;
        self.links.clear();
        self.answers.clear();
    }

    /// Hands an intent over.
    pub(crate) fn intent(&mut self, intent: Intent) -> IntentId {
        self.next_intent += 1;
        let id = IntentId(self.next_intent);
        self.inputs.push_back(Input::Intent(id, intent));
        id
    }

    pub(crate) fn now(&self, world_ms: u64) -> UnixMillis {
        UnixMillis(world_ms.saturating_add_signed(self.ahead))
    }

    /// When the engine wants to be woken, in the world's time.
    pub(crate) fn wake_ms(&self) -> Option<u64> {
        Some(self.wake?.0.saturating_add_signed(-self.ahead))
    }

    /// A shell looks at its clock every half minute, and ticks when it was set back.
    pub(crate) fn look_at_clock(&mut self) {
        self.inputs.push_back(Input::Tick);
    }

    /// Whether the process dies at this step.
    pub(crate) fn strikes(&mut self) -> bool {
        match &mut self.crash_in {
            None => false,
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
        }
    }
}
