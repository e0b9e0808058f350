//! The command line.

use anyhow::{Context as _, Result, bail, ensure};
use std::path::PathBuf;

/// What to make of what.
#[derive(Debug)]
pub(crate) struct Args {
    /// `index.html` and `sw.js`, as templates.
    pub(crate) statics: PathBuf,
    /// Style sheets, and icons below it.
    pub(crate) style: PathBuf,
    /// Where to write; replaced as a whole.
    pub(crate) out: PathBuf,
    /// Compiled programs.
    pub(crate) programs: Vec<PathBuf>,
}

impl Args {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self> {
        let (mut statics, mut style, mut out, mut programs) = (None, None, None, Vec::new());
        while let Some(arg) = args.next() {
            let into = match arg.as_str() {
                "--static" => &mut statics,
                "--style" => &mut style,
                "--out" => &mut out,
                option if option.starts_with('-') => bail!("no option {option}"),
                _ => {
                    programs.push(PathBuf::from(arg));
                    continue;
                }
            };
            *into = Some(PathBuf::from(args.next().with_context(|| format!("{arg} wants a folder"))?));
        }
        ensure!(!programs.is_empty(), "no programs given");
        Ok(Self {
            statics: statics.context("--static is missing")?,
            style: style.context("--style is missing")?,
            out: out.context("--out is missing")?,
            programs,
        })
    }
}
