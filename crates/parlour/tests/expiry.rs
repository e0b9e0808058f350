//! How long messages stay, on the command line: set, shown, over in time; and what is left of them in the files, now and in copies of before.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod kit;

use kit::{Person, Server};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

fn friends(server: &Server) -> (Person, Person) {
    let (ada, ben) = (Person::with_password(server, "den", "ada"), Person::with_password(server, "den", "ben"));
    ada.run(&["send", "ben@den", "Hello"]).ok();
    ben.run(&["accept", &ben.request()]).ok();
    (ada, ben)
}

/// All files under a directory, with what is in them.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            // (What the server replaces in this moment has another name by now.)
            all.push((path, bytes));
        }
    }
    all
}

fn has(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|part| part == what.as_bytes())
}

fn is_text(text: &str) -> impl Fn(&Value) -> bool {
    move |line| line["type"] == "message" && line["message"]["text"] == text && !line["message"]["from"].is_null()
}

#[test]
fn it_is_set_and_shown_and_everybody_sees_that() {
    let server = Server::up();
    let (ada, ben) = friends(&server);
    let shown = ada.json(&["expiry", "ben@den"]).ok().result();
    assert_eq!(shown["conversation"]["expiry"], json!({"after_s": 365 * 86_400, "archive": false}));
    assert_eq!(shown["conversation"]["expiry_range_s"], json!([3_600, null]));
    let said = ada.run(&["expiry", "ben@den", "--set", "7d", "--archive", "true", "--existing"]).ok();
    assert!(said.stdout.contains("gone 7 d after"), "{said:?}");
    let notice = json!({"expiry": {"expiry": {"after_s": 604_800, "archive": true}}});
    let heard = ben
        .until(&["read", "ada@den"], |read| read.lines().into_iter().find(|line| !line["message"]["notice"].is_null()));
    assert_eq!(heard["message"]["notice"]["expiry"], notice["expiry"]["expiry"]);
    assert_eq!(heard["message"]["notice"]["existing"], true);
    assert_eq!(ben.json(&["expiry", "ada@den"]).ok().result()["conversation"]["expiry"]["archive"], true);
    for wrong in ["59m", "367d", "1x", "", "-1d", "99999999w"] {
        ada.run(&["expiry", "ben@den", &format!("--set={wrong}")]).with_code(2);
    }
    ada.run(&["send", "ben@den", "too short", "--after-reading", "4s"]).with_code(2);
    ada.run(&["send", "ben@den", "two timers", "--after-reading", "5s", "--once"]).with_code(2);
    ada.run(&["expiry", "nobody@den"]).with_code(5);

    ada.run(&["send", "ben@den", "for a moment", "--after-reading", "5s"]).ok();
    ben.until(&["read", "ada@den", "--keep-unread"], |read| read.stdout.contains("for a moment").then_some(()));
    let unread = ben.run(&["read", "ada@den", "--keep-unread"]).ok();
    assert!(unread.stdout.contains("for a moment  (gone 5 s after reading)"), "{unread:?}");

    // What is kept is kept, without the other's knowing.
    let message = ben.json(&["read", "ada@den"]).ok().lines()[0]["message"]["id"].as_str().unwrap().to_owned();
    ben.run(&["keep", "ada@den", &message]).ok();
    assert_eq!(ben.json(&["read", "ada@den"]).ok().lines()[0]["message"]["kept"], true);
    let archive = ben.json(&["archive"]).ok();
    assert_eq!(archive.lines()[0]["kept"]["message"]["id"], message.as_str());
    ben.run(&["keep", "ada@den", &message, "--no"]).ok();
    assert!(ben.run(&["archive"]).ok().stdout.contains("Nothing is kept"));
}

#[test]
fn nothing_is_left_of_what_is_over_nor_of_what_was_seen_once() {
    const SECRETS: [&str; 2] = ["SECRET-of-five-seconds", "SECRET-to-be-seen-once"];
    let server = Server::up();
    let (ada, ben) = friends(&server);
    let mut reader = ben.bot();
    reader.until(|line| line["state"] == "online");
    let mut writer = ada.bot();
    writer.until(|line| line["state"] == "online");
    let of = writer.ask(json!({"do": "conversations"}))["ok"]["conversations"][0]["id"].clone();
    writer.ask(json!({"do": "send", "to": of, "text": SECRETS[0], "after_reading_s": 5}));
    let heard = reader.until(is_text(SECRETS[0]));
    let conversation = heard["conversation"].clone();
    writer.ask(json!({"do": "send", "to": of, "text": SECRETS[1], "once": true}));
    let once = reader.until(|line| line["type"] == "message" && line["message"]["timer"] == "once");
    assert_eq!(once["message"]["text"], "", "it is not shown by the way");
    let (timed, once) = (heard["message"]["id"].clone(), once["message"]["id"].clone());

    // Copies of both homes and of the server, while all of it is there.
    assert_eq!((reader.finish().1, writer.finish().1), (0, 0));
    let copied: Vec<(PathBuf, Vec<u8>)> =
        [&ada.home, &ben.home, &server.data()].iter().flat_map(|dir| files(dir)).collect();
    for (path, bytes) in &copied {
        assert!(SECRETS.iter().all(|secret| !has(bytes, secret)), "{}", path.display());
    }

    let (mut reader, mut writer) = (ben.bot(), ada.bot());
    reader.until(|line| line["state"] == "online");
    writer.until(|line| line["state"] == "online");
    let seen = reader.ask(json!({"do": "open", "conversation": conversation, "message": once}));
    assert_eq!(seen["ok"]["messages"][0]["text"], SECRETS[1]);
    assert!(!reader.ask(json!({"do": "open", "conversation": conversation, "message": once}))["error"].is_null());
    reader.ask(json!({"do": "mark_read", "conversation": conversation}));
    let is_gone = |id: Value| move |line: &Value| line["type"] == "gone" && line["messages"][0] == id;
    reader.until(is_gone(timed.clone()));
    writer.until(is_gone(timed));
    assert_eq!(reader.finish().1, 0);
    assert_eq!(writer.finish().1, 0);

    for dir in [&ada.home, &ben.home, &server.data()] {
        for (path, bytes) in files(dir) {
            assert!(SECRETS.iter().all(|secret| !has(&bytes, secret)), "{}", path.display());
        }
    }
    // Who has the home of before, but for the page key (it was destroyed), and all that is there now, opens nothing of it.
    let page = std::fs::read(ben.home.join("rows.page")).unwrap();
    let page_before = copied.iter().find(|(path, _)| *path == ben.home.join("rows.page")).map(|(_, bytes)| bytes);
    assert_ne!(page_before, Some(&page));
    let thief = Person::new(&server, "thief");
    std::fs::create_dir_all(&thief.home).unwrap();
    for (path, bytes) in copied.iter().filter(|(path, _)| path.starts_with(&ben.home)) {
        let name = path.file_name().unwrap();
        std::fs::write(thief.home.join(name), if name == "rows.page" { &page } else { bytes }).unwrap();
    }
    assert_ne!(thief.run(&["status"]).code, 0);
    // The test can fail: with the page key of then it opens.
    std::fs::write(thief.home.join("rows.page"), page_before.unwrap()).unwrap();
    thief.run(&["status"]).ok();
}
