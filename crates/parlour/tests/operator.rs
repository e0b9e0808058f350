//! `up`, `serve`, `check`, `audit`, `demo`, as an operator meets them.

mod kit;

use kit::{Person, Server, end, parlour};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

fn check(config: &Path) -> kit::Ended {
    let mut command = parlour();
    command.arg("check").arg("--config").arg(config);
    end(command)
}

#[test]
fn up_writes_a_configuration_with_comments_and_stops_in_order() {
    let mut server = Server::up();
    let config = std::fs::read_to_string(server.data().join("parlour.toml")).unwrap();
    assert!(config.contains("[[app]]") && config.contains("# "), "{config}");
    assert!(server.get("/health").len() < 1000);
    assert_eq!(server.stop(), 0);
    server.start_again();
    assert_eq!(server.stop(), 0);
}

#[test]
fn serve_refuses_a_phone_app_without_gateway_and_check_says_why() {
    let server = Server::up();
    let config = server.data().join("parlour.toml");
    let checked = check(&config).with_code(2);
    assert!(checked.stdout.contains("sms.gateway") && checked.stdout.contains("dev_outbox"), "{checked:?}");
    let mut serve = parlour();
    serve.arg("serve").arg("--config").arg(&config);
    let ended = end(serve).with_code(2);
    assert!(ended.stderr.contains("sms.gateway"), "{ended:?}");
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("parlour.toml");
    std::fs::write(&config, "listen = \"127.0.0.1:0\"\ndata = \"x\"\nlistne = 1\n").unwrap();
    let checked = check(&config).with_code(2);
    assert!(checked.stderr.contains("listne"), "{checked:?}");
}

#[test]
fn audit_tells_each_kind_while_the_server_runs() {
    let server = Server::up();
    let ana = Person::with_password(&server, "den", "ana");
    let _ben = Person::with_password(&server, "den", "ben");
    ana.run(&["send", "ben@den", "waiting for Ben"]).ok();
    let mut audit = parlour();
    audit.args(["audit", "--json", "--data"]).arg(server.data());
    let lines = end(audit).ok().lines();
    let of = |what: &str| -> Vec<_> { lines.iter().filter(|line| line["type"] == what).cloned().collect() };
    let kinds = of("kind");
    let rows = |name: &str| {
        let kind = kinds.iter().find(|kind| kind["name"].as_str().unwrap().starts_with(name));
        kind.unwrap_or_else(|| panic!("{name}: {kinds:#?}"))["rows"].as_u64().unwrap()
    };
    assert_eq!(rows("account"), 2);
    assert!(rows("waiting mailbox row") >= 1);
    assert!(kinds.iter().all(|kind| !kind["why"].as_str().unwrap().is_empty() && kind["name"] != "UNDECLARED"));

    // What is in no row, in words; and the server makes no file that is not declared.
    assert!(of("memory").iter().any(|line| line["name"].as_str().unwrap().starts_with("one-time codes")));
    assert!(of("file").iter().any(|line| line["name"] == "keys/day-*.key" && line["files"] == 1));
    assert_eq!(of("other_file"), Vec::<serde_json::Value>::new());

    // The configuration says where the data is.
    let mut audit = parlour();
    audit.args(["audit", "--config"]).arg(server.data().join("parlour.toml"));
    let text = end(audit).ok().stdout;
    assert!(
        text.contains("waiting mailbox row") && text.contains("30 days") && text.contains("In memory only"),
        "{text}"
    );
}

#[test]
fn the_demo_plays_to_its_end_and_finds_no_text_on_the_disk() {
    let mut demo = parlour();
    demo.args(["demo", "--fast"]);
    let ended = end(demo).ok();
    assert!(!ended.stdout.contains('\u{1b}'), "colours without a terminal");
    assert!(ended.stdout.contains("What is left") && ended.stdout.contains("parlour up"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("found in"), "{}", ended.stdout);
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 100), "{}", ended.stdout);
}

#[test]
fn serve_with_a_certificate_of_its_own_is_reached_by_who_trusts_it() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(path("password"), "a password").unwrap();
    let config = format!(
        "listen = '127.0.0.1:0'\ndata = '{}'\n[tls]\ncert = '{}'\nkey = '{}'\n\
         [[app]]\nid = 'den'\nname = 'Den'\ndomain = 'den.example.org'\nsign_in = 'username'\n",
        path("data"),
        path("cert.pem"),
        path("key.pem")
    );
    std::fs::write(path("parlour.toml"), config).unwrap();
    check(Path::new(&path("parlour.toml"))).ok();
    let mut serve = parlour();
    serve.args(["serve", "--config", &path("parlour.toml")]).stderr(Stdio::piped());
    let mut serve = serve.spawn().unwrap();
    let mut log = BufReader::new(serve.stderr.take().unwrap()).lines();
    let port = loop {
        let line = log.next().expect("serve logs where it listens").unwrap();
        if let Some((_, port)) = line.split_once("port=") {
            break port.trim().to_owned();
        }
    };

    let url = format!("https://localhost:{port}");
    let password = path("password");
    let sign_up = ["sign-up", "--server", &url, "--app", "den", "--handle", "maya", "--password-file", &password];
    let distrustful = Person { home: dir.path().join("distrustful") };
    distrustful.run(&sign_up).with_code(4);
    let maya = Person { home: dir.path().join("maya") };
    maya.run(&[&sign_up[..], &["--ca", &path("cert.pem")]].concat()).ok();
    // The home remembers both.
    assert_eq!(maya.json(&["reach", "show"]).ok().result()["reach"]["den"], "ask");

    assert!(Command::new("kill").args(["-TERM", &serve.id().to_string()]).status().unwrap().success());
    assert_eq!(serve.wait().unwrap().code(), Some(0));
}
