//! `up`, `serve`, `check`: a configuration is read, judged, and run until a signal.

use crate::cli::{ConfigArgs, UpArgs};
use crate::exit::{Exit, Trouble};
use crate::host::{Host, Signals};
use crate::out::{Out, Style};
use parlour_proto::frames::SignIn;
use parlour_server::config::{Config, ConfigError, Finding, Mode, Severity, SignInConfig};
use parlour_server::retention::{Lifetimes, Setting, span};
use std::path::Path;

/// `parlour up`.
pub(crate) async fn up(args: &UpArgs) -> Result<(), Trouble> {
    let out = Out::new(false, false);
    let path = Config::write_default(&args.data).map_err(Trouble::failure)?;
    let mut config = load(&path)?;
    if let Some(port) = args.port {
        config.listen.set_port(port);
    }
    if let Some(host) = args.host {
        config.listen.set_ip(host);
    }
    complain(out, &config, Mode::Up)?;
    let signals = Signals::catch().map_err(Trouble::failure)?;
    let host = Host::start(config.clone()).await.map_err(Trouble::failure)?;
    welcome(out, &host.url(), &config, &path);
    host.until(signals).await.map_err(Trouble::failure)?;
    out.remark("Stopped. Everything is kept.");
    Ok(())
}

fn welcome(out: Out, url: &str, config: &Config, path: &Path) {
    let green = |text: &str| out.paint(Style::Green, text);
    out.line(format!("{} on {}\n", out.paint(Style::Bold, "Parlour is up"), green(url)));
    for app in &config.apps {
        let port = url.rsplit(':').next().unwrap_or_default();
        let address = format!("http://{}:{port}", app.domain);
        out.line(format!("  {:<8} {:<28} {}", app.name, green(&address), way(app.sign_in.into())));
    }
    out.line("");
    if config.dev_outbox {
        out.line(format!("  {:<15} {url}/dev   (for trying out only: whoever opens it can sign in)", "one-time codes"));
    }
    out.line(format!("  {:<15} {}", "configuration", path.display()));
    out.line(format!("  {:<15} {}\n", "everything else", config.data.display()));
    out.line("Next, in another terminal:");
    for app in config.apps.iter().take(2) {
        let handle = if app.sign_in == SignInConfig::Phone { "+15550100100" } else { "maya" };
        let command =
            format!("parlour client --home ~/{handle} sign-up --server {url} --app {} --handle {handle}", app.id);
        out.line(format!("  {}", green(&command.replace("~/+15550100100", "~/sam"))));
    }
    out.line(format!("  {}", green("parlour client --help")));
    out.line("\nCtrl-C stops it; everything is kept.");
}

/// `parlour serve`.
pub(crate) async fn serve(args: &ConfigArgs) -> Result<(), Trouble> {
    let config = load(&args.config)?;
    complain(Out::new(false, false), &config, Mode::Serve)?;
    let signals = Signals::catch().map_err(Trouble::failure)?;
    let host = Host::start(config).await.map_err(Trouble::failure)?;
    tracing::info!(port = host.addr().port(), "listening");
    host.until(signals).await.map_err(Trouble::failure)
}

/// Says on stderr what is wrong; refuses what must not start.
fn complain(out: Out, config: &Config, mode: Mode) -> Result<(), Trouble> {
    let findings = config.check(mode);
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Note);
    bad.for_each(|finding| out.remark(describe(Out { colour: false, ..out }, finding)));
    match errors(&findings) {
        0 => Ok(()),
        count => Err(refused(count)),
    }
}

/// `parlour check`.
pub(crate) fn check(args: &ConfigArgs) -> Result<(), Trouble> {
    let config = load(&args.config)?;
    let out = Out::new(false, false);
    explain(out, &config);
    let findings = config.check(Mode::Serve);
    findings.iter().for_each(|finding| out.line(describe(out, finding)));
    match errors(&findings) {
        0 => {
            out.line(format!("\nIt would start: parlour serve --config {}", args.config.display()));
            Ok(())
        }
        count => Err(refused(count)),
    }
}

fn explain(out: Out, config: &Config) {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    out.line(format!(
        "People connect to {scheme}://{}; everything is stored in {}.",
        config.listen,
        config.data.display()
    ));
    for app in &config.apps {
        let way = way(app.sign_in.into());
        let name = out.paint(Style::Bold, &app.name);
        out.line(format!("  {name} ({}, {}): {way}; messages live {} days", app.id, app.domain, app.expiry_days));
    }
    let lifetimes = config.retention.lifetimes().unwrap_or_default();
    out.line("\nIt keeps nothing longer than this ([retention]; what is acknowledged, used or revoked goes at once):");
    for setting in Setting::ALL {
        let chosen = span(lifetimes.seconds(*setting));
        let usual = Lifetimes::default().seconds(*setting);
        let changed = lifetimes.seconds(*setting) != usual;
        let note = if changed { format!(", usually {}", span(usual)) } else { String::new() };
        out.line(format!("  {:<18} {chosen}{note}", setting.name()));
    }
    out.line("");
}

fn way(sign_in: SignIn) -> &'static str {
    match sign_in {
        SignIn::Phone => "phone number and one-time code",
        SignIn::Username => "username and password",
        SignIn::AtHandle => "public @handle and password",
    }
}

fn describe(out: Out, finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Error => out.paint(Style::Red, "error  "),
        Severity::Warning => out.paint(Style::Yellow, "warning"),
        Severity::Note => out.paint(Style::Dim, "note   "),
    };
    format!("{severity}  {}: {}\n         {}", finding.setting, finding.what, finding.advice)
}

fn errors(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.severity == Severity::Error).count()
}

fn refused(count: usize) -> Trouble {
    let what = if count == 1 { "one thing is".to_owned() } else { format!("{count} things are") };
    Trouble::new(
        Exit::Usage,
        "bad_config",
        format!("{what} wrong with this configuration; the server does not start with it"),
    )
}

fn load(path: &Path) -> Result<Config, Trouble> {
    Config::load(path).map_err(|error| match error {
        ConfigError::Syntax(text) => Trouble::new(Exit::Usage, "bad_config", format!("{}: {text}", path.display())),
        error => Trouble::failure(error),
    })
}
