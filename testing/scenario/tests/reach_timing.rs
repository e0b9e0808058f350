//! A stranger learns nothing from how long a refusal takes.

use anyhow::{Context as _, Result, ensure};
use parlour_proto::frames::{Pool, ReachRule, Request};
use parlour_proto::ids::RoomId;
use parlour_proto::problem::{Code, Problem};
use parlour_scenario::device::{Device, claim};
use parlour_scenario::host::Host;
use parlour_scenario::seeded;
use parlour_scenario::site::{Site, app};
use parlour_scenario::stats::welch_t;
use parlour_scenario::wire::Wire;
use parlour_store::SqliteOptions;
use rand_core::RngCore as _;
use std::time::Instant;

/// Claimers that ask side by side, each one question at a time, as people do.
const CLAIMERS: usize = 25;
/// Questions of one claimer: half about nobody, half about the unreachable.
const QUESTIONS: usize = 400;
/// Accounts that nobody may ask; a claimer asks each at most 20 times an hour.
const UNREACHABLE: usize = 20;
const BOUND: f64 = 4.5;

fn unreachable(n: usize) -> String {
    format!("+49300005{n:03}")
}

fn nobody(n: usize) -> String {
    format!("+49300006{n:03}")
}

/// What a question looks like, and how long its answer took.
struct Sample {
    is_nobody: bool,
    us: f64,
    problem: Problem,
}

async fn ask_around(mut wire: Wire, seed: u64) -> Result<Vec<Sample>> {
    let mut rng = seeded(seed);
    // Half and half, in a random order: interleaved for whoever watches the server.
    let mut questions: Vec<(bool, usize)> = (0..QUESTIONS).map(|n| (n % 2 == 0, n / 2 % UNREACHABLE)).collect();
    for last in (1..questions.len()).rev() {
        questions.swap(last, rng.next_u32() as usize % (last + 1));
    }
    let mut samples = Vec::with_capacity(QUESTIONS);
    for (is_nobody, whom) in questions {
        let number = if is_nobody { nobody(whom) } else { unreachable(whom) };
        let room = RoomId::random(&mut rng);
        let asked = Instant::now();
        let refused = claim(&mut wire, &number, room).await?;
        let us = asked.elapsed().as_secs_f64() * 1e6;
        samples.push(Sample { is_nobody, us, problem: refused.err().context("it was granted")? });
    }
    Ok(samples)
}

async fn unreachable_people(site: Site) -> Result<()> {
    for n in 0..UNREACHABLE {
        let (mut device, mut wire) = Device::sign_up(site, &unreachable(n)).await?;
        device.publish(&mut wire, Pool::Stranger, 3).await?;
        wire.granted(Request::SetReach { from: app("bell"), rule: ReachRule::Nobody }).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_of_nobody_and_of_the_unreachable_cannot_be_told_apart() -> Result<()> {
    let host = Host::up_with(&[], &SqliteOptions::default()).await?;
    unreachable_people(host.site()).await?;
    let mut claimers = Vec::new();
    for n in 0..CLAIMERS {
        let (_, wire) = Device::sign_up(host.site(), &format!("+49300007{n:03}")).await?;
        claimers.push(tokio::spawn(ask_around(wire, n as u64)));
    }
    let mut samples = Vec::new();
    for claimer in claimers {
        samples.extend(claimer.await??);
    }
    ensure!(samples.len() == 10_000, "{} samples", samples.len());

    // The same words, and as long a time.
    let first = &samples[0].problem;
    ensure!(first.code == Code::NotReachable, "{first:?}");
    ensure!(samples.iter().all(|sample| sample.problem == *first), "the answers differ");
    let of = |is_nobody| samples.iter().filter(|s| s.is_nobody == is_nobody).map(|s| s.us).collect::<Vec<_>>();
    let (nobody, unreachable) = (of(true), of(false));
    let t = welch_t(&nobody, &unreachable);
    ensure!(t.abs() < BOUND, "Welch's t is {t:.2}");

    // The statistic itself is sharp enough: an eighth of the spread would show.
    let leaky: Vec<f64> = nobody.iter().map(|us| us + spread_us(&nobody) * 0.125).collect();
    let leak = welch_t(&leaky, &nobody);
    ensure!(leak > BOUND, "a leak is not seen: t is {leak:.2}");
    Ok(())
}

/// Standard deviation.
fn spread_us(sample: &[f64]) -> f64 {
    let mean = sample.iter().sum::<f64>() / sample.len() as f64;
    (sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / sample.len() as f64).sqrt()
}
