//! The apps of this deployment, as the domain needs them.

use parlour_proto::{
    frames::{AppId, AppInfo, ReachRule, SignIn},
    handle::Handle,
    problem::{Code, Problem},
};

use crate::config::Config;

/// All apps.
#[derive(Clone, Debug)]
pub struct Apps(Vec<(AppInfo, ReachRule)>);

impl Apps {
    /// The apps of a configuration.
    pub fn new(config: &Config) -> Self {
        let rule = |info: &AppInfo| {
            let app = config.apps.iter().find(|app| app.id == info.app.as_str());
            app.map_or(ReachRule::Ask, |app| app.reach_same_app.into())
        };
        Self(config.app_infos().into_iter().map(|info| (info.clone(), rule(&info))).collect())
    }

    /// What anybody may know.
    pub fn infos(&self) -> Vec<AppInfo> {
        self.0.iter().map(|(info, _)| info.clone()).collect()
    }

    /// Their names.
    pub fn ids(&self) -> impl Iterator<Item = &AppId> {
        self.0.iter().map(|(info, _)| &info.app)
    }

    /// How people sign in to an app.
    ///
    /// # Errors
    /// `NoSuchApp`.
    pub fn sign_in(&self, app: &AppId) -> Result<SignIn, Problem> {
        let found = self.0.iter().find(|(info, _)| info.app == *app).map(|(info, _)| info.sign_in);
        found.ok_or_else(|| Problem::new(Code::NoSuchApp, "there is no such app here"))
    }

    /// A handle as typed on an app.
    ///
    /// # Errors
    /// `NoSuchApp`, `BadHandle`.
    pub fn handle(&self, app: &AppId, typed: &str) -> Result<Handle, Problem> {
        let handle = Handle::parse(self.sign_in(app)?, typed)?;
        handle.check_scripts()?;
        Ok(handle)
    }

    /// Whether people sign in by one-time code.
    ///
    /// # Errors
    /// `NoSuchApp` when there is no such app, or it works otherwise.
    pub fn require(&self, app: &AppId, by_code: ByCode) -> Result<(), Problem> {
        let phone = self.sign_in(app)? == SignIn::Phone;
        if phone == (by_code == ByCode::Yes) {
            return Ok(());
        }
        Err(Problem::new(Code::NoSuchApp, "the app does not use this way of signing in"))
    }

    /// The rule that holds on `home` for people of `from` until its owner changes it: other apps are off.
    pub fn default_rule(&self, home: &AppId, from: &AppId) -> ReachRule {
        if home != from {
            return ReachRule::Nobody;
        }
        self.0.iter().find(|(info, _)| info.app == *home).map_or(ReachRule::Nobody, |(_, rule)| *rule)
    }
}

/// Whether an app signs people in by one-time code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByCode {
    /// It does.
    Yes,
    /// It uses passwords.
    No,
}
