//! An account with a thousand conversations: how soon the list is there, what it weighs, and how it catches up.

use crate::report::Report;
use crate::{Cli, median};
use anyhow::{Context as _, Result};
use parlour_browser::{Driver, Limits, Native, Person, Server};
use serde_json::Value;
use std::time::Instant;

/// What this gives.
pub(crate) const FIGURES: &[&str] = &["web_warm_ms", "web_memory_bytes", "web_decrypt_per_s", "web_scroll_fps"];

const CONVERSATIONS: usize = 1_000;
const MESSAGES: usize = 5_000;
const RUNS: usize = 5;
/// Fewer say nothing about scrolling.
const FEWEST_FRAMES: f64 = 30.0;

/// Notes when the whole list is drawn (`EXPECTED` conversations).
const WATCH: &str = "
    const count = () => {
        const rows = document.querySelector('.chatrows'), row = document.querySelector('.chatrow');
        return row ? Math.round(rows.offsetHeight / row.offsetHeight) : 0;
    };
    const look = () => {
        if (count() >= EXPECTED) window.parlourDrawn = performance.now();
        else requestAnimationFrame(look);
    };
    requestAnimationFrame(look);";

/// Scrolls the list up and down from the moment it is drawn until the title counts `UNREAD` messages; notes the frames.
const CATCH_UP: &str = "
    let step = 37;
    const frames = [];
    const frame = (now) => {
        if (!window.parlourDrawn) return requestAnimationFrame(frame);
        frames.push(now);
        const list = document.querySelector('.chats');
        if (list.scrollTop + list.clientHeight >= list.scrollHeight - 1) step = -37;
        if (list.scrollTop <= 0) step = 37;
        list.scrollTop += step;
        const counted = Number(document.title.match(/\\d+/)?.[0] ?? 0);
        if (counted < UNREAD) return requestAnimationFrame(frame);
        const gaps = frames.slice(1).map((at, index) => at - frames[index]).sort((a, b) => a - b);
        window.parlourCaughtUp = {
            ms: performance.now(), frames: gaps.length, span: now - frames[0],
            p99: gaps[Math.floor(gaps.length * 0.99)] ?? 0, worst: gaps.at(-1) ?? 0,
        };
    };
    requestAnimationFrame(frame);";

/// All of it, one after the other on one account.
pub(crate) async fn run(cli: &Cli, driver: &Driver, report: &mut Report) -> Result<()> {
    let server = Server::start_with(Limits::Raised).await?;
    let ana = Person::sign_up(&server, driver, "den", "ana", "Ana").await?;
    let mut ned = Native::sign_up(&server, "den", "ned").await?;
    let direct = ned.write_first(&ana.address, "Hello Ana").await?;
    ana.accept().await?;
    ned.accepted(&direct).await?;
    ana.go("#/").await?;
    let groups = cli.scaled(CONVERSATIONS) - 1;
    let started = Instant::now();
    let titles: Vec<String> = (1..=groups).map(|n| format!("Group {n:04}")).collect();
    for some in titles.chunks(100) {
        ned.make_groups(&ana.address, some).await?;
        eprintln!("groups to {} after {:.1} s", some[some.len() - 1], started.elapsed().as_secs_f64());
    }
    eprintln!("{groups} groups are made after {:.1} s", started.elapsed().as_secs_f64());
    let watch = WATCH.replace("EXPECTED", &(groups + 1).to_string());
    ana.browser.run_first(&watch).await?;
    ana.browser.wait_for_long(&format!("document.title.includes('({groups})')")).await?;
    eprintln!("the browser has joined them after {:.1} s", started.elapsed().as_secs_f64());
    warm(&ana, report).await?;
    memory(&ana, report).await?;
    catch_up(cli, &ana, (&mut ned, &direct), groups, report).await?;
    ana.has_no_faults().await?;
    ana.browser.close().await
}

async fn warm(ana: &Person, report: &mut Report) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..RUNS {
        ana.browser.client.refresh().await?;
        ana.browser.wait_for("window.parlourDrawn").await?;
        times.push(ana.browser.run("return window.parlourDrawn").await?.as_f64().context("no time")?);
        ana.browser.wait_for("document.querySelector('.banner:not(.shown)')").await?;
    }
    eprintln!("reload to the list: {times:.0?} ms");
    report.put("web_warm_ms", median(&times))
}

/// What the renderer's process has for itself: scripts, pages, and the programs' own memories, which the page's own
/// measurement (told for comparison) leaves out. The renderer itself is in it, too.
async fn memory(ana: &Person, report: &mut Report) -> Result<()> {
    ana.browser.tools("HeapProfiler.collectGarbage", serde_json::json!({})).await?;
    let measured = ana.browser.run("return performance.measureUserAgentSpecificMemory()").await?;
    eprintln!("memory: {} bytes by the page's own measurement, which knows no WebAssembly", measured["bytes"]);
    let bytes = ana.browser.renderer_bytes()?;
    report.put("web_memory_bytes", bytes as f64)
}

/// The browser is elsewhere while much is written; then it comes back. The time is counted from the navigation: the engine
/// is online, and begins to read, before the list is drawn.
async fn catch_up(
    cli: &Cli,
    ana: &Person,
    (ned, direct): (&mut Native, &str),
    unread: usize,
    report: &mut Report,
) -> Result<()> {
    let messages = cli.scaled(MESSAGES);
    ana.browser.client.goto("about:blank").await?;
    let started = Instant::now();
    ned.say_all(direct, (0..messages).map(|n| format!("message {n} that waits until somebody is there again"))).await?;
    eprintln!("{messages} messages are sent after {:.1} s", started.elapsed().as_secs_f64());
    ana.browser.run_first(&CATCH_UP.replace("UNREAD", &(unread + messages).to_string())).await?;
    ana.browser.client.goto(&ana.origin).await?;
    ana.browser.wait_for_long("window.parlourCaughtUp").await?;
    let caught: Value = ana.browser.run("return window.parlourCaughtUp").await?;
    let figure = |name: &str| caught[name].as_f64().with_context(|| format!("no {name} in {caught}"));
    let (seconds, frames, span) = (figure("ms")? / 1000.0, figure("frames")?, figure("span")? / 1000.0);
    let (p99, worst) = (figure("p99")?, figure("worst")?);
    eprintln!("caught up in {seconds:.2} s; {frames} frames, 99 of 100 within {p99:.0} ms, the longest {worst:.0} ms");
    report.put("web_decrypt_per_s", messages as f64 / seconds)?;
    if frames < FEWEST_FRAMES {
        eprintln!("it was over before the list could be scrolled: no web_scroll_fps");
        return Ok(());
    }
    report.put("web_scroll_fps", frames / span)
}
