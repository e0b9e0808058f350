//! All homes are lost: the recovery key brings back what was said, or not, as was chosen.

#![allow(clippy::unwrap_used, reason = "a test")]

mod kit;

use kit::{Person, Server};
use serde_json::json;

#[test]
fn what_was_said_comes_back_by_the_recovery_key_as_was_chosen() {
    let server = Server::up();
    let (maya, ned) = (Person::new(&server, "maya"), Person::with_password(&server, "den", "ned"));
    let password = maya.password_file(&server, "maya");
    let key = server.dir.path().join("recovery");
    let key = key.to_str().unwrap();
    let proof = ["--server", &server.url, "--app", "den", "--handle", "maya", "--password-file", &password];
    maya.run(&[&["sign-up"], &proof[..], &["--recovery-key-file", key]].concat()).ok();
    maya.run(&["send", "ned@den", "May I?"]).ok();
    ned.run(&["accept", &ned.request()]).ok();
    ned.run(&["send", "maya@den", "You may"]).ok();
    maya.run(&["read"]).ok();

    // Shown, changed, and refused where it makes no sense.
    let show = || maya.json(&["backup", "show"]).ok().result();
    let shown = show();
    assert_eq!((&shown["history"], &shown["here"]), (&json!("30d"), &json!(true)), "{shown}");
    maya.run(&["backup", "set", "--history", "sometimes"]).with_code(2);
    maya.run(&["backup", "set", "--history", "off"]).ok();
    let shown = maya.until(&["backup", "show"], |ended| {
        let shown = ended.result();
        (shown["complete"] == true).then_some(shown)
    });
    assert_eq!((&shown["history"], &shown["messages"]), (&json!("off"), &json!(0)), "{shown}");
    let set = maya.json(&["backup", "set", "--history", "all"]).ok();
    assert_eq!(set.result()["history"], "all");
    maya.until(&["backup", "show"], |ended| (ended.result()["complete"] == true).then_some(()));
    // One command and no other: it sends what the backup lacks before it ends.
    maya.run(&["send", "ned@den", "Last words"]).ok();

    std::fs::remove_dir_all(&maya.home).unwrap();
    let second = Person::new(&server, "second");
    second.run(&[&["sign-in"], &proof[..], &["--recovery-key-file", key]].concat()).ok();
    second.until(&["read", "ned@den"], |ended| {
        ["May I?", "You may", "Last words"].iter().all(|text| ended.stdout.contains(text)).then_some(())
    });
}
