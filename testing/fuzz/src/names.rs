//! What people type, click, scan or configure: handles, addresses, invites, mentions, the operator's file.

use parlour_proto::{
    address::{Address, Invite, MimiUri},
    content::{clean_name, mention},
    frames::SignIn,
    handle::Handle,
};
use parlour_server::config::{Config, Mode};

use crate::{Plant, bug};

fn lines(text: &str) -> Vec<Vec<u8>> {
    text.lines().map(|line| line.as_bytes().to_vec()).collect()
}

pub(crate) fn handle(input: &[u8], plant: Plant) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    for sign_in in [SignIn::Phone, SignIn::Username, SignIn::AtHandle] {
        let Ok(handle) = Handle::parse(sign_in, text) else { continue };
        let again = Handle::parse(sign_in, handle.canonical()).expect("a canonical handle parses");
        assert_eq!(handle.canonical(), again.canonical());
        let _ = (handle.check_scripts(), handle.display());
        assert_eq!(handle.skeleton(), again.skeleton());
        bug(plant, sign_in == SignIn::Username && handle.canonical() != text.trim());
    }
    if let Some(name) = clean_name(text) {
        assert_eq!(clean_name(&name).as_deref(), Some(&name[..]));
    }
}

pub(crate) fn handle_seeds() -> Vec<Vec<u8>> {
    lines(
        "+49 170 1234567\n0049(170)123-4567\nalice.b\nÁlicE\n@carol_99\nпривет\n名前\nﬁsh\n  Bob \n\u{13d0}licE\nI\u{307}stanbul\n\u{202e}abc",
    )
}

pub(crate) fn address(input: &[u8], plant: Plant) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(address) = Address::parse(text) {
        for sign_in in [SignIn::Phone, SignIn::Username, SignIn::AtHandle] {
            let _ = address.display(sign_in);
        }
        bug(plant, text.matches('@').count() > 1);
    }
    if let Ok(uri) = MimiUri::parse(text) {
        let again = MimiUri::parse(&uri.to_string()).expect("what was read can be written");
        assert_eq!(uri.to_string(), again.to_string());
    }
    if let Ok(invite) = Invite::parse(text) {
        let again = Invite::parse(&invite.to_text()).expect("what was read can be written");
        assert_eq!(invite.to_text(), again.to_text());
    }
}

pub(crate) fn address_seeds() -> Vec<Vec<u8>> {
    lines(
        "alice@den.example.org\n@carol@porch.example.org\n+491701234567@bell.example.org\nmimi://den.example.org/u/alice\n\
         mimi://den.example.org/u/%40carol\nparlour:invite/den/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n\
         https://den.example.org/i#AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    )
}

pub(crate) fn mention(input: &[u8], plant: Plant) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (plain, mentions) = mention::shown(text);
    for mention in &mentions {
        let piece = plain.get(mention.start as usize..mention.end as usize).expect("a mention is a piece of the text");
        assert!(piece.starts_with('@'));
    }
    bug(plant, mentions.first().is_some_and(|mention| mention.start == 0 && mention.end > 3));
    let (again, named) = mention::shown(&mention::said(&plain, &mentions));
    if named.len() == mentions.len() {
        assert_eq!((plain, mentions), (again, named));
    }
}

pub(crate) fn mention_seeds() -> Vec<Vec<u8>> {
    let account = parlour_proto::frames::AccountRef {
        app: parlour_proto::frames::AppId::parse("den").expect("an app"),
        account: parlour_proto::ids::AccountId([5; 16]),
    };
    let named = |plain: &str, start, end| {
        let mention = mention::Mention { start, end, account: account.clone() };
        mention::said(plain, &[mention]).into_bytes()
    };
    let mut seeds = lines("plain text\n[@half\n[@a](b)\n[@[@x](y)");
    seeds.extend([named("hello @bob, there", 6, 10), named("@ö", 0, 3)]);
    seeds
}

pub(crate) fn config(input: &[u8], plant: Plant) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(config) = Config::parse(text) else { return };
    let _ = (config.check(Mode::Up).len(), config.app_infos().len());
    bug(plant, config.app_infos().len() == 2);
}

pub(crate) fn config_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../../../crates/server/src/config/default.toml").to_vec()]
}
