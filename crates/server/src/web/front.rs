//! The few things that are written here instead of read from a file.

use super::Ask;
use parlour_proto::frames::AppInfo;

/// At an address that is no app's: where the apps are.
pub(super) fn all_apps(apps: &[AppInfo], ask: &Ask<'_>) -> String {
    let scheme = if ask.secure { "https" } else { "http" };
    let port = ask.host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.parse::<u16>().is_ok());
    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
    let links: String = apps
        .iter()
        .map(|app| format!("<li><a href=\"{scheme}://{}{port}/\">{}</a>", escape(&app.domain), escape(&app.name)))
        .collect();
    html("Parlour", &format!("<h1>Parlour</h1><p>The apps of this server:<ul>{links}</ul>"))
}

/// The files are not there.
pub(super) fn not_built(app: &AppInfo) -> String {
    let name = escape(&app.name);
    html(
        &app.name,
        &format!(
            "<h1>{name}</h1><p>The server runs; the app for browsers is not built yet.<p>In the source folder: \
             <code>cargo xtask web</code>, then start the server again (<code>cargo xtask up</code> does both). Or set \
             <code>web = \"DIR\"</code> in the configuration to a folder with built apps."
        ),
    )
}

/// The web app manifest: what makes it installable.
pub(super) fn manifest(app: &AppInfo) -> String {
    serde_json::json!({
        "id": "/",
        "name": app.name,
        "short_name": app.name,
        "start_url": "/",
        "scope": "/",
        "display": "standalone",
        "icons": [{ "src": "/icon.svg", "sizes": "any", "type": "image/svg+xml", "purpose": "any" }],
    })
    .to_string()
}

/// A plain icon for an app that brings none: its initial on a colour of its own.
pub(super) fn icon(app: &AppInfo) -> String {
    let hue = app.app.as_str().bytes().fold(7_u32, |hue, byte| (hue * 31 + u32::from(byte)) % 360);
    let initial: String = app.name.chars().take(1).flat_map(char::to_uppercase).collect();
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 64 64\"><rect width=\"64\" height=\"64\" rx=\"14\" \
         fill=\"hsl({hue} 55% 38%)\"/><text x=\"32\" y=\"45\" font-family=\"system-ui,sans-serif\" font-size=\"38\" \
         font-weight=\"600\" text-anchor=\"middle\" fill=\"#fff\">{}</text></svg>",
        escape(&initial)
    )
}

fn html(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{}</title><body>{body}</html>\n",
        escape(title)
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
