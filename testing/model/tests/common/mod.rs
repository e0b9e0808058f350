//! What both models are asked.

use std::{fmt::Debug, hash::Hash};

use parlour_model::reach::from_everywhere;
use stateright::{Checker as _, Model};

/// All properties hold in all states (those that `excused` names need not happen), and the goal is within reach of each.
pub(crate) fn holds<M>(name: &str, model: &M, goal: impl Fn(&M::State) -> bool, excused: &[&str])
where
    M: Model + Clone + Send + Sync + 'static,
    M::State: Clone + Debug + Eq + Hash + Send + Sync + 'static,
    M::Action: Clone + Debug + Eq + Hash + Send + Sync + 'static,
{
    let began = std::time::Instant::now();
    let checker = model.clone().checker().spawn_dfs().join();
    assert!(checker.is_done());
    for property in model.properties() {
        let found = checker.discovery(property.name);
        if property.expectation.discovery_is_failure() {
            let way = found.map(|path| path.into_actions());
            assert!(way.is_none(), "{name}: it is not so that {}:\n{way:?}", property.name);
        } else {
            let is_found = found.is_some() || excused.contains(&property.name);
            assert!(is_found, "{name}: it never happens that {}", property.name);
        }
    }
    let reached = from_everywhere(model, goal);
    assert_eq!(reached.states, checker.unique_state_count());
    println!("{name}: {} states, {} steps, {:.1?}", reached.states, reached.steps, began.elapsed());
    assert!(reached.goals > 0);
    assert!(reached.stuck.is_none(), "{name}: from here the end is never reached:\n{:?}", reached.stuck);
}
