//! The folder that is served: written beside the old one, then put in its place.

use crate::args::Args;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A file whose name holds the digest of its contents.
#[derive(Debug)]
pub(crate) struct Hashed {
    /// From the root, with a slash in front.
    pub(crate) path: String,
    /// `sha384-…` (Subresource Integrity).
    pub(crate) integrity: String,
}

/// What is being written.
pub(crate) struct Out {
    dir: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Out {
    pub(crate) fn begin(dir: &Path) -> Result<Self> {
        let parent = dir.parent().context("the folder has a parent")?;
        fs::create_dir_all(parent)?;
        Ok(Self { dir: dir.to_owned(), files: BTreeMap::new() })
    }

    /// `a/NAME-HASH.END`
    pub(crate) fn hashed(&mut self, name: &str, end: &str, contents: Vec<u8>) -> Hashed {
        let digest = hex::encode(Sha256::digest(&contents));
        let path = format!("a/{name}-{}.{end}", &digest[..16]);
        let integrity = integrity(&contents);
        self.files.insert(path.clone(), contents);
        Hashed { path: format!("/{path}"), integrity }
    }

    /// A file with a name of its own.
    pub(crate) fn plain(&mut self, name: &str, contents: Vec<u8>) {
        self.files.insert(name.to_owned(), contents);
    }

    /// Changes with any file so far.
    pub(crate) fn build(&self) -> String {
        let mut digest = Sha256::new();
        self.files.iter().for_each(|(name, contents)| {
            digest.update(name);
            digest.update(Sha256::digest(contents));
        });
        hex::encode(&digest.finalize()[..8])
    }

    /// What the app needs to open without the network, as JSON.
    pub(crate) fn shell_files(&self) -> Result<String> {
        let hashed = self.files.keys().filter(|name| name.starts_with("a/")).map(|name| format!("/{name}"));
        let files: Vec<String> = ["/".to_owned(), "/icon.svg".to_owned()].into_iter().chain(hashed).collect();
        Ok(serde_json::to_string(&files)?)
    }

    /// Compresses, writes, and puts the folder in its place.
    pub(crate) fn finish(self, sources: &Sources) -> Result<()> {
        let fresh = self.dir.with_extension("new");
        fs::remove_dir_all(&fresh).ok();
        let mut listed = Vec::new();
        for (name, contents) in &self.files {
            let path = fresh.join(name);
            fs::create_dir_all(path.parent().context("a file is in a folder")?)?;
            fs::write(&path, contents)?;
            let (brotli, gzip) = (brotli(contents)?, gzip(contents)?);
            fs::write(path.with_added_extension("br"), &brotli)?;
            fs::write(path.with_added_extension("gz"), &gzip)?;
            listed.push(json!({
                "path": format!("/{name}"),
                "integrity": integrity(contents),
                "bytes": contents.len(),
                "brotli_bytes": brotli.len(),
                "gzip_bytes": gzip.len(),
            }));
        }
        let manifest = json!({ "build": self.build(), "sources": sources.0, "files": listed });
        fs::write(fresh.join("assets.json"), format!("{manifest:#}\n"))?;
        fs::remove_dir_all(&self.dir).ok();
        fs::rename(&fresh, &self.dir)?;
        report(&listed, &self.dir);
        Ok(())
    }
}

fn report(listed: &[Value], dir: &Path) {
    let total = |field: &str| listed.iter().filter_map(|file| file[field].as_u64()).sum::<u64>() / 1000;
    for file in listed {
        let kilobytes = |field: &str| file[field].as_f64().unwrap_or_default() / 1000.0;
        let path = file["path"].as_str().unwrap_or_default();
        println!(
            "{:>9.1} kB {:>8.1} gzip {:>8.1} brotli  {path}",
            kilobytes("bytes"),
            kilobytes("gzip_bytes"),
            kilobytes("brotli_bytes")
        );
    }
    println!("web: {} kB, {} kB in brotli, in {}", total("bytes"), total("brotli_bytes"), dir.display());
}

/// Digest of everything that goes in: if it is in the folder already, nothing needs to be done.
pub(crate) struct Sources(String);

impl Sources {
    pub(crate) fn digest(args: &Args) -> Result<Self> {
        let mut digest = Sha256::new();
        // The tool itself is one of the sources.
        digest.update(fs::read(std::env::current_exe()?)?);
        for program in &args.programs {
            digest.update(fs::read(program).with_context(|| program.display().to_string())?);
        }
        for dir in [&args.statics, &args.style, &args.style.join("icons")] {
            let Ok(entries) = fs::read_dir(dir) else { continue };
            let mut files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
            files.retain(|path| path.is_file());
            files.sort();
            for file in files {
                digest.update(file.to_string_lossy().as_bytes());
                digest.update(fs::read(&file)?);
            }
        }
        Ok(Self(hex::encode(digest.finalize())))
    }

    pub(crate) fn are_in(&self, dir: &Path) -> bool {
        let manifest = fs::read(dir.join("assets.json")).ok();
        let manifest = manifest.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        manifest.is_some_and(|manifest| manifest["sources"] == self.0.as_str())
    }
}

fn integrity(contents: &[u8]) -> String {
    format!("sha384-{}", STANDARD.encode(Sha384::digest(contents)))
}

fn brotli(contents: &[u8]) -> Result<Vec<u8>> {
    let params = brotli::enc::BrotliEncoderParams { quality: 11, lgwin: 22, ..Default::default() };
    let mut out = Vec::new();
    brotli::BrotliCompress(&mut &*contents, &mut out, &params)?;
    Ok(out)
}

fn gzip(contents: &[u8]) -> Result<Vec<u8>> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(contents)?;
    Ok(out.finish()?)
}
