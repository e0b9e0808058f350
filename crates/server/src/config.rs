//! The operator's configuration: TOML, unknown keys refused, each finding explained. Reading it touches nothing but the file.

use std::{
    collections::HashSet,
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use parlour_proto::frames::{AppId, AppInfo, ReachRule, SignIn};
use serde::Deserialize;

use crate::retention::Settings;

const DEFAULT: &str = include_str!("config/default.toml");
/// The configuration's file name inside a data directory.
pub const FILE_NAME: &str = "parlour.toml";

/// The configuration as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where people connect.
    pub listen: SocketAddr,
    /// The data directory.
    pub data: PathBuf,
    /// One-time codes are shown instead of sent.
    #[serde(default)]
    pub dev_outbox: bool,
    /// Certificate and key.
    pub tls: Option<Tls>,
    /// The folder with the apps for browsers; else [`Site::default_dir`](crate::web::Site::default_dir).
    pub web: Option<PathBuf>,
    /// How one-time codes are sent.
    #[serde(default)]
    pub sms: Sms,
    /// How much of what.
    #[serde(default)]
    pub limits: Limits,
    /// How long what is kept.
    #[serde(default)]
    pub retention: Settings,
    /// The apps.
    #[serde(default, rename = "app")]
    pub apps: Vec<App>,
}

/// Certificate and key files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM, the leaf first.
    pub cert: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// How one-time codes are sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sms {
    /// The gateway.
    #[serde(default)]
    pub gateway: Gateway,
}

/// SMS gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gateway {
    /// None: codes go to the development outbox, if that is on.
    #[default]
    None,
}

/// How much of what; the defaults are those in the commented file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Strangers a day, young account.
    pub new_people_per_day: u32,
    /// Strangers a day, 30 days after sign-up.
    pub new_people_per_day_later: u32,
    /// One-time codes for one number.
    pub codes_per_number_per_hour: u32,
    /// One-time codes for one network address.
    pub codes_per_address_per_hour: u32,
    /// Names tried at sign-up with a password, by network address; loopback is exempt.
    pub names_per_address_per_hour: u32,
    /// Password attempts for one handle.
    pub sign_ins_per_handle_per_hour: u32,
    /// New rooms of one account.
    pub rooms_per_hour: u32,
    /// How often a contact's door may be used: each conversation that somebody is taken into uses it once.
    pub claims_per_door_per_hour: u32,
    /// New rooms that reach one device.
    pub joins_per_hour: u32,
    /// Messages into one room.
    pub messages_per_room_per_s: u32,
    /// Open connections from one network address.
    pub connections_per_address: u32,
    /// When a refused claim is answered, milliseconds after it came.
    pub claim_answer_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            new_people_per_day: 20,
            new_people_per_day_later: 100,
            codes_per_number_per_hour: 5,
            codes_per_address_per_hour: 20,
            names_per_address_per_hour: 60,
            sign_ins_per_handle_per_hour: 30,
            rooms_per_hour: 200,
            claims_per_door_per_hour: 60,
            joins_per_hour: 500,
            messages_per_room_per_s: 1_000,
            connections_per_address: 2_000,
            claim_answer_ms: 20,
        }
    }
}

/// One app.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct App {
    /// Short name, as in addresses.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Provider domain.
    pub domain: String,
    /// How people sign in.
    pub sign_in: SignInConfig,
    /// Default conversation expiry.
    #[serde(default = "a_year")]
    pub expiry_days: u32,
    /// The shortest expiry that people can choose.
    #[serde(default = "an_hour")]
    pub expiry_min_hours: u32,
    /// The longest that people can choose; without it also none at all.
    #[serde(default)]
    pub expiry_max_days: Option<u32>,
    /// Who on the same app may ask, until a person changes it.
    #[serde(default)]
    pub reach_same_app: ReachConfig,
}

fn a_year() -> u32 {
    365
}

fn an_hour() -> u32 {
    1
}

/// [`SignIn`] as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignInConfig {
    /// `phone`
    Phone,
    /// `username`
    Username,
    /// `at_handle`
    AtHandle,
}

/// [`ReachRule`] as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReachConfig {
    /// `ask`
    #[default]
    Ask,
    /// `invite`
    Invite,
    /// `nobody`
    Nobody,
}

impl From<SignInConfig> for SignIn {
    fn from(written: SignInConfig) -> Self {
        match written {
            SignInConfig::Phone => Self::Phone,
            SignInConfig::Username => Self::Username,
            SignInConfig::AtHandle => Self::AtHandle,
        }
    }
}

impl From<ReachConfig> for ReachRule {
    fn from(written: ReachConfig) -> Self {
        match written {
            ReachConfig::Ask => Self::Ask,
            ReachConfig::Invite => Self::Invite,
            ReachConfig::Nobody => Self::Nobody,
        }
    }
}

/// The configuration could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read or written.
    #[error("{path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// It is not a configuration; the message has line, column and what was expected.
    #[error("{0}")]
    Syntax(String),
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Works, but should not stay.
    Warning,
    /// The server would not start.
    Error,
}

/// What is wrong, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// The setting.
    pub setting: String,
    /// What was found.
    pub what: String,
    /// What to do.
    pub advice: String,
}

/// Who starts the server: decides what is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `parlour up`: loopback, development outbox.
    Up,
    /// `parlour serve`: for people.
    Serve,
}

impl Config {
    /// Writes the commented default configuration to `DIR/parlour.toml`, unless there is one; gives its path.
    ///
    /// # Errors
    /// [`ConfigError::Io`].
    pub fn write_default(dir: &Path) -> Result<PathBuf, ConfigError> {
        let path = dir.join(FILE_NAME);
        let io = |source| ConfigError::Io { path: path.clone(), source };
        fs::create_dir_all(dir).map_err(io)?;
        if !path.exists() {
            let data = dir.canonicalize().map_err(io)?;
            let data = data.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
            fs::write(&path, DEFAULT.replace("@DATA@", &data)).map_err(io)?;
        }
        Ok(path)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = fs::read_to_string(path).map_err(|source| ConfigError::Io { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads a text.
    ///
    /// # Errors
    /// [`ConfigError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| ConfigError::Syntax(error.to_string()))
    }

    /// All that is wrong or worth knowing, worst first.
    pub fn check(&self, mode: Mode) -> Vec<Finding> {
        let mut findings = self.check_apps();
        findings.extend(self.check_network(mode));
        findings.extend(self.check_sign_in(mode));
        findings.extend(self.check_retention());
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings
    }

    fn check_apps(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.apps.is_empty() {
            findings.push(error("app", "there is no app", "add an [[app]] section for each app"));
        }
        let (mut ids, mut domains) = (HashSet::new(), HashSet::new());
        for app in &self.apps {
            let setting = format!("app.{}", app.id);
            if AppId::parse(&app.id).is_err() {
                findings.push(error(&setting, "the id is not usable in addresses", "use 1 to 32 of a-z, 0-9 and -"));
            }
            if !ids.insert(&app.id) {
                findings.push(error(&setting, "two apps have this id", "give each its own"));
            }
            if app.domain.is_empty() || !domains.insert(&app.domain) {
                findings.push(error(&setting, "the domain is empty or used twice", "give each app its own origin"));
            }
            if app.expiry_days == 0 || app.expiry_days > 366 {
                findings.push(error(
                    &setting,
                    "expiry_days is not 1 to 366",
                    "people may choose shorter times, or longer ones",
                ));
            }
            if app.expiry_min_hours == 0 || app.expiry_min_hours > 366 * 24 {
                findings.push(error(&setting, "expiry_min_hours is not 1 to 8784", "leave it out: an hour"));
            }
            if app.expiry_max_days.is_some_and(|most| most < app.expiry_days || most > 366) {
                let advice = "use expiry_days or more, up to 366; leave it out to let people switch expiry off";
                findings.push(error(&setting, "expiry_max_days is out of range", advice));
            }
            if u64::from(app.expiry_min_hours) > u64::from(app.expiry_days) * 24 {
                findings.push(error(&setting, "expiry_min_hours is more than expiry_days", "make it shorter"));
            }
        }
        findings
    }

    fn check_network(&self, mode: Mode) -> Vec<Finding> {
        let mut findings = Vec::new();
        let public = !self.listen.ip().is_loopback();
        match &self.tls {
            Some(tls) => {
                for (setting, path) in [("tls.cert", &tls.cert), ("tls.key", &tls.key)] {
                    if let Err(source) = fs::File::open(path) {
                        let what = format!("{} cannot be read: {source}", path.display());
                        findings.push(error(setting, &what, "name a PEM file that the server may read"));
                    }
                }
            }
            None if public => findings.push(Finding {
                severity: if mode == Mode::Serve { Severity::Warning } else { Severity::Error },
                setting: "listen".into(),
                what: "connections from other machines are not encrypted".into(),
                advice: "add [tls], or listen on loopback behind a proxy that does TLS".into(),
            }),
            None => {}
        }
        findings
    }

    fn check_sign_in(&self, mode: Mode) -> Vec<Finding> {
        let mut findings = Vec::new();
        let phone: Vec<&App> = self.apps.iter().filter(|app| app.sign_in == SignInConfig::Phone).collect();
        if let Some(app) = phone.first()
            && self.sms.gateway == Gateway::None
            && (!self.dev_outbox || mode == Mode::Serve)
        {
            let what = format!("{} signs people in by phone, and no SMS gateway is configured", app.name);
            findings.push(error("sms.gateway", &what, "remove the app; gateways come in a later release"));
        }
        if self.dev_outbox {
            let public = !self.listen.ip().is_loopback();
            findings.push(Finding {
                severity: if mode == Mode::Serve || public { Severity::Error } else { Severity::Note },
                setting: "dev_outbox".into(),
                what: "one-time codes are shown to whoever opens /dev/outbox".into(),
                advice: "for trying things out only; set it to false for people".into(),
            });
        }
        findings
    }

    fn check_retention(&self) -> Vec<Finding> {
        let faults = self.retention.lifetimes().err().unwrap_or_default();
        let finding =
            |fault: crate::retention::Fault| error(&format!("retention.{}", fault.setting), &fault.what, &fault.advice);
        faults.into_iter().map(finding).collect()
    }

    /// The apps, as anybody may know them. Apps whose id is not usable are left out: [`check`](Self::check) names them.
    pub fn app_infos(&self) -> Vec<AppInfo> {
        let info = |app: &App| {
            Some(AppInfo {
                app: AppId::parse(&app.id).ok()?,
                name: app.name.clone(),
                domain: app.domain.clone(),
                sign_in: app.sign_in.into(),
                expiry_s: u64::from(app.expiry_days) * 86_400,
                expiry_least_s: u64::from(app.expiry_min_hours) * 3_600,
                expiry_most_s: app.expiry_max_days.map(|days| u64::from(days) * 86_400),
            })
        };
        self.apps.iter().filter_map(info).collect()
    }
}

fn error(setting: &str, what: &str, advice: &str) -> Finding {
    Finding { severity: Severity::Error, setting: setting.into(), what: what.into(), advice: advice.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_written_once_reads_back_and_suits_trying_out() {
        let dir = tempfile::tempdir().unwrap();
        let path = Config::write_default(dir.path()).unwrap();
        let config = Config::load(&path).unwrap();
        assert_eq!(config.apps.len(), 3);
        assert!(config.check(Mode::Up).iter().all(|finding| finding.severity == Severity::Note));
        let serve = config.check(Mode::Serve);
        assert_eq!(serve.iter().filter(|finding| finding.severity == Severity::Error).count(), 2);
        fs::write(&path, "x").unwrap();
        assert_eq!(Config::write_default(dir.path()).unwrap(), path);
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
    }

    #[test]
    fn the_limits_in_the_comments_are_the_defaults() {
        let section = DEFAULT.split("# [limits]").nth(1).unwrap().split("\n\n").next().unwrap();
        let text: String = section.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let limits: Limits = toml::from_str(&text).unwrap();
        assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
    }

    #[test]
    fn the_lifetimes_in_the_comments_are_the_defaults() {
        let section = DEFAULT.split("# [retention]").nth(1).unwrap().split("\n\n").next().unwrap();
        let text: String = section.lines().map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        let settings: Settings = toml::from_str(&text).unwrap();
        assert_eq!(settings, Settings::default());
        for setting in crate::retention::Setting::ALL {
            assert!(text.contains(setting.name()), "{setting:?}");
        }
    }

    #[test]
    fn a_lifetime_beyond_its_ceiling_keeps_the_server_from_starting() {
        let config = |value| {
            let text = DEFAULT.replace(
                "[[app]]\nid = \"bell\"",
                &format!("[retention]\nmailbox_days = {value}\n\n[[app]]\nid = \"bell\""),
            );
            Config::parse(&text).unwrap().check(Mode::Up)
        };
        let wrong = |findings: Vec<Finding>| findings.into_iter().find(|finding| finding.severity == Severity::Error);
        assert_eq!(wrong(config(7)), None);
        assert_eq!(wrong(config(31)).unwrap().setting, "retention.mailbox_days");
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let error = Config::parse("listen = '127.0.0.1:1'\ndata = 'x'\nlisten_to = 3").unwrap_err();
        assert!(error.to_string().contains("listen_to"));
    }
}
