//! Who may import whom (DESIGN §12), and house rules that no compiler holds: both as tests over the real tree.

use crate::run::root;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The floor of each room. A room imports only lower floors; `testing/*` and `xtask` may import anything and nothing
/// imports them.
const FLOORS: [(&str, u8); 8] = [
    ("parlour-proto", 0),
    ("parlour-e2ee", 1),
    ("parlour-store", 1),
    ("parlour-client", 2),
    ("parlour-server", 2),
    ("parlour-shell", 3),
    ("parlour-web", 3),
    ("parlour", 4),
];

/// Crates that only one room may name directly, and that nothing below `parlour` but that side of the house may reach.
const ONLY: [(&str, &[&str]); 3] = [
    ("openmls", &["parlour-e2ee"]),
    ("axum", &["parlour-server"]),
    // `parlour audit` and the demo read the server's file as a thief would: without any key of the store's.
    ("rusqlite", &["parlour-store", "parlour-shell", "parlour"]),
];

/// Rooms that must not reach these crates even through others: the server cannot read what it carries.
const NEVER_REACHES: [(&str, &[&str]); 2] =
    [("parlour-server", &["openmls", "parlour-e2ee", "parlour-client"]), ("parlour-client", &["tokio", "rusqlite"])];

/// Rooms without ambient time, randomness or threads, and the words that would bring them in.
const PURE_ROOMS: [&str; 3] = ["crates/proto/src", "crates/e2ee/src", "crates/client/src"];
const IMPURE_WORDS: [&str; 7] =
    ["SystemTime::now", "Instant::now", "thread_rng(", "OsRng", "std::thread::spawn", "tokio::", "std::fs::"];

/// Past this many lines a file holds more than one concept (STYLE: the worst ones were always the one central object).
const MAX_FILE_LINES: usize = 800;

/// Checks everything and prints what is wrong.
pub(crate) fn check() -> Result<()> {
    let mut faults = Vec::new();
    let graph = Graph::read()?;
    graph.check_floors(&mut faults);
    graph.check_only(&mut faults);
    check_reach(&mut faults)?;
    check_sources(&mut faults)?;
    for fault in &faults {
        println!("layers: {fault}");
    }
    if faults.is_empty() {
        println!("layers: {} rooms, every import goes down", graph.ours.len());
        Ok(())
    } else {
        bail!("{} faults", faults.len())
    }
}

struct Graph {
    /// Ours: name → direct, non-development dependencies.
    ours: BTreeMap<String, BTreeSet<String>>,
}

impl Graph {
    fn read() -> Result<Self> {
        let output = Command::new("cargo")
            .args(["metadata", "--format-version=1", "--locked", "--filter-platform=x86_64-unknown-linux-gnu"])
            .current_dir(root())
            .output()?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let names: BTreeMap<&str, &str> = array(&metadata["packages"])
            .filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?)))
            .collect();
        let members: BTreeSet<&str> = array(&metadata["workspace_members"]).filter_map(Value::as_str).collect();
        let mut ours = BTreeMap::new();
        for node in array(&metadata["resolve"]["nodes"]) {
            let id = node["id"].as_str().context("node without id")?;
            let name = names.get(id).context("node without package")?.to_string();
            let dependencies: BTreeSet<String> = array(&node["deps"])
                .filter(|dep| array(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null()))
                .filter_map(|dep| names.get(dep["pkg"].as_str()?).map(|name| name.to_string()))
                .collect();
            if members.contains(id) {
                ours.insert(name, dependencies);
            }
        }
        Ok(Self { ours })
    }

    fn check_floors(&self, faults: &mut Vec<String>) {
        let floors: BTreeMap<&str, u8> = FLOORS.into_iter().collect();
        for (room, dependencies) in &self.ours {
            let Some(floor) = floors.get(room.as_str()) else {
                continue;
            };
            for dependency in dependencies.iter().filter(|name| self.ours.contains_key(*name)) {
                match floors.get(dependency.as_str()) {
                    Some(lower) if lower < floor => {}
                    Some(_) => faults.push(format!("{room} imports {dependency}, which is not on a lower floor")),
                    None => faults.push(format!("{room} imports {dependency}; nothing imports testing/ and xtask")),
                }
            }
        }
    }

    fn check_only(&self, faults: &mut Vec<String>) {
        for (library, rooms) in ONLY {
            for (room, dependencies) in &self.ours {
                let held = FLOORS.iter().any(|(name, _)| name == room);
                if held && dependencies.contains(library) && !rooms.contains(&room.as_str()) {
                    faults.push(format!("{room} names {library}; only {} may", rooms.join(" and ")));
                }
            }
        }
    }
}

/// What a room is really built with (`cargo tree`: the metadata also lists optional crates that nothing switches on).
fn check_reach(faults: &mut Vec<String>) -> Result<()> {
    for (room, forbidden) in NEVER_REACHES {
        let output = Command::new("cargo")
            .args(["tree", "--locked", "--edges=normal", "--prefix=none", "--format={p}", "--package", room])
            .current_dir(root())
            .output()?;
        if !output.status.success() {
            bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr));
        }
        let listing = String::from_utf8(output.stdout)?;
        let reached: BTreeSet<&str> = listing.lines().filter_map(|line| line.split(' ').next()).collect();
        for library in forbidden.iter().filter(|library| reached.contains(**library)) {
            faults.push(format!("{room} reaches {library}"));
        }
    }
    Ok(())
}

fn array(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn check_sources(faults: &mut Vec<String>) -> Result<()> {
    let root = root();
    for file in rust_files(&["crates", "testing", "xtask"].map(|dir| root.join(dir)))? {
        let text = std::fs::read_to_string(&file)?;
        let name = file.strip_prefix(&root).unwrap_or(&file).display().to_string();
        let lines = text.lines().count();
        if lines > MAX_FILE_LINES {
            faults.push(format!("{name} has {lines} lines; split it by concept (at most {MAX_FILE_LINES})"));
        }
        if file.components().any(|part| part.as_os_str() == "src") && !text.trim_start().starts_with("//!") {
            faults.push(format!("{name} does not say what it is for (`//!`)"));
        }
        if PURE_ROOMS.iter().any(|pure| name.starts_with(pure)) {
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for (number, line) in code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
                for word in IMPURE_WORDS.iter().filter(|word| line.contains(**word)) {
                    faults.push(format!("{name}:{} uses {word} in a pure room", number + 1));
                }
            }
        }
    }
    Ok(())
}

fn rust_files(dirs: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut todo = dirs.to_vec();
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).with_context(|| dir.display().to_string())? {
            let path = entry?.path();
            if path.is_dir() && !is_skipped(&path) {
                todo.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn is_skipped(dir: &Path) -> bool {
    dir.file_name().is_some_and(|name| name == "target" || name == "corpus")
}
