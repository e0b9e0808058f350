//! wasm-bindgen's part: a WebAssembly program and the JavaScript module that loads it.

use anyhow::{Result, ensure};
use std::path::Path;
use wasm_bindgen_cli_support::Bindgen;

/// A program as a browser wants it.
pub(crate) struct Program {
    /// Without names: 1 MB of them would not help anybody in the browser.
    pub(crate) wasm: Vec<u8>,
    /// Defines `__wbg_init`.
    pub(crate) script: String,
}

pub(crate) fn bind(program: &Path, name: &str) -> Result<Program> {
    let mut output = Bindgen::new()
        .input_path(program)
        .out_name(name)
        .web(true)?
        .typescript(false)
        .omit_default_module_path(true)
        .remove_name_section(true)
        .remove_producers_section(true)
        .generate_output()?;
    // A snippet would be one more file to load, with no integrity digest.
    let script = output.js().to_owned();
    ensure!(!script.contains("/snippets/"), "a dependency brings JavaScript of its own: {:?}", output.snippets());
    ensure!(script.contains("function __wbg_init("), "wasm-bindgen's output has changed");
    Ok(Program { wasm: output.wasm_mut().emit_wasm(), script })
}
