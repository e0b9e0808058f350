//! The worker: one engine, its sockets, its timer and its rows. Started by the page that holds the lock.
//!
//! One loop. It takes what has come (calls of pages, frames, the timer), feeds all of it to the engine, then carries out
//! what the engine wants: all changes in one durable transaction, then sockets and timer, then answers and events. What
//! comes while the transaction is being written waits, and goes into the next one together.

mod alone;
mod pages;
mod socket;
mod timer;
mod work;

use crate::bus::{FromWorker, ToWorker};
use crate::js;
use crate::rows::Rows;
use futures_channel::mpsc;
use futures_util::StreamExt as _;
pub(crate) use pages::{TO_TABS, TO_WORKER};

use pages::Pages;
use parlour_client::Identities;
use parlour_client::rows::EAGER;
use work::{Ended, Incoming, Work};

/// The worker's program.
pub fn main() {
    js::report_panics();
    wasm_bindgen_futures::spawn_local(async {
        let (tell, told) = mpsc::unbounded();
        let pages = match Pages::open(tell.clone()) {
            Ok(pages) => pages,
            Err(error) => return web_sys::console::error_1(&error.to_string().into()),
        };
        pages.ready();
        let last_words = match run(&pages, tell, told).await {
            Ok(Ended::Wiped) => FromWorker::Wiped,
            Err(why) => FromWorker::Broken(why),
        };
        pages.tell_all(&last_words);
        pages.close();
    });
}

async fn run(
    pages: &Pages,
    tell: mpsc::UnboundedSender<Incoming>,
    mut told: mpsc::UnboundedReceiver<Incoming>,
) -> Result<Ended, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    // It may have been started before its page had the lock. Who asks for something meanwhile asks again once it is here.
    while !matches!(told.next().await, Some(Incoming::Page(_, ToWorker::Begin)) | None) {}
    alone::wait().await.map_err(|error| text(&error))?;
    let rows = Rows::open().await.map_err(|error| text(&error))?;
    let stored = rows.load(EAGER).await.map_err(|error| text(&error))?;
    let engine = Identities::open(stored).map_err(|error| text(&error))?;
    Work::new(engine, rows, pages, tell).run(told).await.map_err(|error| text(&error))
}
