//! What chromedriver knows beyond the WebDriver standard.

use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};
use url::{ParseError, Url};

/// A command of chromedriver's own.
#[derive(Debug)]
pub(crate) enum Command {
    /// The console's lines since the last time.
    Log,
    /// One command of the Chrome DevTools Protocol.
    DevTools { method: &'static str, params: Value },
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        let path = match self {
            Command::Log => "se/log",
            Command::DevTools { .. } => "goog/cdp/execute",
        };
        base.join(&format!("session/{}/{path}", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let body = match self {
            Command::Log => json!({ "type": "browser" }),
            Command::DevTools { method, params } => json!({ "cmd": method, "params": params }),
        };
        (Method::POST, Some(body.to_string()))
    }
}
