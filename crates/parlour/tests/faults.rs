//! Without a network, with a restarted server, with a killed client: nothing is lost, nothing comes twice.

mod kit;

use kit::{Person, Server};
use serde_json::json;

/// Two people on Den who have met; gives the conversation's id on the second one's device.
fn friends(server: &Server) -> (Person, Person, String) {
    let (ana, ben) = (Person::with_password(server, "den", "ana"), Person::with_password(server, "den", "ben"));
    ana.run(&["send", "ben@den", "Hello"]).ok();
    let request = ben.request();
    ben.run(&["accept", &request]).ok();
    ana.until(&["conversations"], |c| (c.lines()[0]["conversation"]["state"] == "open").then_some(()));
    (ana, ben, request)
}

#[test]
fn what_is_written_offline_goes_with_the_next_command_that_connects() {
    let mut server = Server::up();
    let (ana, ben, conversation) = friends(&server);
    assert_eq!(server.stop(), 0);
    let sent = ana.json(&["send", "ben@den", "written offline"]).with_code(4);
    assert_eq!((sent.result()["state"].as_str(), sent.error()["code"].as_str()), (Some("queued"), Some("queued")));
    assert_eq!(ana.json(&["status"]).ok().result()["queued"], 1);
    let read = ana.json(&["read", "ben@den"]).with_code(4);
    assert!(read.stdout.contains("written offline") && read.stdout.contains("\"queued\""), "{read:?}");

    server.start_again();
    ana.run(&["read"]).ok();
    ben.until(&["read", &conversation], |read| read.stdout.contains("written offline").then_some(()));
    assert_eq!(ben.read(&conversation), ["Hello", "written offline"]);
    assert_eq!(ana.json(&["status"]).ok().result()["queued"], 0);
}

#[test]
fn no_wait_stores_and_ends_at_once() {
    let server = Server::up();
    let (ana, ben, conversation) = friends(&server);
    let sent = ana.json(&["send", "--no-wait", "ben@den", "later"]).ok().result();
    assert_eq!(sent["state"], "queued");
    assert_eq!(ben.read(&conversation), ["Hello"]);
    ana.run(&["read"]).ok();
    ben.until(&["read", &conversation], |read| read.stdout.contains("later").then_some(()));
}

#[test]
fn who_wrote_offline_to_nobody_is_told_later_and_why() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    ana.run(&["send", "--no-wait", "nobody@den", "hello?"]).ok();
    let read = ana.run(&["read"]).ok();
    assert!(read.stderr.contains("could not be sent") && read.stderr.contains("nobody there"), "{read:?}");

    ana.run(&["send", "--no-wait", "nobody@den", "hello?"]).ok();
    let mut bot = ana.bot();
    let told = bot.until(|line| line["type"] == "not_sent");
    assert_eq!(
        (told["error"]["code"].as_str(), told["messages"].as_array().map(Vec::len)),
        (Some("not_reachable"), Some(1))
    );
    assert_eq!(bot.finish().1, 0);
    assert_eq!(ana.json(&["status"]).ok().result()["queued"], 0);
}

#[test]
fn a_bot_reconnects_when_the_server_is_back() {
    let mut server = Server::up();
    let (ana, ben, conversation) = friends(&server);
    let mut bot = ana.bot();
    bot.until(|line| line["state"] == "online");
    assert_eq!(server.stop(), 0);
    bot.until(|line| line["type"] == "connection" && line["state"] == "waiting");
    let queued = bot.ask(json!({"do": "send", "to": "ben@den", "text": "through the storm"}))["ok"]["message"].clone();
    server.start_again();
    bot.until(|line| line["message"]["id"] == queued && line["message"]["state"] != "queued");
    assert_eq!(bot.finish().1, 0);
    assert_eq!(ben.read(&conversation), ["Hello", "through the storm"]);
}

#[test]
fn a_killed_client_loses_nothing_it_was_told_is_queued_and_sends_nothing_twice() {
    let server = Server::up();
    let (ana, ben, conversation) = friends(&server);
    let mut expected = vec!["Hello".to_owned()];
    for round in 0..8 {
        let mut bot = ana.bot();
        bot.until(|line| line["type"] == "ready");
        for number in 0..=round {
            let text = format!("round {round} number {number}");
            let sent = bot.ask(json!({"do": "send", "to": "ben@den", "text": text}));
            assert!(sent["error"].is_null(), "{sent}");
            expected.push(text);
        }
        bot.kill();
    }
    ana.run(&["read"]).ok();
    ben.until(&["read", &conversation, "--limit", "500"], |read| {
        read.stdout.contains(expected.last()?.as_str()).then_some(())
    });
    assert_eq!(ben.read(&conversation), expected);
}
