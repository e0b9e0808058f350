//! "From everywhere, the goal can be reached": what "eventually" means where the network may lose, but not for ever.
//!
//! `stateright` follows `eventually` along paths, and misses what begins where two paths join (its own tests say so). Here
//! the whole graph is walked, and then walked backwards from the goal; a state that is not met is a counterexample: from it on,
//! nothing that can happen leads to the goal.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, Hash},
};

use stateright::Model;

/// What was found.
#[derive(Debug)]
pub struct Reached<A> {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Of them, where the goal holds.
    pub goals: usize,
    /// The way to a state from which the goal cannot be reached.
    pub stuck: Option<Vec<A>>,
}

/// Walks all states of `model`, and tells whether the goal can be reached from each.
pub fn from_everywhere<M>(model: &M, goal: impl Fn(&M::State) -> bool) -> Reached<M::Action>
where
    M: Model,
    M::State: Clone + Hash,
{
    // Fixed keys: the same numbers each time.
    let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
    let mut known: HashMap<u64, u32> = HashMap::new();
    let mut came_from: Vec<Option<(u32, u16)>> = Vec::new();
    let mut back: Vec<(u32, u32)> = Vec::new();
    let mut good: Vec<bool> = Vec::new();
    let mut todo = VecDeque::new();
    let mut actions = Vec::new();
    for state in model.init_states() {
        known.insert(hasher.hash_one(&state), came_from.len() as u32);
        todo.push_back((came_from.len() as u32, state.clone()));
        came_from.push(None);
        good.push(goal(&state));
    }
    while let Some((at, state)) = todo.pop_front() {
        model.actions(&state, &mut actions);
        for (nth, action) in actions.drain(..).enumerate() {
            let Some(next) = model.next_state(&state, action) else { continue };
            let new = came_from.len() as u32;
            let to = *known.entry(hasher.hash_one(&next)).or_insert(new);
            if to == new {
                came_from.push(Some((at, nth as u16)));
                good.push(goal(&next));
                todo.push_back((new, next));
            }
            back.push((to, at));
        }
    }
    let (states, steps, goals) = (came_from.len(), back.len(), good.iter().filter(|good| **good).count());
    back.sort_unstable();
    let mut reached: Vec<u32> = (0..states as u32).filter(|at| good[*at as usize]).collect();
    while let Some(at) = reached.pop() {
        let from = back.partition_point(|(to, _)| *to < at);
        for (_, before) in back[from..].iter().take_while(|(to, _)| *to == at) {
            if !std::mem::replace(&mut good[*before as usize], true) {
                reached.push(*before);
            }
        }
    }
    let stuck = good.iter().position(|good| !good).map(|at| way_to(model, &came_from, at as u32));
    Reached { states, steps, goals, stuck }
}

/// The actions that lead to a state: `came_from` tells of each the state before, and which of its actions it was.
fn way_to<M: Model>(model: &M, came_from: &[Option<(u32, u16)>], to: u32) -> Vec<M::Action> {
    let mut trail = Vec::new();
    let mut at = to;
    while let Some((before, nth)) = came_from[at as usize] {
        trail.push(nth);
        at = before;
    }
    let mut state = model.init_states().swap_remove(at as usize);
    let mut way = Vec::new();
    for nth in trail.into_iter().rev() {
        let mut actions = Vec::new();
        model.actions(&state, &mut actions);
        let again = actions.swap_remove(usize::from(nth));
        actions.clear();
        model.actions(&state, &mut actions);
        way.push(actions.swap_remove(usize::from(nth)));
        state = model.next_state(&state, again).expect("the same steps as before");
    }
    way
}
