//! What the screens need from the page around them: an engine to ask, and what happens.

use crate::bus::{Call, Outcome};
use futures_channel::mpsc::UnboundedReceiver;
use parlour_client::api::{Event, Failure};
use parlour_proto::frames::{AppId, SignIn};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

/// Somebody who answers calls: the worker, or a play of it.
pub trait Engine {
    /// Asks. The answer may come after the network has answered.
    fn call(&self, call: Call) -> Answer;
}

/// The answer to a call, when it comes.
pub type Answer = Pin<Box<dyn Future<Output = Result<Outcome, Fault>>>>;

/// Why there is no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The engine says why.
    Failed(Failure),
    /// The tab that did the work was closed: nobody knows whether it was done.
    Interrupted,
}

/// What happens without being asked for.
#[derive(Debug, Clone)]
pub enum Happening {
    /// The engine tells.
    Event(Event),
    /// The engine runs, here or in another tab: ask again for what is shown.
    Here,
    /// Another tab runs another version.
    OtherBuild,
    /// The engine cannot run, and why, in English, for the curious.
    Broken(String),
    /// Everything on this device was forgotten.
    Wiped,
}

/// Everything the screens are given.
pub struct Page {
    /// Whose app this is (its origin's).
    pub app: AppId,
    /// Its name for people.
    pub name: String,
    /// How people sign in to it.
    pub sign_in: SignIn,
    /// Whom to ask.
    pub engine: Rc<dyn Engine>,
    /// What happens.
    pub happenings: UnboundedReceiver<Happening>,
}
