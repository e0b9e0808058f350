//! Several homes of one account: linked by a code, the same messages in both, named, and one taken away again.

#![allow(clippy::unwrap_used, reason = "a test")]

mod kit;

use kit::{Bot, Ended, Person, Server, end};
use serde_json::{Value, json};
use std::thread::JoinHandle;

/// `link` in a home of its own, under way.
fn link(server: &Server, person: &Person, code: &str, name: &str) -> JoinHandle<Ended> {
    let command = person.command(&["link", "--server", &server.url, "--code", code, "--name", name, "--json"]);
    std::thread::spawn(move || end(command))
}

/// The code that a bot's device shows.
fn code(bot: &mut Bot) -> String {
    bot.ask(json!({"do": "device_add"}))["ok"]["code"].as_str().unwrap().to_owned()
}

/// Another home of somebody whose bot runs; its bot and what it is called.
fn linked(server: &Server, bot: &mut Bot, name: &str) -> Person {
    let other = Person::new(server, name);
    let under_way = link(server, &other, &code(bot), name);
    let asked = bot.until(|line| line["type"] == "link_asked" || line["type"] == "link_ended");
    assert_eq!((&asked["type"], &asked["name"]), (&json!("link_asked"), &json!(name)));
    assert!(bot.ask(json!({"do": "device_confirm", "yes": true}))["error"].is_null());
    bot.until(|line| line["type"] == "history" && line["to"].is_string() && line["done"] == line["of"]);
    let ended = under_way.join().unwrap().ok();
    assert!(ended.lines().iter().any(|line| line["type"] == "history" && line["done"] == line["of"]), "{ended:?}");
    other
}

/// Names of an account's devices, this one first.
fn devices(person: &Person) -> Vec<String> {
    let listed = person.json(&["device", "list"]).ok().lines();
    let mut devices: Vec<Value> = listed.into_iter().map(|line| line["device"].clone()).collect();
    devices.sort_by_key(|device| device["this"] != true);
    devices.iter().map(|device| device["name"].as_str().unwrap().to_owned()).collect()
}

fn text_is<'a>(text: &'a str, from_me: bool) -> impl Fn(&Value) -> bool + 'a {
    move |line| {
        line["type"] == "message" && line["message"]["text"] == text && line["message"]["from"].is_null() == from_me
    }
}

#[test]
fn two_homes_of_one_account_hear_and_say_the_same() {
    let server = Server::up();
    let (maya, ned) = (Person::with_password(&server, "den", "maya"), Person::with_password(&server, "den", "ned"));
    ned.run(&["send", "maya@den", "Hello"]).ok();
    let with_ned = maya.request();
    maya.run(&["accept", &with_ned]).ok();
    maya.run(&["send", &with_ned, "Long ago"]).ok();
    maya.run(&["read"]).ok();
    let (mut maya, mut ned) = (maya.bot(), ned.bot());
    maya.until(|line| line["state"] == "online");
    ned.until(|line| line["state"] == "online");
    maya.ask(json!({"do": "put_draft", "conversation": with_ned, "text": "Half a sen"}));
    let kitchen = linked(&server, &mut maya, "Kitchen");

    // Conversation, history and draft are there.
    let mut kitchen = kitchen.bot();
    let ready = kitchen.until(|line| line["type"] == "ready");
    assert_eq!(ready["identities"][0]["address"], "maya@den");
    let found = kitchen.ask(json!({"do": "conversations"}))["ok"]["conversations"].clone();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let there = found[0]["id"].clone();
    let messages = kitchen.ask(json!({"do": "messages", "conversation": there}))["ok"]["messages"].clone();
    let texts: Vec<&str> = messages.as_array().unwrap().iter().map(|one| one["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Hello", "Long ago"]);
    assert_eq!(kitchen.ask(json!({"do": "drafts"}))["ok"]["drafts"][0]["text"], "Half a sen");

    // What one says is the other's, too, and one account's at the friend's.
    kitchen.ask(json!({"do": "send", "to": there, "text": "From the kitchen"}));
    maya.until(text_is("From the kitchen", true));
    let first = ned.until(text_is("From the kitchen", false));
    maya.ask(json!({"do": "send", "to": with_ned, "text": "From the desk"}));
    kitchen.until(text_is("From the desk", true));
    let second = ned.until(text_is("From the desk", false));
    assert_eq!(first["message"]["from"], second["message"]["from"]);

    // What one has read is read.
    ned.ask(json!({"do": "send", "to": first["conversation"], "text": "Which of you is it?"}));
    let unread =
        |count: u32| move |line: &Value| line["type"] == "conversation" && line["conversation"]["unread"] == count;
    maya.until(unread(1));
    kitchen.until(unread(1));
    maya.ask(json!({"do": "mark_read", "conversation": with_ned}));
    kitchen.until(unread(0));

    // Drafts follow.
    kitchen.ask(json!({"do": "put_draft", "conversation": there, "text": null}));
    maya.until(|line| line["type"] == "draft" && line["text"].is_null());
}

#[test]
fn a_code_works_for_one_try_and_only_with_a_yes() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    let mut bot = maya.bot();
    bot.until(|line| line["state"] == "online");
    let other = Person::new(&server, "other");
    let right = code(&mut bot);
    let (most, last) = right.split_at(right.len() - 1);
    let wrong = format!("{most}{}", if last == "7" { "3" } else { "7" });

    let ended = link(&server, &other, &wrong, "Other").join().unwrap();
    assert_ne!(ended.code, 0, "{ended:?}");
    assert_eq!(bot.until(|line| line["type"] == "link_ended")["why"], "wrong_code");
    assert_ne!(link(&server, &other, &right, "Other").join().unwrap().code, 0, "the right one is void, too");

    let under_way = link(&server, &other, &code(&mut bot), "Other");
    bot.until(|line| line["type"] == "link_asked");
    assert!(bot.ask(json!({"do": "device_confirm", "yes": false}))["error"].is_null());
    assert_ne!(under_way.join().unwrap().code, 0);

    let cancelled = code(&mut bot);
    bot.ask(json!({"do": "device_cancel"}));
    assert_ne!(link(&server, &other, &cancelled, "Other").join().unwrap().code, 0);
    other.run(&["whoami"]).with_code(9);
    assert_eq!(bot.ask(json!({"do": "devices"}))["ok"]["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn devices_are_added_named_and_removed_on_the_command_line() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    maya.run(&["device", "rename", "Desk"]).ok();
    assert_eq!(devices(&maya), ["Desk"]);
    assert!(maya.run(&["device", "add"]).with_code(3).stderr.contains("--yes"));

    // One process shows the code, another one uses it.
    let kitchen = Person::new(&server, "kitchen");
    let mut add = maya.command(&["device", "add", "--yes", "--json"]);
    let mut adding = add.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(adding.stdout.take().unwrap()));
    let shown: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    assert_eq!(shown["type"], "link_code");
    let spaced: Vec<char> = shown["code"].as_str().unwrap().chars().filter(char::is_ascii_digit).collect();
    assert_eq!(spaced.len(), 12);
    let spaced = spaced.chunks(3).map(String::from_iter).collect::<Vec<_>>().join(" ");
    link(&server, &kitchen, &spaced, "Kitchen").join().unwrap().ok();
    let told: Vec<Value> = lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(told.iter().any(|line| line["type"] == "result" && line["ok"]["name"] == "Kitchen"), "{told:#?}");
    assert!(adding.wait().unwrap().success());

    assert_eq!(devices(&maya), ["Desk", "Kitchen"]);
    assert_eq!(devices(&kitchen), ["Kitchen", "Desk"]);
    kitchen.run(&["link", "--code", &spaced, "--name", "Again"]).with_code(2);
    kitchen.run(&["device", "rename", "Pantry"]).ok();
    maya.until(&["device", "list"], |listed| {
        listed.lines().iter().any(|line| line["device"]["name"] == "Pantry").then_some(())
    });
    assert!(maya.run(&["device", "remove", "Pantry"]).with_code(3).stderr.contains("--yes"));
    maya.run(&["device", "remove", "Attic", "--yes"]).with_code(5);
    maya.run(&["device", "remove", "Pantry", "--yes"]).ok();
    assert_eq!(devices(&maya), ["Desk"]);
    assert_ne!(kitchen.run(&["send", "maya@den", "Still here?"]).code, 0);

    // Of two, this one can go; its home goes with it.
    let mut bot = maya.bot();
    bot.until(|line| line["state"] == "online");
    let cellar = linked(&server, &mut bot, "Cellar");
    cellar.run(&["device", "remove", "Cellar", "--yes"]).ok();
    cellar.run(&["whoami"]).with_code(9);
    assert!(!cellar.home.join("rows.db").exists());
}
