//! Files in memory, each in up to three codings.

use super::{Ask, Served, coding};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::path::Path;
use std::{fs, io};

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Brotli,
    Gzip,
}

/// All files of a folder, by path from the root (`/a/page-….js`).
#[derive(Debug)]
pub(super) struct Files(HashMap<String, File>);

#[derive(Debug)]
pub(super) struct File {
    kind: &'static str,
    tag: String,
    forever: bool,
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

impl Files {
    /// Reads a folder; one that is not there has no files.
    pub(super) fn load(dir: &Path) -> io::Result<Self> {
        let mut files = HashMap::new();
        if dir.is_dir() {
            load_into(&mut files, dir, "")?;
        }
        Ok(Self(files))
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.0.get(path)
    }
}

fn load_into(files: &mut HashMap<String, File>, dir: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (path, name) = (entry.path(), format!("{prefix}/{name}"));
        if path.is_dir() {
            load_into(files, &path, &name)?;
        } else if let Some(kind) = kind(&name) {
            files.insert(name.clone(), File::load(&path, &name, kind)?);
        }
    }
    Ok(())
}

impl File {
    fn load(path: &Path, name: &str, kind: &'static str) -> io::Result<Self> {
        let plain = Bytes::from(fs::read(path)?);
        let beside = |end: &str| fs::read(path.with_added_extension(end)).ok().map(Bytes::from);
        let digest = Sha256::digest(&plain);
        let tag = format!("W/\"{}\"", hex(&digest[..12]));
        Ok(Self { kind, tag, forever: name.starts_with("/a/"), brotli: beside("br"), gzip: beside("gz"), plain })
    }

    /// In the best coding, or 304.
    pub(super) fn serve(&self, ask: &Ask<'_>) -> Served {
        let keep = if self.forever { "public, max-age=31536000, immutable" } else { "no-cache" };
        let mut headers = vec![
            ("content-type", self.kind.to_owned()),
            ("cache-control", keep.to_owned()),
            ("etag", self.tag.clone()),
            ("vary", "accept-encoding".to_owned()),
        ];
        if ask.if_none_match.split(',').any(|tag| tag.trim() == self.tag) {
            return Served { status: 304, headers, body: Bytes::new() };
        }
        let (name, body) = match (coding(ask.accept_encoding), &self.brotli, &self.gzip) {
            (Coding::Brotli, Some(body), _) => (Some("br"), body),
            (Coding::Brotli | Coding::Gzip, _, Some(body)) => (Some("gzip"), body),
            _ => (None, &self.plain),
        };
        headers.extend(name.map(|name| ("content-encoding", name.to_owned())));
        Served { status: 200, headers, body: body.clone() }
    }
}

/// The type by the name's end; what has none (compressed copies) is not served by itself.
fn kind(name: &str) -> Option<&'static str> {
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "wasm" => "application/wasm",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        "json" => "application/json",
        _ => return None,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
