//! Each target over its committed corpus and some thousand changes of it; each planted bug is found by them.

use std::panic::{AssertUnwindSafe, catch_unwind};

use parlour_fuzz::{Changer, Plant, TARGETS, Target, committed};

/// So many times the changes of each target: `PARLOUR_TIMES` (1 if it is not set).
fn times() -> u32 {
    std::env::var("PARLOUR_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(1)
}

fn inputs(target: &Target) -> Vec<Vec<u8>> {
    let mut inputs = (target.seeds)();
    assert!(!inputs.is_empty(), "{} has no seeds", target.name);
    inputs.extend(committed(target.name));
    inputs
}

#[test]
fn every_target_takes_its_corpus_and_changes_of_it() {
    let mut broken = Vec::new();
    for target in TARGETS {
        let began = std::time::Instant::now();
        let inputs = inputs(target);
        inputs.iter().for_each(|input| (target.run)(input, Plant::No));
        let mut changer = Changer::new(&inputs);
        for _ in 0..target.changes.saturating_mul(times()) {
            let input = changer.make();
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input, Plant::No))).is_err() {
                let input: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
                broken.push(format!("{}: {input}", target.name));
                break;
            }
        }
        println!(
            "{}: {} inputs, {} changes, {:.1?}",
            target.name,
            inputs.len(),
            target.changes * times(),
            began.elapsed()
        );
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_planted_bug_of_every_target_is_found() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let finds = |target: &Target| {
        // Of the seeds alone: the committed inputs are what coverage chose, and most of them are refused.
        let inputs = (target.seeds)();
        let mut changer = Changer::new(&inputs);
        let changed = std::iter::repeat_with(|| changer.make()).take(target.changes as usize);
        inputs
            .iter()
            .cloned()
            .chain(changed)
            .position(|input| catch_unwind(AssertUnwindSafe(|| (target.run)(&input, Plant::Yes))).is_err())
    };
    let found: Vec<_> = TARGETS.iter().map(|target| (target.name, finds(target))).collect();
    std::panic::set_hook(hook);
    for (name, at) in &found {
        println!("{name}: {at:?}");
    }
    let missed: Vec<_> = found.iter().filter(|(_, at)| at.is_none()).map(|(name, _)| name).collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
