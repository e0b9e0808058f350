//! The apps for browsers: from (host, path, encodings) to a response, all of it in memory.
//!
//! Each app is its own origin, told by the `Host` header. All origins get the same files (`cargo xtask web` makes them);
//! what differs is told by `/app.json`, the manifest and the icon, from the configuration. Files below `/a/` have the digest
//! of their contents in their name and are kept for ever; everything else is asked for again (`ETag`). Pages may load
//! nothing from elsewhere, run no script but ours, and talk to nobody but this origin.

mod files;
mod front;

use bytes::Bytes;
use files::{Coding, Files};
use parlour_proto::frames::{AppInfo, SignIn};
use std::path::{Path, PathBuf};

/// The apps as they are served.
#[derive(Debug)]
pub struct Site {
    apps: Vec<AppInfo>,
    files: Option<Files>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask<'a> {
    /// The `Host` header, with or without a port.
    pub host: &'a str,
    /// The path, without the query.
    pub path: &'a str,
    /// The `Accept-Encoding` header.
    pub accept_encoding: &'a str,
    /// The `If-None-Match` header.
    pub if_none_match: &'a str,
    /// Whether the connection is TLS: decides the scheme of sockets and links.
    pub secure: bool,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// HTTP status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Empty for 304.
    pub body: Bytes,
}

impl Site {
    /// The apps with the files of `dir`; without them (`None`, or no files there) pages say how to make them.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn load(apps: Vec<AppInfo>, dir: Option<&Path>) -> std::io::Result<Self> {
        let files = dir.map(Files::load).transpose()?.filter(|files| files.get("/index.html").is_some());
        Ok(Self { apps, files })
    }

    /// Where the files are when the configuration does not say: `web` beside the program, or beside its folder (where
    /// `cargo xtask web` puts them).
    pub fn default_dir() -> Option<PathBuf> {
        let program = std::env::current_exe().ok()?;
        let beside = program.parent()?.join("web");
        let above = program.parent()?.parent()?.join("web");
        [beside, above].into_iter().find(|dir| dir.join("index.html").is_file())
    }

    /// Whether there is anything to serve.
    pub fn is_built(&self) -> bool {
        self.files.is_some()
    }

    /// Answers; every path has an answer.
    pub fn respond(&self, ask: &Ask<'_>) -> Served {
        let mut served = self.find(ask);
        served.headers.extend(guards(ask));
        served
    }

    fn find(&self, ask: &Ask<'_>) -> Served {
        let Some(app) = self.app(ask.host) else {
            return match ask.path {
                "/" => page(200, front::all_apps(&self.apps, ask)),
                _ => not_found(),
            };
        };
        let Some(files) = &self.files else { return page(503, front::not_built(app)) };
        match ask.path {
            "/app.json" => fresh("application/json", describe(app)),
            "/manifest.webmanifest" => fresh("application/manifest+json", front::manifest(app)),
            "/icon.svg" => match files.get(&format!("/icon/{}.svg", app.app)) {
                Some(icon) => icon.serve(ask),
                None => fresh("image/svg+xml", front::icon(app)),
            },
            "/assets.json" => not_found(),
            path => match files.get(path).or_else(|| is_a_place(path).then(|| files.get("/index.html")).flatten()) {
                Some(file) => file.serve(ask),
                None => not_found(),
            },
        }
    }

    fn app(&self, host: &str) -> Option<&AppInfo> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        self.apps.iter().find(|app| app.domain.eq_ignore_ascii_case(name))
    }
}

/// A place inside the app (`/`, `/c/…`), not a file.
fn is_a_place(path: &str) -> bool {
    !path.rsplit('/').next().unwrap_or_default().contains('.') && !path.starts_with("/v1/") && !path.starts_with("/a/")
}

/// `/app.json`: what a page must know to be this app.
fn describe(app: &AppInfo) -> String {
    let sign_in = match app.sign_in {
        SignIn::Phone => "phone",
        SignIn::Username => "username",
        SignIn::AtHandle => "at_handle",
    };
    serde_json::json!({
        "app": app.app.as_str(),
        "name": app.name,
        "domain": app.domain,
        "sign_in": sign_in,
        "expiry_s": app.expiry_s,
        "expiry_least_s": app.expiry_least_s,
        "expiry_most_s": app.expiry_most_s,
    })
    .to_string()
}

/// What every response carries.
fn guards(ask: &Ask<'_>) -> [(&'static str, String); 7] {
    let plain = |text: &str| text.to_owned();
    [
        ("content-security-policy", policy(ask)),
        ("cross-origin-opener-policy", plain("same-origin")),
        ("cross-origin-embedder-policy", plain("require-corp")),
        ("cross-origin-resource-policy", plain("same-origin")),
        ("referrer-policy", plain("no-referrer")),
        ("permissions-policy", plain("camera=(self), microphone=(), geolocation=(), browsing-topics=()")),
        ("x-content-type-options", plain("nosniff")),
    ]
}

/// Nothing from elsewhere, nothing inline. `'self'` does not cover sockets in every browser, so they are named.
fn policy(ask: &Ask<'_>) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let sockets = if !ask.host.is_empty() && ask.host.bytes().all(is_plain) {
        // Without TLS here there may still be a proxy that does it.
        let plain = if ask.secure { String::new() } else { format!(" ws://{}", ask.host) };
        format!("{plain} wss://{}", ask.host)
    } else {
        String::new()
    };
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob: data:; \
         connect-src 'self'{sockets}; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    )
}

fn page(status: u16, html: String) -> Served {
    Served { status, ..fresh("text/html; charset=utf-8", html) }
}

fn not_found() -> Served {
    Served { status: 404, ..fresh("text/plain; charset=utf-8", "not found\n".to_owned()) }
}

/// Made for this request; small.
fn fresh(kind: &str, body: String) -> Served {
    let headers = vec![("content-type", kind.to_owned()), ("cache-control", "no-cache".to_owned())];
    Served { status: 200, headers, body: body.into() }
}

/// The best coding that the browser takes.
fn coding(accept_encoding: &str) -> Coding {
    let takes = |name: &str| {
        accept_encoding.split(',').any(|part| {
            let (coding, quality) = part.split_once(';').unwrap_or((part, ""));
            let quality = quality.trim();
            coding.trim().eq_ignore_ascii_case(name) && !matches!(quality, "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
    };
    if takes("br") {
        Coding::Brotli
    } else if takes("gzip") {
        Coding::Gzip
    } else {
        Coding::Plain
    }
}

#[cfg(test)]
mod tests;
