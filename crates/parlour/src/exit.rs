//! How a command ends: stable exit codes, stable error names, one sentence for people. Documented in `docs/cli.md`.

use parlour_client::api::Failure;
use parlour_proto::problem::Code;
use parlour_shell::HomeError;
use parlour_shell::runner::{IntentError, StartError, Stopped};
use serde::Serialize;
use std::fmt;

/// Exit codes. A number never changes its meaning. 2 is clap's own, for wrong usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Something broke: a disk, a damaged home, a bug.
    Failure = 1,
    /// What was typed makes no sense.
    Usage = 2,
    /// A code, password or yes is needed, and there is no terminal to ask at.
    NeedsInput = 3,
    /// No connection. A message is queued.
    Offline = 4,
    /// Not here, or not reachable there.
    NotFound = 5,
    /// The server refused.
    Refused = 6,
    /// Another process has the home open.
    HomeInUse = 7,
    /// Wrong code, password, recovery key or passphrase.
    NotAuthenticated = 8,
    /// No home, or nobody signed in in it.
    NotSignedIn = 9,
}

/// Why a command failed, as scripts see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Trouble {
    /// Stable name.
    pub(crate) code: &'static str,
    /// One sentence for people.
    pub(crate) message: String,
    /// With `refused`: the server's problem code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
    /// When trying again makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after_ms: Option<u64>,
    #[serde(skip)]
    pub(crate) exit: Exit,
}

impl Trouble {
    pub(crate) fn new(exit: Exit, code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problem: None, retry_after_ms: None, exit }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, "bad_input", message)
    }

    pub(crate) fn needs_input(message: impl Into<String>) -> Self {
        Self::new(Exit::NeedsInput, "needs_input", message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, "not_found", message)
    }

    pub(crate) fn offline() -> Self {
        Self::new(Exit::Offline, "offline", "no connection to the server")
    }

    /// Anything unexpected, with its causes.
    pub(crate) fn failure(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Failure, "failure", format!("{:#}", error.into()))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match self.retry_after_ms {
            Some(ms) => write!(f, " (try again in {})", crate::text::duration(ms)),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Trouble {}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let message = failure.to_string();
        match failure {
            Failure::NotSignedIn => Self::new(Exit::NotSignedIn, "not_signed_in", message),
            Failure::AlreadySignedIn => Self::new(Exit::Usage, "already_signed_in", message),
            Failure::BadInput(_) => Self::usage(message),
            Failure::NotFound(_) => Self::not_found(message),
            Failure::NotReachable => Self::new(Exit::NotFound, "not_reachable", message),
            Failure::Offline => Self::new(Exit::Offline, "offline", message),
            Failure::Suspicious(_) => Self::new(Exit::Failure, "suspicious", message),
            Failure::Refused(problem) => {
                let (exit, code) = match problem.code {
                    Code::NotAuthenticated | Code::TriesExhausted => (Exit::NotAuthenticated, "not_authenticated"),
                    _ => (Exit::Refused, "refused"),
                };
                Self {
                    problem: Some(snake(&format!("{:?}", problem.code))),
                    retry_after_ms: Some(problem.retry_after_ms).filter(|ms| *ms > 0),
                    ..Self::new(exit, code, problem.detail)
                }
            }
        }
    }
}

impl From<Stopped> for Trouble {
    fn from(stopped: Stopped) -> Self {
        Self::failure(stopped)
    }
}

impl From<IntentError> for Trouble {
    fn from(error: IntentError) -> Self {
        match error {
            IntentError::Failed(failure) => failure.into(),
            IntentError::Stopped(stopped) => stopped.into(),
        }
    }
}

impl From<HomeError> for Trouble {
    fn from(error: HomeError) -> Self {
        let (exit, code) = match &error {
            HomeError::None { .. } => (Exit::NotSignedIn, "not_signed_in"),
            HomeError::Locked { .. } => (Exit::HomeInUse, "home_in_use"),
            HomeError::WrongPassphrase => (Exit::NotAuthenticated, "wrong_passphrase"),
            HomeError::PassphraseNeeded => (Exit::NeedsInput, "needs_input"),
            HomeError::NoPassphrase => (Exit::Usage, "bad_input"),
            _ => return Self::failure(error),
        };
        Self::new(exit, code, error.to_string())
    }
}

impl From<StartError> for Trouble {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Home(error) => error.into(),
            error => Self::failure(error),
        }
    }
}

/// `TooManyNewPeople` becomes `too_many_new_people`.
fn snake(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_proto::problem::Problem;

    #[test]
    fn a_refusal_carries_the_servers_code_in_snake_case() {
        let problem = Problem::new(Code::TooManyNewPeople, "enough for today").retry_after_ms(100_000);
        let trouble = Trouble::from(Failure::Refused(problem));
        let json = serde_json::to_string(&trouble).unwrap();
        let expected = r#"{"code":"refused","message":"enough for today","problem":"too_many_new_people","retry_after_ms":100000}"#;
        assert_eq!(json, expected);
        assert_eq!(trouble.exit, Exit::Refused);
        assert_eq!(trouble.to_string(), "enough for today (try again in 2 min)");
    }
}
