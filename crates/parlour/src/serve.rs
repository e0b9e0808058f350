//! `up`, `serve`, `check`: a configuration is read, judged, and run until a signal.

use crate::cli::{ConfigArgs, UpArgs};
use crate::exit::{Exit, Trouble};
use crate::out::{Out, Style};
use parlour_server::config::{Config, ConfigError, Finding, Mode, Severity};
use std::path::Path;

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
    out.line(format!("People connect to {scheme}://{}; everything is stored in {}.", config.listen, config.data.display()));
    for app in &config.apps {
        let way = match app.sign_in.into() {
            parlour_proto::frames::SignIn::Phone => "phone number and one-time code",
            parlour_proto::frames::SignIn::Username => "username and password",
            parlour_proto::frames::SignIn::AtHandle => "public @handle and password",
        };
        let name = out.paint(Style::Bold, &app.name);
        out.line(format!("  {name} ({}, {}): {way}; messages live {} days", app.id, app.domain, app.expiry_days));
    }
    out.line("");
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
    Trouble::new(Exit::Usage, "bad_config", format!("{what} wrong with this configuration; the server does not start with it"))
}

fn load(path: &Path) -> Result<Config, Trouble> {
    Config::load(path).map_err(|error| match error {
        ConfigError::Syntax(text) => Trouble::new(Exit::Usage, "bad_config", format!("{}: {text}", path.display())),
        error => Trouble::failure(error),
    })
}
