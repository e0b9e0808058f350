//! From one app to another, on the command line: the whole way of a newcomer.

mod kit;

use kit::{Person, Server};
use serde_json::json;

#[test]
fn bell_asks_den_accepts_and_they_talk() {
    let server = Server::up();
    let sam = Person::with_number(&server, "sam", "+15550100100");
    let maya = Person::with_password(&server, "den", "maya");
    assert_eq!(maya.address(), "maya@den");

    // Den does not know Bell until Maya turns it on; nobody answers as somebody who is not there.
    let closed = sam.json(&["send", "maya@den", "Hello?"]).with_code(5);
    let nobody = sam.json(&["send", "nobody@den", "Hello?"]).with_code(5);
    assert_eq!(closed.error()["code"], "not_reachable");
    assert_eq!(closed.error(), nobody.error());

    let reach = maya.json(&["reach", "set", "--from", "bell", "ask"]).ok().result();
    assert_eq!(reach["reach"]["bell"], "ask");
    let sent = sam.json(&["send", "maya@den", "Hello, Maya"]).ok().result();
    assert_eq!(sent["state"], "sent");

    let request = maya.request();
    maya.run(&["accept", &request[..8]]).ok();
    assert_eq!(maya.read(&request[..8]), ["Hello, Maya"]);
    maya.run(&["send", &request[..8], "Hello, Sam"]).ok();
    sam.until(&["read", "maya@den"], |read| read.stdout.contains("Hello, Sam").then_some(()));

    // The same digits on both sides.
    let mine = sam.json(&["verify", "maya@den"]).ok().result()["digits"].clone();
    let hers = maya.json(&["verify", &request[..8]]).ok().result()["digits"].clone();
    assert_eq!(mine, hers);
    assert_eq!(mine.as_str().unwrap().chars().filter(char::is_ascii_digit).count(), 60);
    let shown = sam.run(&["verify", "maya@den"]).ok().stdout;
    assert!(shown.contains('▀') || shown.contains('█'), "{shown}");
}

#[test]
fn an_invite_reaches_whom_nobody_else_reaches() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    let noor = Person::with_password(&server, "porch", "noor");
    let invite = maya.json(&["invite", "--days", "2"]).ok().result()["invite"].as_str().unwrap().to_owned();
    // Porch is off for Maya: an invite alone does not turn it on.
    noor.run(&["send", "--invite", &invite, "I saw your poster"]).with_code(5);
    maya.run(&["reach", "set", "--from", "porch", "invite"]).ok();
    noor.run(&["send", "noone@den", "I saw your poster"]).with_code(5);
    noor.run(&["send", "maya@den", "I saw your poster"]).with_code(5);
    noor.run(&["send", "--invite", &invite, "I saw your poster"]).ok();
    let request = maya.request();
    let asked = maya.json(&["requests"]).ok().lines()[0]["request"].clone();
    assert!(asked["from"].as_str().unwrap().starts_with("porch/"), "{asked}");
    maya.run(&["accept", &request]).ok();
    assert_eq!(maya.read(&request), ["I saw your poster"]);
    // It was for one use.
    let late = Person::with_password(&server, "porch", "late");
    late.run(&["send", "--invite", &invite, "Me too"]).with_code(5);
}

#[test]
fn edits_reactions_and_deletions_arrive() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    let ben = Person::with_password(&server, "den", "ben");
    let sent = ana.json(&["send", "ben@den", "teh first"]).ok().result();
    let message = sent["message"].as_str().unwrap();
    let request = ben.request();
    ben.run(&["accept", &request]).ok();
    ana.until(&["conversations"], |c| (c.lines()[0]["conversation"]["state"] == "open").then_some(()));
    ana.run(&["edit", "ben@den", &message[..8], "the first"]).ok();
    ben.until(&["read", &request], |read| {
        read.lines()
            .iter()
            .any(|l| l["message"]["text"] == "the first" && l["message"]["edited"] == json!(true))
            .then_some(())
    });
    ben.run(&["react", &request, &message[..8], "👍"]).ok();
    ana.until(&["read", "ben@den"], |read| {
        read.lines().iter().any(|l| l["message"]["reactions"][0]["emoji"] == "👍").then_some(())
    });
    ana.run(&["delete", "ben@den", message]).ok();
    ben.until(&["read", &request], |read| {
        read.lines().iter().any(|l| l["message"]["deleted"] == json!(true)).then_some(())
    });
}

#[test]
fn a_declined_stranger_learns_nothing_and_a_blocked_one_finds_nobody() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    let ben = Person::with_password(&server, "den", "ben");
    let eve = Person::with_password(&server, "den", "eve");
    ana.run(&["send", "ben@den", "Hello"]).ok();
    ben.run(&["decline", &ben.request()]).ok();
    assert!(ben.json(&["requests"]).ok().lines().is_empty());
    assert_eq!(ana.json(&["conversations"]).ok().lines()[0]["conversation"]["state"], "asked");

    eve.run(&["send", "ben@den", "Hello"]).ok();
    ben.run(&["block", &ben.request()]).ok();
    // To Eve nothing has changed: her next message waits for an acceptance that does not come.
    assert_eq!(eve.json(&["send", "ben@den", "Hello?"]).ok().result()["state"], "asked");
    assert!(ben.json(&["requests"]).ok().lines().is_empty());
}

#[test]
fn a_deleted_account_leaves_no_home_and_its_handle_is_nobody() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    let ben = Person::with_password(&server, "den", "ben");
    ben.run(&["delete-account"]).with_code(3);
    ben.run(&["delete-account", "--yes"]).ok();
    assert!(!ben.home.exists());
    ben.run(&["whoami"]).with_code(9);
    ana.run(&["send", "ben@den", "Still there?"]).with_code(5);
}
