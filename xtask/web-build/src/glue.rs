//! wasm-bindgen's part: a WebAssembly program and the JavaScript module that loads it.

use crate::template::tighten;
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
    let mut script = tighten(output.js());
    ensure!(!script.contains("/snippets/"), "a dependency brings JavaScript of its own: {:?}", output.snippets());
    ensure!(script.contains("function __wbg_init("), "wasm-bindgen's output has changed");
    let mut names = Names::default();
    for import in output.wasm_mut().imports.iter_mut() {
        if let Some(short) = names.shorten(&mut script, &import.name) {
            import.name = short;
        }
    }
    Ok(Program { wasm: output.wasm_mut().emit_wasm(), script })
}

/// By what the program calls the script. wasm-bindgen ends each name with a digest, which no compression makes smaller: a
/// third of the script, and as much again in the program.
#[derive(Default)]
struct Names {
    given: usize,
}

impl Names {
    /// The short name that now stands in the script in the place of a long one; `None` where it is not plain that nothing
    /// else is meant by it.
    fn shorten(&mut self, script: &mut String, name: &str) -> Option<String> {
        let is_digest = |end: &str| end.len() == 16 && end.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_long = name.rsplit_once('_').is_some_and(|(_, end)| is_digest(end));
        let at = script.find(name).filter(|_| is_long && script.matches(name).count() == 1)?;
        let short = format!("w{}", self.given);
        self.given += 1;
        script.replace_range(at..at + name.len(), &short);
        Some(short)
    }
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn only_names_that_stand_in_the_script_once_are_shortened() {
        let mut script =
            "__wbg_a_0123456789abcdef: f, __wbg_b: g, __wbg_c_00000000000000ff: h(__wbg_c_00000000000000ff)".to_owned();
        let mut names = Names::default();
        assert_eq!(names.shorten(&mut script, "__wbg_a_0123456789abcdef").as_deref(), Some("w0"));
        for name in ["__wbg_b", "__wbg_c_00000000000000ff", "__wbg_d_0123456789abcdef"] {
            assert_eq!(names.shorten(&mut script, name), None);
        }
        assert!(script.starts_with("w0: f, __wbg_b: g, __wbg_c_"));
    }
}
