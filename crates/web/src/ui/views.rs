//! The views, over signals.

mod about;
mod accounts;
mod bubble;
mod chat;
mod chats;
mod composer;
mod desk;
mod devices;
mod dialog;
mod dom;
mod emoji;
mod expiry;
mod face;
mod frame;
mod group;
mod held;
mod icon;
mod invite;
mod kept;
mod leave;
mod link;
mod links;
mod mark;
mod members;
mod menu;
mod naming;
mod new;
mod notices;
mod notify;
mod offer;
mod once;
mod reach;
mod readers;
mod recovery;
mod requests;
mod safety;
mod scan;
mod settings;
mod sign_up;
mod stream;
mod timers;
mod welcome;

use super::port::Page;
use desk::Desk;
use leptos::prelude::*;

/// Shows the screens in the page's body, in place of what is there.
pub fn mount(page: Page) {
    let Some(body) = dom::body() else { return };
    body.set_inner_html("");
    dom::set_root_attribute("data-app", page.app.as_str());
    invite::opened_by_link(page.app.as_str());
    let Page { app, name, sign_in, engine, happenings } = page;
    leptos::mount::mount_to(body, move || {
        let desk = Desk::new(app, name, sign_in, engine);
        desk.hear(happenings);
        // Another language draws everything anew: texts need no signals of their own.
        move || {
            desk.looks.with(|looks| super::strings::speak(&looks.language));
            let _ = desk.looks.read().language.clone();
            frame::frame(desk)
        }
    })
    .forget();
}
