//! From compiled programs to what a browser loads: JavaScript glue, hashed names, integrity digests, compressed copies.
//!
//! ```text
//! parlour-web-build --static crates/web/static --style crates/web/style --out target/web page.wasm worker.wasm
//! ```
//!
//! Writes `index.html`, `sw.js`, `icon/…` and `a/NAME-HASH.…`, each also as `.br` and `.gz`, and `assets.json`, which lists
//! them with their sizes. Names below `a/` change with their contents, so that they may be kept for ever.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool")]

mod args;
mod glue;
mod out;
mod template;

use anyhow::{Context as _, Result, bail};
use args::Args;
use out::{Out, Sources};
use std::fs;
use std::path::Path;
use template::Values;

fn main() -> Result<()> {
    let args = Args::parse(std::env::args().skip(1))?;
    let sources = Sources::digest(&args)?;
    if sources.are_in(&args.out) {
        println!("web: {} is up to date", args.out.display());
        return Ok(());
    }
    let mut out = Out::begin(&args.out)?;
    let mut values = Values::default();
    for program in &args.programs {
        add_program(program, &mut out, &mut values)?;
    }
    let style = style(&args.style)?;
    values.file("style.css", out.hashed("style", "css", style.into_bytes()));
    let early = fs::read_to_string(args.statics.join("early.js")).context("early.js")?;
    let early = values.fill(&template::tighten(&early)).context("early.js")?;
    values.file("early.js", out.hashed("early", "js", early.into_bytes()));
    add_icons(&args.style.join("icons"), &mut out)?;
    values.text("build", out.build());
    values.text("files", out.shell_files()?);
    for name in ["index.html", "sw.js"] {
        let text = fs::read_to_string(args.statics.join(name)).with_context(|| name.to_owned())?;
        let text = if name.ends_with(".js") { template::tighten(&text) } else { text };
        out.plain(name, values.fill(&text).with_context(|| name.to_owned())?.into_bytes());
    }
    out.finish(&sources)
}

/// `page.wasm` becomes `a/page-HASH.wasm` and `a/page-HASH.js`, which loads and starts it.
fn add_program(program: &Path, out: &mut Out, values: &mut Values) -> Result<()> {
    let name = program.file_stem().and_then(|stem| stem.to_str()).context("a program has a name")?;
    let glue::Program { wasm, script } = glue::bind(program, name)?;
    let wasm = out.hashed(name, "wasm", wasm);
    let start = format!(
        "{script}\n__wbg_init({{ module_or_path: fetch(\"{}\", {{ integrity: \"{}\", credentials: \"same-origin\" }}) }});\n",
        wasm.path, wasm.integrity
    );
    values.file(&format!("{name}.wasm"), wasm);
    values.file(&format!("{name}.js"), out.hashed(name, "js", start.into_bytes()));
    Ok(())
}

/// All style sheets, in the order of their names.
fn style(dir: &Path) -> Result<String> {
    let mut sheets: Vec<_> = match fs::read_dir(dir) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?,
        Err(_) => return Ok(String::new()),
    };
    sheets.retain(|path| path.extension().is_some_and(|end| end == "css"));
    sheets.sort();
    let texts: Vec<String> = sheets.iter().map(fs::read_to_string).collect::<Result<_, _>>()?;
    Ok(template::tighten(&texts.concat()))
}

fn add_icons(dir: &Path, out: &mut Out) -> Result<()> {
    let Ok(entries) = fs::read_dir(dir) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { bail!("an icon's name is not UTF-8") };
        out.plain(&format!("icon/{name}"), fs::read(&path)?);
    }
    Ok(())
}
