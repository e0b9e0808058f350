//! `{{name}}` in the page and the service worker.

use crate::out::Hashed;
use anyhow::{Context as _, Result};
use std::collections::BTreeMap;

/// What the templates may name.
#[derive(Debug, Default)]
pub(crate) struct Values(BTreeMap<String, String>);

impl Values {
    /// `{{name}}` is the path, `{{name sri}}` the digest.
    pub(crate) fn file(&mut self, name: &str, file: Hashed) {
        self.text(&format!("{name} sri"), file.integrity);
        self.text(name, file.path);
    }

    pub(crate) fn text(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value);
    }

    /// The template with everything filled in.
    pub(crate) fn fill(&self, template: &str) -> Result<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").context("a `{{` is not closed")?;
            filled.push_str(before);
            filled.push_str(self.0.get(name).with_context(|| format!("nothing is called {name:?}"))?);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }
}

/// Takes comments and indentation out of a style sheet or a script. (A script's `//` comments: those with a line of their own.)
pub(crate) fn tighten(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    kept.push_str(rest);
    let lines = kept.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_filled_in_and_what_is_unknown_is_an_error() {
        let mut values = Values::default();
        values.file("page.js", Hashed { path: "/a/page-1.js".to_owned(), integrity: "sha384-x".to_owned() });
        let filled = values.fill("<script src={{page.js}} integrity={{page.js sri}}>").unwrap();
        assert_eq!(filled, "<script src=/a/page-1.js integrity=sha384-x>");
        assert!(values.fill("{{other}}").is_err());
        assert!(values.fill("{{page.js").is_err());
    }

    #[test]
    fn comments_are_not_sent() {
        assert_eq!(tighten("/* a */\n  b {\n    c: d; /* e */\n  }\n"), "b {\nc: d;\n}");
        assert_eq!(tighten("// a\n  b(\"https://c\");\n/** d\n */\n"), "b(\"https://c\");");
    }
}
