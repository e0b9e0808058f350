//! Groups on the command line, across apps: made, talked in, people added, removed, one leaves.

#![allow(clippy::unwrap_used, reason = "a test")]

mod kit;

use kit::{Person, Server};
use serde_json::Value;

/// The first writes to the second, who lets them in; gives the conversation's id on the second one's device.
fn befriend(one: &Person, address: &str, other: &Person, from: &str) -> String {
    other.run(&["reach", "set", "--from", from, "ask"]).ok();
    one.run(&["send", address, "Hello"]).ok();
    let request = other.request();
    other.run(&["accept", &request]).ok();
    one.until(&["conversations"], |c| of(c.lines(), address).filter(|c| c["state"] == "open").map(drop));
    request
}

/// The conversation with this title or address.
fn of(lines: Vec<Value>, title: &str) -> Option<Value> {
    let shown = lines.into_iter().map(|line| line["conversation"].clone());
    let fits = |c: &Value| c["title"] == title || c["members"][0]["address"] == title && c["group"] == false;
    shown.into_iter().find(fits)
}

/// Waits until a person sees the group with so many others.
fn until_others(person: &Person, count: usize) {
    person.until(&["conversations"], |c| {
        let group = of(c.lines(), "Choir")?;
        (group["state"] == "open" && group["members"].as_array()?.len() == count).then_some(())
    });
}

fn until_read(person: &Person, text: &str) {
    person.until(&["read", "Choir"], |read| {
        read.lines()
            .iter()
            .any(|line| line["message"]["text"] == text && !line["message"]["from"].is_null())
            .then_some(())
    });
}

#[test]
fn a_group_across_apps_is_made_grows_shrinks_and_talks() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    let sam = Person::with_number(&server, "sam", "+15550100100");
    let noor = Person::with_password(&server, "porch", "noor");
    befriend(&maya, "+15550100100@bell", &sam, "den");
    // Noor asks Maya: she is in a group only with whom she knows.
    befriend(&noor, "maya@den", &maya, "porch");

    let made = maya.json(&["group", "create", "Choir", "+15550100100@bell"]).ok().result();
    assert_eq!(made["conversation"]["group"], true);
    until_others(&sam, 1);
    sam.run(&["send", "Choir", "Who sings?"]).ok();
    until_read(&maya, "Who sings?");

    maya.run(&["group", "add", "Choir", "@noor@porch"]).ok();
    for person in [&maya, &sam, &noor] {
        until_others(person, 2);
    }
    noor.run(&["send", "Choir", "I do"]).ok();
    until_read(&maya, "I do");
    until_read(&sam, "I do");
    assert!(!noor.read("Choir").contains(&"Who sings?".to_owned()), "said before she came");

    // Sam, a member, puts it into attributed mode; all see it, go on talking, and Maya ends it.
    let made = sam.json(&["group", "attributed", "Choir", "on"]).ok().result();
    assert_eq!(made["conversation"]["rules"]["attributed"], true);
    maya.until(&["conversations"], |c| (of(c.lines(), "Choir")?["rules"]["attributed"] == true).then_some(()));
    maya.until(&["read", "Choir"], |read| {
        read.lines().iter().any(|line| line["message"]["notice"]["attributed"] == true).then_some(())
    });
    noor.run(&["send", "Choir", "Signed"]).ok();
    until_read(&sam, "Signed");
    let refused = sam.json(&["group", "attributed", "Choir", "off"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    maya.run(&["group", "attributed", "Choir", "off"]).ok();

    // Only admins write, for a while; Noor becomes one.
    let refused = sam.json(&["group", "rules", "Choir", "--write", "admins"]);
    assert_ne!(refused.code, 0, "{refused:?}");
    maya.run(&["group", "rules", "Choir", "--write", "admins"]).ok();
    let made = maya.json(&["group", "role", "Choir", "@noor@porch", "admin"]).ok().result();
    assert_eq!(made["conversation"]["rules"]["write"], "admins");
    let ruled = |person: &Person, role: &str| {
        person.until(&["conversations"], |c| (of(c.lines(), "Choir")?["role"] == role).then_some(()));
    };
    ruled(&noor, "admin");
    ruled(&sam, "member");
    sam.until(&["conversations"], |c| (of(c.lines(), "Choir")?["rules"]["write"] == "admins").then_some(()));
    assert_ne!(sam.run(&["send", "Choir", "May I?"]).code, 0);
    noor.run(&["send", "Choir", "Rehearsal at eight"]).ok();
    until_read(&sam, "Rehearsal at eight");
    maya.run(&["group", "rules", "Choir", "--write", "everyone"]).ok();
    noor.run(&["group", "rename", "Choir", "Singers"]).ok();
    sam.until(&["conversations"], |c| of(c.lines(), "Singers").map(drop));
    let shown = sam.run(&["group", "show", "Singers"]).ok();
    assert!(shown.stdout.contains("maya@den  owner"), "{}", shown.stdout);
    sam.run(&["group", "rename", "Singers", "Choir"]).ok();
    for person in [&maya, &noor] {
        person.until(&["conversations"], |c| of(c.lines(), "Choir").map(drop));
    }

    // Sam may not remove Maya, who made the group; she may remove him.
    let refused = sam.json(&["group", "remove", "Choir", &account(&maya)]);
    assert_ne!(refused.code, 0, "{refused:?}");
    maya.run(&["group", "remove", "Choir", "+15550100100@bell"]).ok();
    sam.until(&["conversations"], |c| (of(c.lines(), "Choir")?["state"] == "closed").then_some(()));
    until_others(&noor, 1);
    sam.run(&["send", "Choir", "Hey!"]).with_code(5);

    noor.run(&["group", "leave", "Choir"]).ok();
    noor.run(&["send", "Choir", "Anybody?"]).with_code(5);
    until_others(&maya, 0);
    maya.run(&["send", "Choir", "Alone"]).ok();
    assert!(!noor.json(&["read", "Choir"]).ok().stdout.contains("Alone"));
}

/// The account, as members are shown.
fn account(person: &Person) -> String {
    person.json(&["whoami"]).ok().result()["identities"][0]["account"].as_str().unwrap().to_owned()
}

#[test]
fn who_is_no_contact_is_asked_into_a_group_or_joins_by_a_link() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    let sam = Person::with_number(&server, "sam", "+15550100100");
    let noor = Person::with_password(&server, "porch", "noor");
    let omar = Person::with_password(&server, "den", "omar");
    sam.run(&["reach", "set", "--from", "den", "ask"]).ok();
    let made = maya.run(&["group", "create", "Choir", "+15550100100@bell"]).ok();
    assert!(made.stdout.contains("asked: comes in by accepting"), "{}", made.stdout);
    let shown = maya.run(&["group", "show", "Choir"]).ok();
    assert!(shown.stdout.contains("asked, not in yet"), "{}", shown.stdout);
    assert_ne!(maya.run(&["group", "add", "Choir", "nobody@den"]).code, 0);

    // Sam is asked, sees what for, and comes in when Maya's device is there.
    let asked =
        sam.until(&["requests", "--show"], |r| (!r.lines().is_empty()).then(|| r.lines()[0]["request"].clone()));
    assert_eq!((asked["group"].as_str(), asked["text"].as_str()), (Some("Choir"), None));
    let listed = sam.run(&["requests"]).ok().stdout;
    assert!(
        listed.contains("invites to a group") && !listed.contains("Choir"),
        "nothing of hers before the choice: {listed}"
    );
    sam.run(&["accept", &sam.request()]).ok();
    maya.until(&["conversations"], |c| (of(c.lines(), "Choir")?["members"].as_array()?.len() == 1).then_some(()));
    until_others(&sam, 1);

    // Noor joins by a link, at once.
    let link = maya.json(&["group", "link", "Choir", "--uses", "2"]).ok().result()["link"]["link"].clone();
    let joined = noor.json(&["group", "join", link.as_str().unwrap()]).ok();
    maya.run(&["conversations"]).ok();
    noor.until(&["conversations"], |c| (of(c.lines(), "Choir")?["members"].as_array()?.len() == 2).then_some(()));
    assert_eq!(noor.json(&["conversations"]).ok().lines().len(), 1, "{joined:?}");
    assert!(noor.json(&["group", "joining"]).ok().lines().is_empty());

    // Omar with approval.
    maya.run(&["group", "unlink", "Choir"]).ok();
    assert_ne!(omar.run(&["group", "join", link.as_str().unwrap()]).code, 0, "revoked");
    let link = maya.json(&["group", "link", "Choir", "--approve"]).ok().result()["link"]["link"].clone();
    let asked = omar.run(&["group", "join", link.as_str().unwrap()]).ok();
    assert!(asked.stdout.starts_with("Asked."), "{}", asked.stdout);
    assert_eq!(omar.json(&["group", "joining"]).ok().lines().len(), 1);
    let request = maya.request();
    assert!(maya.run(&["requests"]).ok().stdout.contains("asks to join"));
    maya.run(&["accept", &request]).ok();
    until_others(&omar, 3);
    assert!(maya.json(&["group", "links", "Choir"]).ok().lines().is_empty(), "used up");
    omar.run(&["send", "Choir", "Here I am"]).ok();
    until_read(&sam, "Here I am");
}
