//! libFuzzer's entry point for all targets: `PARLOUR_FUZZ` names the one.
#![no_main]
#![allow(unsafe_code, reason = "the unmangled symbol that libFuzzer calls")]

use std::sync::OnceLock;

/// Writes the target's seeds and committed inputs where libFuzzer looks for them, if asked to.
fn plant_seeds(target: parlour_fuzz::Target) {
    let Some(folder) = std::env::var_os("PARLOUR_FUZZ_SEEDS") else { return };
    let inputs = (target.seeds)().into_iter().chain(parlour_fuzz::committed(target.name));
    for (at, input) in inputs.enumerate() {
        std::fs::write(std::path::Path::new(&folder).join(format!("seed-{at}")), input).expect("a folder to write to");
    }
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    static TARGET: OnceLock<parlour_fuzz::Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("PARLOUR_FUZZ").unwrap_or_default();
        let target = parlour_fuzz::target(&name).expect("PARLOUR_FUZZ names a target");
        plant_seeds(target);
        target
    });
    (target.run)(input, parlour_fuzz::Plant::No);
});
