//! What a browser gets.

use super::*;
use parlour_proto::frames::AppId;

fn app(id: &str, name: &str) -> AppInfo {
    AppInfo {
        app: AppId::parse(id).unwrap(),
        name: name.to_owned(),
        domain: format!("{id}.localhost"),
        sign_in: SignIn::AtHandle,
        expiry_s: 86_400,
        expiry_least_s: 3_600,
        expiry_most_s: None,
    }
}

fn built() -> (tempfile::TempDir, Site) {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("index.html", "the page");
    write("assets.json", "{}");
    write("a/page-1.js", "plain");
    write("a/page-1.js.br", "brotli");
    write("a/page-1.js.gz", "gzip");
    write("icon/bell.svg", "<svg/>");
    let site = Site::load(vec![app("bell", "Bell"), app("den", "Den <b>")], Some(dir.path())).unwrap();
    (dir, site)
}

fn ask<'a>(host: &'a str, path: &'a str) -> Ask<'a> {
    Ask { host, path, ..Ask::default() }
}

fn header<'a>(served: &'a Served, name: &str) -> &'a str {
    served.headers.iter().find(|(header, _)| *header == name).map_or("", |(_, value)| value)
}

#[test]
fn each_origin_is_told_which_app_it_is() {
    let (_dir, site) = built();
    let text = |host| String::from_utf8(site.respond(&ask(host, "/app.json")).body.to_vec()).unwrap();
    assert!(text("bell.localhost:7448").contains(r#""app":"bell""#));
    assert!(text("DEN.localhost").contains(r#""sign_in":"at_handle""#));
    assert!(site.respond(&ask("bell.localhost", "/manifest.webmanifest")).body.starts_with(b"{"));
}

#[test]
fn places_in_the_app_are_the_page_and_missing_files_are_missing() {
    let (_dir, site) = built();
    for path in ["/", "/c/abc", "/settings"] {
        let served = site.respond(&ask("bell.localhost", path));
        assert_eq!((served.status, &served.body[..]), (200, b"the page".as_slice()));
        assert_eq!(header(&served, "cache-control"), "no-cache");
    }
    for path in
        ["/a/page-2.js", "/a/x", "/favicon.ico", "/v1/other", "/assets.json", "/a/page-1.js.br", "/../secret.js"]
    {
        assert_eq!(site.respond(&ask("bell.localhost", path)).status, 404, "{path}");
    }
}

#[test]
fn the_smallest_coding_that_the_browser_takes_is_sent() {
    let (_dir, site) = built();
    let sent = |accept_encoding| {
        let served = site.respond(&Ask { accept_encoding, ..ask("bell.localhost", "/a/page-1.js") });
        assert_eq!(header(&served, "cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(header(&served, "vary"), "accept-encoding");
        (header(&served, "content-encoding").to_owned(), served.body)
    };
    assert_eq!(sent("gzip, deflate, br;q=0.9"), ("br".to_owned(), "brotli".into()));
    assert_eq!(sent("gzip, br;q=0"), ("gzip".to_owned(), "gzip".into()));
    assert_eq!(sent(""), (String::new(), "plain".into()));
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let (_dir, site) = built();
    let first = site.respond(&ask("bell.localhost", "/"));
    let tag = header(&first, "etag").to_owned();
    let again = site.respond(&Ask { if_none_match: &tag, ..ask("bell.localhost", "/") });
    assert_eq!((again.status, again.body.len()), (304, 0));
}

#[test]
fn pages_may_load_nothing_from_elsewhere() {
    let (_dir, site) = built();
    let served = site.respond(&ask("bell.localhost:7448", "/"));
    let policy = header(&served, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    assert!(policy.contains("connect-src 'self' ws://bell.localhost:7448 wss://bell.localhost:7448;"), "{policy}");
    assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
    let secure = site.respond(&Ask { secure: true, ..ask("bell.localhost", "/") });
    assert!(header(&secure, "content-security-policy").contains("connect-src 'self' wss://bell.localhost;"));
    let odd = site.respond(&ask("x; script-src *", "/"));
    assert!(!header(&odd, "content-security-policy").contains("script-src *"));
}

#[test]
fn without_files_the_page_says_how_to_make_them() {
    let site = Site::load(vec![app("bell", "Bell")], None).unwrap();
    assert!(!site.is_built());
    let served = site.respond(&ask("bell.localhost", "/"));
    assert_eq!(served.status, 503);
    assert!(String::from_utf8_lossy(&served.body).contains("cargo xtask web"));
}

#[test]
fn an_address_of_no_app_lists_the_apps() {
    let (_dir, site) = built();
    let served = site.respond(&ask("127.0.0.1:7448", "/"));
    let text = String::from_utf8_lossy(&served.body).into_owned();
    assert!(text.contains("http://bell.localhost:7448/") && text.contains("Den &lt;b&gt;"), "{text}");
    assert_eq!(site.respond(&ask("127.0.0.1", "/x")).status, 404);
}

#[test]
fn an_app_without_an_icon_gets_one() {
    let (_dir, site) = built();
    assert_eq!(&site.respond(&ask("bell.localhost", "/icon.svg")).body[..], b"<svg/>");
    let made = site.respond(&ask("den.localhost", "/icon.svg"));
    assert!(made.body.starts_with(b"<svg xmlns"));
    assert_eq!(header(&made, "content-type"), "image/svg+xml");
}
