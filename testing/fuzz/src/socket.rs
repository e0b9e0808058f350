//! The server's sockets as state machines: somebody with an account, a friend and a group says anything, in any order.
//!
//! An input is a list of steps. A step has the attacker's own engine do something, and changes what goes out meanwhile: edits in its
//! frames, and frames it sent before (changed, too) beside them, on either socket. So what is sent has right keys, tokens and
//! signatures but for what was changed; bytes that know nothing of the server would not get past signing in.
//!
//! Afterwards, and after a crash of the server, two friends who have nothing to do with it still write to each other, each message
//! is shown once, nothing of theirs is unreadable, and the server has answered nothing with [`Code::Internal`].

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parlour_client::api::{ConversationId, Intent, Reply, Role, Socket, Target};
use parlour_proto::{
    frames::{AppId, ClientFrame, ReachRule, ServerFrame},
    problem::Code,
    wire::{decode_client, encode_client},
};
use parlour_sim::stage::{Between, Stage, text};

use crate::{Plant, bug, edited};

/// More steps make one input slow.
const MOST_STEPS: usize = 24;
/// Ids of requests that no engine makes.
const OWN_IDS: u64 = 1 << 40;

/// What the attacker does to its frames.
#[derive(Default)]
struct Hand {
    attacker: usize,
    /// For the frames of the step that goes on.
    edits: Vec<u8>,
    /// Sent before, and on which kind of socket.
    sent: Vec<(Role, Bytes)>,
    /// Which of these to send once more, counted from the newest of the socket's own, or of all when the highest bit is set.
    again: Vec<u8>,
    /// Frames that were sent changed, or once more.
    strange: u64,
    internal: bool,
}

#[derive(Clone)]
struct Middle(Arc<Mutex<Hand>>);

impl Middle {
    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Between for Middle {
    fn to_client(&mut self, home: usize, _: Socket, frame: ServerFrame) -> Vec<ServerFrame> {
        let mut hand = self.hand();
        if home == hand.attacker
            && let ServerFrame::Answer { id, result } = &frame
        {
            hand.internal |= matches!(result, Err(problem) if problem.code == Code::Internal);
            if *id >= OWN_IDS {
                return Vec::new();
            }
        }
        vec![frame]
    }

    fn to_server(&mut self, home: usize, socket: Socket, frame: ClientFrame) -> Vec<ClientFrame> {
        let mut hand = self.hand();
        if home != hand.attacker {
            return vec![frame];
        }
        let bytes = encode_client(&frame);
        let mut frames = Vec::new();
        for choice in std::mem::take(&mut hand.again) {
            let fits = |role: &Role| choice & 0x80 != 0 || *role == socket.role;
            let mut newest = hand.sent.iter().rev().filter(|(role, _)| fits(role));
            let Some(old) = newest.nth(usize::from(choice & 0x7f)).map(|(_, old)| old.clone()) else { continue };
            if let Ok(mut old) = decode_client(edited(&old, &hand.edits).into()) {
                hand.strange += 1;
                old.id = OWN_IDS + hand.strange;
                frames.push(old);
            }
        }
        match decode_client(edited(&bytes, &hand.edits).into()) {
            Ok(changed) if changed.id != 0 => frames.push(changed),
            _ => frames.push(frame),
        }
        hand.strange += u64::from(!hand.edits.is_empty());
        hand.edits.clear();
        if hand.sent.len() < 256 {
            hand.sent.push((socket.role, bytes));
        }
        frames
    }
}

/// The attacker, its friend, two friends who have nothing to do with it, and the conversations of each with the other.
struct Cast {
    attacker: usize,
    other: usize,
    with_other: ConversationId,
    friends: [(usize, ConversationId); 2],
}

fn cast(stage: &mut Stage) -> Cast {
    let [attacker, other, one, two] = [(); 4].map(|()| stage.person());
    let (with_other, _) = stage.befriend(attacker, other);
    let (with_two, with_one) = stage.befriend(one, two);
    Cast { attacker, other, with_other, friends: [(one, with_two), (two, with_one)] }
}

/// Steps of `KIND COUNT COUNT BYTES`: what is done, how many bytes of edits, how many frames again.
pub(crate) fn socket(input: &[u8], plant: Plant) {
    let mut stage = Stage::new(7);
    let cast = cast(&mut stage);
    let between = Middle(Arc::default());
    between.hand().attacker = cast.attacker;
    stage.put_between(between.clone());
    let mut rest = input;
    for number in 0..MOST_STEPS {
        let Some(([kind, edits, again], after)) = rest.split_first_chunk() else { break };
        let Some((edits, after)) = after.split_at_checked(3 * usize::from(edits % 8)) else { break };
        let Some((again, after)) = after.split_at_checked(usize::from(again % 8)) else { break };
        rest = after;
        {
            let mut hand = between.hand();
            (hand.edits, hand.again) = (edits.to_vec(), again.to_vec());
        }
        step(&mut stage, &cast, *kind, number);
        let hand = between.hand();
        assert!(!hand.internal, "the server answers with a fault of its own");
        bug(plant, hand.strange > 6);
    }
    stage.be_honest();
    for word in ["before the crash", "after it"] {
        for (from, to) in [(0, 1), (1, 0)] {
            let ((from, there), (to, here)) = (cast.friends[from], cast.friends[to]);
            stage.say(from, there, &format!("{word} {from}"));
            stage.run_for(30_000);
            let shown = stage.texts(to, here);
            assert_eq!(shown.iter().filter(|text| **text == format!("{word} {from}")).count(), 1, "{shown:?}");
        }
        stage.crash_server();
        stage.run_for(30_000);
    }
    // The other one of them was written to by the attacker.
    assert_eq!(stage.status(cast.friends[1].0).unreadable, 0, "somebody else's frames reach a conversation");
    assert!(stage.faults().is_empty(), "{:?}", stage.faults());
}

fn step(stage: &mut Stage, cast: &Cast, kind: u8, number: usize) {
    let me = cast.attacker;
    let at_other = || Target::Address(stage.address(cast.other));
    let intent = match kind % 16 {
        0..=2 => Intent::Send { to: Target::Conversation(cast.with_other), body: text(&format!("step {number}")) },
        // Strangers to the attacker.
        3 => Intent::Send { to: Target::Address(stage.address(cast.friends[0].0)), body: text("who are you?") },
        4 => Intent::CreateGroup { title: "Garden".into(), members: vec![at_other()] },
        5 => match a_group(stage, me) {
            Some(conversation) => Intent::Rename { conversation, title: format!("Garden {number}") },
            None => Intent::Sync,
        },
        6 => match a_group(stage, me) {
            Some(conversation) => Intent::Leave { conversation },
            None => Intent::Sync,
        },
        7 => Intent::CreateInvite { uses: 2, ttl_s: 3_600 },
        8 => Intent::RevokeInvites,
        9 => Intent::SetReach {
            from: AppId::parse("den").expect("an app"),
            rule: if number.is_multiple_of(2) { ReachRule::Ask } else { ReachRule::Nobody },
        },
        10 => Intent::Holdings,
        11 => Intent::SetBackup { history: parlour_client::api::KeptHistory::All },
        12 => Intent::OfferLink,
        13 => {
            stage.break_links(me);
            Intent::Sync
        }
        14 => {
            stage.crash_server();
            Intent::Sync
        }
        _ => Intent::Typing { conversation: cast.with_other, typing: true },
    };
    // What comes of it is the attacker's affair, and may never come.
    stage.begin(me, intent);
    stage.run_for(2_000);
}

/// One of the attacker's groups. Who answers frames that nobody sent may be signed out by what it is told.
fn a_group(stage: &mut Stage, me: usize) -> Option<ConversationId> {
    let Ok(Reply::Conversations(all)) = stage.ask(me, Intent::Conversations) else { return None };
    all.into_iter().find(|conversation| conversation.is_group).map(|conversation| conversation.id)
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let plain: Vec<u8> = (0..16).flat_map(|kind| [kind, 0, 0]).collect();
    let again = |from: u8| (0..16).flat_map(move |kind| [kind, 0, 3, 0, from, from * 3 + kind]).collect();
    let changed = |by: u8| {
        (0..16).flat_map(move |kind| [kind, 1, 1, by.wrapping_mul(kind), 0, 1 << (kind % 8), by % 16]).collect()
    };
    let mut seeds = vec![plain];
    seeds.extend([1, 5, 12].map(again));
    seeds.extend([3, 17, 40].map(changed));
    // The same request ten times.
    seeds.push([0, 0, 7, 0, 0, 0, 0, 0, 0, 0].repeat(4));
    seeds
}
