//! `parlour backup` and `parlour restore`, as an operator meets them: a server that goes on, what is refused, and what is said.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use kit::{Ended, Person, Server, end, parlour};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn backup(data: &Path, to: &Path, keys: Option<&Path>) -> Ended {
    let mut command = parlour();
    command.args(["backup", "--json", "--data"]).arg(data).arg("--to").arg(to);
    if let Some(keys) = keys {
        command.arg("--keys-to").arg(keys);
    }
    end(command)
}

fn restore(from: &Path, keys: &Path, data: &Path) -> Ended {
    let mut command = parlour();
    command.args(["restore", "--json", "--from"]).arg(from).arg("--keys").arg(keys).arg("--data").arg(data);
    end(command)
}

fn object(ended: &Ended) -> Value {
    ended.lines().pop().unwrap()
}

/// A server with somebody on it, and a whole backup with its keys.
struct Kept {
    server: Server,
    backup: PathBuf,
    keys: PathBuf,
}

impl Kept {
    fn new() -> Self {
        let server = Server::up();
        let ana = Person::with_password(&server, "den", "ana");
        let _ben = Person::with_password(&server, "den", "ben");
        ana.run(&["send", "ben@den", "waiting for Ben"]).ok();
        let (kept, keys) = (server.dir.path().join("kept"), server.dir.path().join("keys.json"));
        let ended = backup(&server.data(), &kept, Some(&keys)).ok();
        assert_eq!(object(&ended)["path"], kept.to_str().unwrap());
        Self { server, backup: kept, keys }
    }

    fn new_data(&self, name: &str) -> PathBuf {
        self.server.dir.path().join(name)
    }

    /// Nothing is there, and nothing half made.
    #[track_caller]
    fn nothing_at(&self, name: &str) {
        let left = fs::read_dir(self.server.dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = left.filter(|found| found.to_string_lossy().starts_with(name)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_running_server_is_copied_without_its_keys_and_restored_in_another_life() {
    let kept = Kept::new();
    assert_eq!(kept.server.get("/health"), "ok\n", "it goes on");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&kept.backup), mode(&kept.keys)), (0o700, 0o600));
    assert_eq!(mode(&kept.backup.join("store.db")), 0o600);
    let mut files: Vec<_> =
        fs::read_dir(&kept.backup).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["manifest.json", "store.db"]);
    let secret = fs::read(kept.server.data().join("keys/store.key")).unwrap();
    let database = fs::read(kept.backup.join("store.db")).unwrap();
    assert!(!database.windows(32).any(|window| window == secret));

    let (one, two) = (kept.new_data("one"), kept.new_data("two"));
    let first = object(&restore(&kept.backup, &kept.keys, &one).ok());
    fs::create_dir(&two).unwrap();
    let second = object(&restore(&kept.backup, &kept.keys, &two).ok());
    assert!(first["incarnation"].as_u64().unwrap() > 1_700_000_000_000);
    assert!(second["incarnation"].as_u64() > first["incarnation"].as_u64(), "never the same twice");
    assert_eq!(first["waiting_rows_without_key"], 0);
    assert_eq!(mode(&one), 0o700);
    // What is restored is audited like any other, and starts.
    let mut audit = parlour();
    audit.args(["audit", "--json", "--data"]).arg(&one);
    let kinds = end(audit).ok().lines();
    let rows = |name: &str| kinds.iter().find(|kind| kind["name"] == name).unwrap()["rows"].as_u64().unwrap();
    assert_eq!((rows("account"), rows("life of the data"), rows("key package")), (2, 1, 0));
    assert!(rows("waiting mailbox row (sealed)") >= 1 && rows("last-resort key package") == 2);
    let position = |data: &Path| -> i64 {
        let db = Connection::open(data.join("store.db")).unwrap();
        db.query_row("SELECT value FROM meta WHERE name = 'boot'", [], |row| row.get(0)).unwrap()
    };
    assert!(position(&one) > position(&kept.server.data()) + 1_000);
}

#[test]
fn what_is_wrong_with_a_backup_is_said_before_anything_is_there() {
    let kept = Kept::new();
    let new = kept.new_data("new");
    let refused = |from: &Path, keys: &Path, code: i32, word: &str| {
        let ended = restore(from, keys, &new).with_code(code);
        assert!(ended.stderr.contains(word), "{ended:?}");
        kept.nothing_at("new");
    };
    let copy = |name: &str| {
        let copy = kept.new_data(name);
        fs::create_dir(&copy).unwrap();
        for file in ["manifest.json", "store.db"] {
            fs::copy(kept.backup.join(file), copy.join(file)).unwrap();
        }
        copy
    };

    let cut = copy("cut");
    let bytes = fs::read(cut.join("store.db")).unwrap();
    fs::write(cut.join("store.db"), &bytes[..bytes.len() - 4096]).unwrap();
    refused(&cut, &kept.keys, 1, "damaged");
    let flipped = copy("flipped");
    let mut bytes = fs::read(flipped.join("store.db")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(flipped.join("store.db"), bytes).unwrap();
    refused(&flipped, &kept.keys, 1, "SHA-256");
    let later = copy("later");
    let manifest = fs::read_to_string(later.join("manifest.json")).unwrap();
    fs::write(later.join("manifest.json"), manifest.replace("parlour backup 1", "parlour backup 2")).unwrap();
    refused(&later, &kept.keys, 2, "parlour backup 2");
    fs::write(later.join("manifest.json"), manifest.replace("\"made_ms\": 1", "\"made_ms\": 9")).unwrap();
    refused(&later, &kept.keys, 1, "clock");
    refused(&kept.server.data(), &kept.keys, 5, "no backup");

    let other = Server::up();
    let others = kept.new_data("others.json");
    backup(&other.data(), &kept.new_data("other"), Some(&others)).ok();
    refused(&kept.backup, &others, 8, "not those of this backup");
    let keys = fs::read_to_string(&kept.keys).unwrap();
    let bad = kept.new_data("bad.json");
    fs::write(&bad, &keys[..keys.len() / 2]).unwrap();
    refused(&kept.backup, &bad, 1, "no file that");
    let at = keys.find("store.key").unwrap() + 14;
    let digit = if &keys[at..=at] == "0" { "1" } else { "0" };
    fs::write(&bad, [&keys[..at], digit, &keys[at + 1..]].concat()).unwrap();
    refused(&kept.backup, &bad, 1, "is damaged");

    let full = kept.new_data("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("something"), "mine").unwrap();
    let ended = restore(&kept.backup, &kept.keys, &full).with_code(2);
    assert!(ended.stderr.contains("not empty"), "{ended:?}");
    assert_eq!(fs::read_to_string(full.join("something")).unwrap(), "mine");
}

#[test]
fn a_backup_writes_over_nothing_and_says_what_is_no_server() {
    let kept = Kept::new();
    let again = backup(&kept.server.data(), &kept.backup.join("store.db"), None).with_code(2);
    assert!(again.stderr.contains("there already"), "{again:?}");
    let keys = backup(&kept.server.data(), &kept.new_data("more"), Some(&kept.keys)).with_code(2);
    assert!(keys.stderr.contains("keys go into a new file"), "{keys:?}");
    kept.nothing_at("more");
    let beside = kept.new_data("more");
    let inside = backup(&kept.server.data(), &beside, Some(&beside.join("keys.json"))).with_code(2);
    assert!(inside.stderr.contains("do not belong"), "{inside:?}");
    let nowhere = backup(kept.server.dir.path(), &kept.new_data("more"), None).with_code(5);
    assert!(nowhere.stderr.contains("holds no Parlour store"), "{nowhere:?}");
    // Into a directory that is there: with the time as its name.
    let all = kept.new_data("all");
    fs::create_dir(&all).unwrap();
    backup(&kept.server.data(), &all, None).ok();
    let name = fs::read_dir(&all).unwrap().next().unwrap().unwrap().file_name().into_string().unwrap();
    assert!(name.starts_with("parlour-20") && name.ends_with('Z'), "{name}");

    let mut server = kept.server;
    assert_eq!(server.stop(), 0);
    Connection::open(server.data().join("store.db")).unwrap().pragma_update(None, "user_version", 2).unwrap();
    let newer = backup(&server.data(), &server.dir.path().join("newer"), None).with_code(2);
    assert!(newer.stderr.contains("format 2") && newer.stderr.contains("release"), "{newer:?}");
}

/// A file system of its own, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one in memory; `None` when this user may not.
    fn mount(at: &Path, bytes: u64) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let size = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_said_and_nothing_is_left_on_it() {
    let kept = Kept::new();
    let Some(disk) = SmallDisk::mount(&kept.new_data("disk"), 1 << 20) else {
        eprintln!("skipped: this user may not mount");
        return;
    };
    let ended = backup(&kept.server.data(), &disk.0.join("backup"), None).with_code(1);
    assert!(ended.stderr.contains("no room on that disk"), "{ended:?}");
    fs::write(disk.0.join("ballast"), vec![1; 900 << 10]).unwrap();
    let ended = restore(&kept.backup, &kept.keys, &disk.0.join("data")).with_code(1);
    assert!(ended.stderr.contains("the disk is full"), "{ended:?}");
    let left: Vec<_> = fs::read_dir(&disk.0).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["ballast"]);
}
