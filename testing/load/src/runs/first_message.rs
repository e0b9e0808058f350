//! The first message to somebody new, by real clients: claim, key package, group, Welcome, commit, send, and the
//! recipient's event, over loopback. Each time somebody who was never written to.

use crate::cli::Cli;
use crate::device;
use crate::engines::{Client, runtime};
use crate::metric::{Report, median};
use crate::note;
use crate::process::{Server, ServerBin};
use anyhow::Result;
use parlour_client::api::Target;
use std::time::Instant;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["first_message_ms"];
const PEOPLE: usize = 15;

/// Measures and reports.
pub(crate) fn run(cli: &Cli, bin: &ServerBin, report: &mut Report) -> Result<()> {
    let server = Server::fresh(bin)?;
    let people = if cli.quick { 3 } else { PEOPLE };
    let times = runtime()?.block_on(measure(&server, people))?;
    note!("first message to somebody new: {times:.1?} ms");
    report.put("first_message_ms", median(times))
}

async fn measure(server: &Server, people: usize) -> Result<Vec<f64>> {
    let (to, url, homes) = (server.endpoint(), server.url(), server.scratch().join("homes"));
    let app = device::phone_app(&to)?;
    let writer = Client::sign_up(&to, &url, &app, &homes.join("writer")).await?;
    let mut times = Vec::with_capacity(people);
    for person in 0..people {
        let mut reader = Client::sign_up(&to, &url, &app, &homes.join(person.to_string())).await?;
        let started = Instant::now();
        writer.send(Target::Address(reader.address.clone()), "hello".to_owned()).await?;
        reader.request().await?;
        times.push(started.elapsed().as_secs_f64() * 1e3);
        reader.stop().await;
    }
    writer.stop().await;
    Ok(times)
}
