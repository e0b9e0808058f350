//! Homes and exit codes: what scripts rely on.

mod kit;

use kit::{Person, Server, end, parlour};

#[test]
fn wrong_usage_is_2_and_no_home_is_9() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Person { home: dir.path().join("none") };
    assert!(nobody.run(&["whoami"]).with_code(9).stderr.contains("sign up or sign in first"));
    assert_eq!(nobody.json(&["whoami"]).with_code(9).error()["code"], "not_signed_in");
    nobody.run(&["fly"]).with_code(2);
    nobody.run(&["send", "--invite", "x", "y", "z"]).with_code(9);
    nobody.run(&["sign-up", "--app", "den", "--handle", "x"]).with_code(2);
    assert!(!dir.path().join("none/rows.db").exists());
}

#[test]
fn a_server_that_is_not_there_is_4() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = Person { home: dir.path().join("home") };
    let sign_up = ["sign-up", "--server", "http://127.0.0.1:1", "--app", "den", "--handle", "x"];
    let ended = nobody.json(&sign_up).with_code(4);
    assert_eq!(ended.error()["code"], "offline");
    let wrong = nobody.run(&["sign-up", "--server", "nonsense", "--app", "den", "--handle", "x"]).with_code(2);
    assert!(wrong.stderr.contains("http://host:port"), "{wrong:?}");
}

#[test]
fn a_password_app_without_password_and_terminal_is_3_and_an_unknown_app_is_5() {
    let server = Server::up();
    let somebody = Person::new(&server, "somebody");
    let sign_up = |app| ["sign-up", "--server", &server.url, "--app", app, "--handle", "somebody"];
    assert!(somebody.run(&sign_up("den")).with_code(3).stderr.contains("--password-file"));
    assert!(somebody.run(&sign_up("attic")).with_code(5).stderr.contains("bell"));
    somebody.run(&["whoami"]).with_code(9);
}

#[test]
fn a_wrong_code_is_8() {
    let server = Server::up();
    let sam = Person::new(&server, "sam");
    let sign_up = ["sign-up", "--server", &server.url, "--app", "bell", "--handle", "+15550100111"];
    sam.run(&sign_up).with_code(3);
    let wrong = if server.code("+15550100111") == "000000" { "000001" } else { "000000" };
    let ended = sam.json(&[&sign_up[..], &["--code", wrong]].concat()).with_code(8);
    assert_eq!(ended.error()["problem"], "not_authenticated");
}

#[test]
fn a_taken_handle_is_6_and_says_so() {
    let server = Server::up();
    let _maya = Person::with_password(&server, "den", "maya");
    let second = Person::new(&server, "second");
    let file = second.password_file(&server, "second");
    let sign_up = ["sign-up", "--server", &server.url, "--app", "den", "--handle", "maya", "--password-file", &file];
    assert_eq!(second.json(&sign_up).with_code(6).error()["problem"], "handle_taken");
}

#[test]
fn a_home_with_a_passphrase_opens_only_with_it() {
    let server = Server::up();
    let maya = Person::new(&server, "maya");
    let password = maya.password_file(&server, "maya");
    let passphrase = maya.password_file(&server, "home");
    let wrong = maya.password_file(&server, "wrong");
    let sign_up =
        ["sign-up", "--server", &server.url, "--app", "den", "--handle", "maya", "--password-file", &password];
    maya.run(&[&sign_up[..], &["--passphrase-file", &passphrase]].concat()).ok();
    maya.run(&["whoami", "--passphrase-file", &passphrase]).ok();
    let ended = maya.json(&["whoami", "--passphrase-file", &wrong]).with_code(8);
    assert_eq!(ended.error()["code"], "wrong_passphrase");
    maya.run(&["whoami"]).with_code(3);
    assert!(!maya.home.join("key").exists());
}

#[test]
fn a_home_in_use_says_by_what() {
    let server = Server::up();
    let maya = Person::with_password(&server, "den", "maya");
    let mut bot = maya.bot();
    bot.until(|line| line["type"] == "ready");
    let ended = maya.json(&["whoami"]).with_code(7);
    assert_eq!(ended.error()["code"], "home_in_use");
    assert!(ended.stderr.contains("parlour client run"), "{ended:?}");
    assert_eq!(bot.finish().1, 0);
    maya.run(&["whoami"]).ok();
}

#[test]
fn a_recovery_key_signs_another_device_in() {
    let server = Server::up();
    let maya = Person::new(&server, "maya");
    let password = maya.password_file(&server, "maya");
    let key = server.dir.path().join("recovery");
    let key = key.to_str().unwrap();
    let proof = ["--server", &server.url, "--app", "den", "--handle", "maya", "--password-file", &password];
    let ended = maya.json(&[&["sign-up"], &proof[..], &["--recovery-key-file", key]].concat()).ok();
    assert!(ended.result().get("recovery_key").is_none());
    assert_eq!(std::fs::read_to_string(key).unwrap().split_whitespace().count(), 24);

    let second = Person::new(&server, "second");
    second.run(&[&["sign-in"], &proof[..], &["--recovery-key-file", key]].concat()).ok();
    assert_eq!(second.address(), "maya@den");
}

#[test]
fn help_teaches() {
    let mut command = parlour();
    command.args(["client", "--help"]);
    let help = end(command).ok().stdout;
    for word in ["sign-up", "send alice@den", "PARLOUR_HOME", "run --json", "Exit codes"] {
        assert!(help.contains(word), "{word}: {help}");
    }
}
