//! A failing list of steps made short: chunks are left out, smaller and smaller ones, as long as it still fails.

use crate::{
    Director, Plant,
    plan::{Step, What},
};

/// What sort of fault it is: its words without numbers and quotes.
fn sort_of(fault: &str) -> String {
    let words = fault.split(['"', '{', '(']).next().unwrap_or_default();
    words.chars().filter(|letter| !letter.is_ascii_digit()).collect()
}

/// Whether these steps still fail in the same way.
fn fails(seed: u64, plant: Option<Plant>, steps: &[Step], sort: &str) -> bool {
    Director::new(seed, plant).run(steps).faults.iter().any(|fault| sort_of(fault) == sort)
}

/// A list that still fails in the same way as `fault`, found in at most `tries` runs.
#[must_use]
pub fn shrink(seed: u64, plant: Option<Plant>, mut steps: Vec<Step>, fault: &str, mut tries: u32) -> Vec<Step> {
    let sort = sort_of(fault);
    let mut still = |fewer: &[Step]| {
        let left = tries > 0;
        tries = tries.saturating_sub(1);
        left && fails(seed, plant, fewer, &sort)
    };
    // What nobody could do when its turn came, all at once.
    let idle = Director::new(seed, plant).run(&steps).idle;
    if let Some(busy) = without(&steps, |at, _| idle.contains(&at)).filter(|busy| still(busy)) {
        steps = busy;
    }
    // Each sort of step, all of them.
    let mut sorts: Vec<What> = Vec::new();
    for step in &steps {
        if !sorts.contains(&step.what) {
            sorts.push(step.what);
        }
    }
    for what in sorts {
        if let Some(fewer) = without(&steps, |_, step| step.what == what).filter(|fewer| still(fewer)) {
            steps = fewer;
        }
    }
    let mut chunk = steps.len().div_ceil(2);
    while chunk > 0 {
        let mut at = 0;
        while at < steps.len() {
            match without(&steps, |n, _| (at..at + chunk).contains(&n)).filter(|fewer| still(fewer)) {
                Some(fewer) => steps = fewer,
                None => at += chunk,
            }
        }
        chunk /= 2;
    }
    steps
}

/// The steps without some of them, time passing as it did; `None` if there is none of them.
fn without(steps: &[Step], is_left_out: impl Fn(usize, &Step) -> bool) -> Option<Vec<Step>> {
    let mut fewer = Vec::new();
    let mut passed = 0;
    for (at, step) in steps.iter().enumerate() {
        passed += step.wait_ms;
        if !is_left_out(at, step) {
            fewer.push(Step { wait_ms: std::mem::take(&mut passed), ..*step });
        }
    }
    (fewer.len() < steps.len()).then_some(fewer)
}
