//! `parlour demo`: a real server and three real clients in one process, over real sockets, beside what the server's disk
//! holds at each step. Nothing is scripted but the words: every number and byte is read from the files after the step.

mod actor;
mod play;
mod stage;
mod theatre;

use crate::cli::DemoArgs;
use crate::exit::Trouble;
use theatre::Theatre;

/// Runs the demo.
pub(crate) async fn demo(args: &DemoArgs) -> Result<(), Trouble> {
    let dir = tempfile::Builder::new().prefix("parlour-demo-").tempdir().map_err(Trouble::failure)?;
    let mut theatre = Theatre::open(dir.path(), args.fast).await.map_err(Trouble::failure)?;
    let played = play::play(&mut theatre).await;
    theatre.close().await;
    played?;
    if args.keep {
        theatre::say(&format!("Everything is in {}", dir.keep().display()));
    }
    Ok(())
}
