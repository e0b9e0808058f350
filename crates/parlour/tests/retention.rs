//! Lifetimes, as an operator chooses and audits them: what is shortened holds, what is not declared is seen.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod kit;

use kit::{Ended, Person, Server, end, parlour};
use rusqlite::Connection;

fn audit(server: &Server) -> Ended {
    let mut command = parlour();
    command.args(["audit", "--json", "--data"]).arg(server.data());
    end(command)
}

/// Writes into the database of a server that is stopped.
fn write(server: &Server, sql: &str) {
    Connection::open(server.data().join("store.db")).unwrap().execute_batch(sql).unwrap();
}

fn configure(server: &Server, section: &str) {
    let path = server.data().join("parlour.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("[[app]]", &format!("{section}\n\n[[app]]"), 1)).unwrap();
}

#[test]
fn audit_sees_what_is_not_declared_and_what_lives_too_long() {
    let mut server = Server::up();
    let _ana = Person::with_password(&server, "den", "ana");
    assert_eq!(server.stop(), 0);
    audit(&server).ok();

    write(&server, "INSERT INTO row(part, key, kind, written, data) VALUES (x'00', x'00', 99, 1, x'00')");
    let ended = audit(&server).with_code(1);
    assert!(ended.stderr.contains("not declared"), "{ended:?}");
    assert!(ended.lines().iter().any(|line| line["name"] == "UNDECLARED" && line["rows"] == 1));
    write(&server, "UPDATE row SET kind = 4711 WHERE kind = 99");
    audit(&server).with_code(1);
    write(&server, "DELETE FROM row WHERE kind = 4711");
    audit(&server).ok();

    write(&server, "CREATE TABLE request_log(address TEXT)");
    let ended = audit(&server).with_code(1);
    assert!(ended.stderr.contains("request_log"), "{ended:?}");
    write(&server, "DROP TABLE request_log");

    // A key package lives 90 days: one without an end, and one with a later end.
    write(&server, "UPDATE row SET expires = NULL WHERE kind = 14");
    let ended = audit(&server).with_code(1);
    assert!(ended.stderr.contains("\"key package\" live longer"), "{ended:?}");
    write(&server, "UPDATE row SET expires = (written + 92) * 86400 WHERE kind = 14");
    audit(&server).with_code(1);
    write(&server, "UPDATE row SET expires = (written + 91) * 86400 WHERE kind = 14");
    audit(&server).ok();
}

#[test]
fn what_is_shortened_holds_for_what_is_written() {
    let mut server = Server::up();
    assert_eq!(server.stop(), 0);
    configure(&server, "[retention]\nmailbox_days = 3\nlog_days = 10\nkey_package_days = 40");
    let mut check = parlour();
    check.args(["check", "--config"]).arg(server.data().join("parlour.toml"));
    let checked = end(check);
    assert!(checked.stdout.contains("mailbox_days       72 hours, usually 30 days"), "{checked:?}");
    server.start_again();
    let ana = Person::with_password(&server, "den", "ana");
    let _ben = Person::with_password(&server, "den", "ben");
    ana.run(&["send", "ben@den", "waiting for Ben"]).ok();
    let kinds = audit(&server).ok().lines();
    let kind = |name: &str| kinds.iter().find(|kind| kind["name"].as_str().unwrap().starts_with(name)).unwrap();
    assert_eq!(kind("waiting mailbox row")["lifetime_s"], 3 * 86_400);
    assert_eq!(server.stop(), 0);
    let db = Connection::open(server.data().join("store.db")).unwrap();
    let longest = |sql: &str| db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(longest("SELECT max(expires - day) FROM entry"), 4, "three days, the last one to its end");
    assert!(longest("SELECT max(expires - written * 86400) / 86400 FROM row WHERE kind = 14") <= 41);
    assert!(longest("SELECT max(expires - written * 86400) / 86400 FROM row WHERE kind = 18") <= 11);
}

#[test]
fn a_lifetime_is_not_exceeded_and_an_unknown_one_is_refused() {
    let mut server = Server::up();
    assert_eq!(server.stop(), 0);
    let config = server.data().join("parlour.toml");
    let before = std::fs::read_to_string(&config).unwrap();
    let refused = |section: &str, word: &str| {
        configure(&server, section);
        for command in ["check", "serve"] {
            let mut parlour = parlour();
            parlour.args([command, "--config"]).arg(&config);
            let ended = end(parlour).with_code(2);
            assert!(format!("{}{}", ended.stdout, ended.stderr).contains(word), "{ended:?}");
        }
        std::fs::write(&config, &before).unwrap();
    };
    refused("[retention]\nmailbox_days = 31", "31 is longer than 30");
    refused("[retention]\ncode_minutes = 0", "retention.code_minutes");
    refused("[retention]\nmailbox_days = 10\nlog_days = 12", "use at least 17");
    refused("[retention]\nbackup_days = 3", "backup_days");
}

#[test]
fn everybody_can_read_and_download_what_is_held_about_them() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    let told = ana.json(&["holdings"]).ok().result();
    let rows = told["holdings"].as_array().unwrap();
    let of = |name: &str| rows.iter().filter(|row| row["name"] == name).collect::<Vec<_>>();
    assert_eq!(of("account")[0]["which"], "ana on den, with its root key");
    assert!(of("account")[0]["day"].as_str().unwrap().starts_with("20") && of("account")[0]["ends"].is_null());
    assert!(of("key package").iter().all(|row| row["ends"].as_str().unwrap().starts_with("20")));
    assert!(rows.iter().all(|row| !row["why"].as_str().unwrap().is_empty()));
    let unlisted = told["unlisted"].as_array().unwrap();
    assert!(unlisted[0]["name"].as_str().unwrap().starts_with("entries in rooms"), "{unlisted:?}");
    // She is alone: what is there of accounts is hers.
    let kinds = audit(&server).ok().lines();
    for kind in kinds.iter().filter(|kind| kind["type"] == "kind") {
        let name = kind["name"].as_str().unwrap();
        let elsewhere = ["room", "handshake", "commit", "used", "name of", "shared", "closed", "delivery", "life"];
        if !elsewhere.iter().any(|of| name.starts_with(of)) {
            assert_eq!(kind["rows"].as_u64().unwrap(), of(name).len() as u64, "{name}");
        }
    }
    let text = ana.run(&["holdings"]).ok().stdout;
    assert!(text.contains("what it cannot list by account") && text.contains("ana on den"), "{text}");
}
