//! What the server holds, as a file to keep.

use parlour_client::api::{Ends, Holdings};

/// As JSON; days are since 1970-01-01, instants in milliseconds since then.
pub fn json(held: &Holdings) -> String {
    let row = |row: &parlour_client::api::HeldRow| {
        let kind = held.kinds.iter().find(|kind| kind.number == row.kind);
        let (name, why, erased) =
            kind.map_or(("", "", ""), |kind| (kind.name.as_str(), kind.why.as_str(), kind.erased.as_str()));
        let ends = match row.ends {
            Ends::WithAccount => None,
            Ends::At(at) => Some(at.0),
        };
        object(&[
            ("kind", row.kind.to_string()),
            ("name", string(name)),
            ("which", string(&row.which)),
            ("day", number(row.day.map(u64::from))),
            ("bytes", row.bytes.to_string()),
            ("ends_ms", number(ends)),
            ("why", string(why)),
            ("erased_by", string(erased)),
        ])
    };
    let unlisted = |one: &parlour_client::api::Unlisted| {
        object(&[("name", string(&one.name)), ("why", string(&one.why)), ("at_most", string(&one.at_most))])
    };
    let rows: Vec<String> = held.rows.iter().map(row).collect();
    let besides: Vec<String> = held.unlisted.iter().map(unlisted).collect();
    object(&[("holdings", list(&rows)), ("unlisted", list(&besides))])
}

fn object(fields: &[(&str, String)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}: {value}", string(name))).collect();
    format!("{{{}}}", fields.join(", "))
}

fn list(values: &[String]) -> String {
    format!("[\n{}\n]", values.join(",\n"))
}

fn number(value: Option<u64>) -> String {
    value.map_or_else(|| "null".to_owned(), |value| value.to_string())
}

fn string(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use parlour_client::api::{HeldKind, HeldRow, Unlisted};
    use parlour_proto::ids::UnixMillis;

    #[test]
    fn all_of_it_is_in_the_file() {
        let words = |text: &str| text.to_owned();
        let held = Holdings {
            kinds: vec![HeldKind { number: 3, name: words("A \"row\""), why: words("w"), erased: words("e\n") }],
            rows: vec![
                HeldRow { kind: 3, which: words("first\\"), day: Some(20_000), bytes: 7, ends: Ends::WithAccount },
                HeldRow { kind: 9, which: words("ü"), day: None, bytes: 8, ends: Ends::At(UnixMillis(5)) },
            ],
            unlisted: vec![Unlisted { name: words("n"), why: words("y"), at_most: words("30 days") }],
        };
        let expected = concat!(
            "{\"holdings\": [\n",
            r#"{"kind": 3, "name": "A \"row\"", "which": "first\\", "day": 20000, "bytes": 7, "ends_ms": null, "why": "w", "erased_by": "e\u000a"},"#,
            "\n",
            r#"{"kind": 9, "name": "", "which": "ü", "day": null, "bytes": 8, "ends_ms": 5, "why": "", "erased_by": ""}"#,
            "\n], \"unlisted\": [\n",
            r#"{"name": "n", "why": "y", "at_most": "30 days"}"#,
            "\n]}"
        );
        assert_eq!(json(&held), expected);
    }
}
