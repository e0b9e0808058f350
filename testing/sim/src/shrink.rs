//! A failing list of steps made short: chunks are left out, smaller and smaller ones, as long as it still fails.

use crate::{Director, Plant, plan::Step};

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
    let mut chunk = steps.len().div_ceil(2);
    while chunk > 0 && tries > 0 {
        let mut at = 0;
        while at < steps.len() && tries > 0 {
            let mut fewer = steps.clone();
            let left_out: Vec<Step> = fewer.drain(at..(at + chunk).min(steps.len())).collect();
            // Time passes as it did.
            if let Some(next) = fewer.get_mut(at) {
                next.wait_ms += left_out.iter().map(|step| step.wait_ms).sum::<u64>();
            }
            tries -= 1;
            if fails(seed, plant, &fewer, &sort) {
                steps = fewer;
            } else {
                at += chunk;
            }
        }
        chunk /= 2;
    }
    steps
}
