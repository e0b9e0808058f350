//! The screens with a play of the engine behind them, to be looked at. Not shipped: an example is in no program.
//!
//! `?app=bell|den|porch`, `&stage=new` (nobody signed in), `&many=10000` (messages in the first conversation),
//! `&chats=1000`, `&state=offline`.

#[cfg(target_arch = "wasm32")]
mod people;
#[cfg(target_arch = "wasm32")]
mod play;

fn main() {
    #[cfg(target_arch = "wasm32")]
    play::start();
}
