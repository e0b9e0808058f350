//! The worker's program; natively it does nothing.

fn main() {
    #[cfg(target_arch = "wasm32")]
    parlour_web::worker::main();
}
