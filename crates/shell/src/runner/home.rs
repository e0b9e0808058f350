//! The real engine, on a home.

use super::start::StartError;
use super::{Core, Events, Runner};
use crate::home::Home;
use crate::net::Endpoint;
use crate::rows::Rows;
use parlour_client::Identities;
use parlour_client::api::{Effect, Input};
use parlour_client::rows::EAGER;
use parlour_proto::ids::UnixMillis;
use rand_core::CryptoRngCore;

impl Core for Identities {
    fn handle(&mut self, input: Input, now: UnixMillis, rng: &mut dyn CryptoRngCore) {
        Identities::handle(self, input, now, rng);
    }

    fn poll(&mut self) -> Option<Effect> {
        Identities::poll(self)
    }
}

impl Runner {
    /// Runs the home's engine against a server. The home stays locked until the engine has ended.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(home: &Home, endpoint: Endpoint) -> Result<(Self, Events), StartError> {
        Self::start_with(home.rows()?, endpoint, home.clone(), open).await
    }

    /// Runs an engine on any rows.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start_on(rows: Box<dyn Rows>, endpoint: Endpoint) -> Result<(Self, Events), StartError> {
        Self::start_with(rows, endpoint, (), open).await
    }
}

fn open(rows: &mut dyn Rows) -> Result<Identities, StartError> {
    Identities::open(rows.load(EAGER)?).map_err(|error| StartError::Engine(error.to_string()))
}
