//! `run --json`: two bots talk; what is malformed is refused with its id; the end of stdin finishes.

mod kit;

use kit::{Person, Server};
use serde_json::json;

#[test]
fn two_bots_talk_by_json_lines() {
    let server = Server::up();
    let (ana, ben) = (Person::with_password(&server, "den", "ana"), Person::with_password(&server, "porch", "ben"));
    let (mut ana, mut ben) = (ana.bot(), ben.bot());
    let ready = ana.until(|line| line["type"] == "ready");
    assert_eq!((&ready["schema"], &ready["identities"][0]["address"]), (&json!(1), &json!("ana@den")));
    ana.until(|line| line["type"] == "connection" && line["state"] == "online");

    let reach = ana.ask(json!({"do": "set_reach", "from": "porch", "rule": "ask"}));
    assert_eq!(reach["ok"]["reach"]["porch"], "ask");
    let sent = ben.ask(json!({"do": "send", "to": "ana@den", "text": "Hello"}));
    assert!(sent["ok"]["message"].is_string(), "{sent}");

    let request = ana.until(|line| line["type"] == "request")["request"]["id"].clone();
    ana.ask(json!({"do": "accept", "request": request}));
    for number in 0..10 {
        let text = format!("number {number}");
        ana.ask(json!({"do": "send", "to": request, "text": text}));
        let got = ben.until(|line| line["type"] == "message" && line["message"]["text"] == text.as_str());
        assert_eq!(got["message"]["state"], "received");
        let back = ben.ask(json!({"do": "send", "to": got["conversation"], "text": format!("re: {text}")}));
        assert!(back["error"].is_null(), "{back}");
        ana.until(|line| line["message"]["text"] == format!("re: {text}").as_str());
    }
    let messages = ana.ask(json!({"do": "messages", "conversation": request, "limit": 100}));
    assert_eq!(messages["ok"]["messages"].as_array().unwrap().len(), 21);

    ben.ask(json!({"do": "typing", "conversation": "ana@den", "typing": true}));
    let writes = ana.until(|line| line["type"] == "typing");
    assert_eq!((&writes["conversation"], &writes["typing"]), (&request, &json!(true)));
    ben.ask(json!({"do": "typing", "conversation": "ana@den", "typing": false}));
    assert_eq!(ana.until(|line| line["type"] == "typing")["typing"], false);

    for bot in [ana, ben] {
        let (rest, code) = bot.finish();
        assert_eq!(code, 0);
        assert_eq!(rest.last().unwrap(), &json!({"type": "bye", "queued": 0}));
    }
}

#[test]
fn what_is_no_command_is_refused_and_the_next_one_works() {
    let server = Server::up();
    let mut bot = Person::with_password(&server, "den", "ana").bot();
    bot.until(|line| line["state"] == "online");
    bot.tell("this is not JSON");
    let refused = bot.until(|line| line["type"] == "result");
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(null), &json!("bad_input")));
    assert_eq!(bot.ask(json!({"do": "fly"}))["error"]["code"], "bad_input");
    assert_eq!(bot.ask(json!({"do": "accept", "request": "abcd"}))["error"]["code"], "not_found");
    assert_eq!(bot.ask(json!({"do": "send", "to": "nobody@den", "text": "?"}))["error"]["code"], "not_reachable");
    assert_eq!(bot.ask(json!({"do": "status"}))["ok"]["queued"], 0);
    assert_eq!(bot.finish().1, 0);
}

#[test]
fn commands_before_the_end_of_stdin_are_finished() {
    let server = Server::up();
    let (ana, ben) = (Person::with_password(&server, "den", "ana"), Person::with_password(&server, "den", "ben"));
    ana.run(&["send", "ben@den", "Hello"]).ok();
    ben.run(&["accept", &ben.request()]).ok();
    ana.until(&["conversations"], |c| (c.lines()[0]["conversation"]["state"] == "open").then_some(()));
    let mut bot = ana.bot();
    for number in 0..20 {
        bot.tell(&json!({"id": number, "do": "send", "to": "ben@den", "text": format!("line {number}")}).to_string());
    }
    let (rest, code) = bot.finish();
    assert_eq!(code, 0, "{rest:#?}");
    let texts = ben.until(&["conversations"], |c| Some(c.lines()[0]["conversation"]["id"].as_str()?.to_owned()));
    let expected: Vec<String> =
        std::iter::once("Hello".to_owned()).chain((0..20).map(|n| format!("line {n}"))).collect();
    assert_eq!(ben.read(&texts), expected);
}
