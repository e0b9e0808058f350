//! The door: what this app is, and the ways in.

use super::desk::Desk;
use super::icon::{Icon, icon};
use super::link;
use super::mark::{glyph, wordmark};
use super::sign_up::{Way, form};
use crate::ui::model::route::Route;
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_proto::frames::SignIn;

/// The page.
pub(crate) fn welcome(desk: Desk) -> impl IntoView {
    let way = RwSignal::new(Way::Up);
    let app = desk.app.with_value(|app| app.as_str().to_owned());
    let (title, text) = match desk.sign_in {
        SignIn::Phone => (t().welcome_phone, t().welcome_phone_text),
        SignIn::Username => (t().welcome_username, t().welcome_username_text),
        SignIn::AtHandle => (t().welcome_handle, t().welcome_handle_text),
    };
    let invited = desk.route.with_untracked(|route| matches!(route, Route::New(Some(_))));
    view! {
        <main class="door" id="main">
            <section class="doorside">
                <div class="doorbrand">{wordmark(&app, desk.app_name())}</div>
                <div class="doorart" aria-hidden="true">{glyph(&app)}</div>
                <h1>{title}</h1>
                <p>{text}</p>
                <ul class="promises">
                    <li>{icon(Icon::Key)}{t().promise_keys}</li>
                    <li>{icon(Icon::Door)}{t().promise_reach}</li>
                    <li>{icon(Icon::Trash)}{t().promise_forget}</li>
                </ul>
            </section>
            <section class="doorform">
                {invited.then(|| view! { <p class="invited">{icon(Icon::Link)}<span>{t().invited}</span></p> })}
                {move || match way.get() {
                    Way::Link => link::form(desk, link::For::Door(way)).into_any(),
                    known => form(desk, known, way).into_any(),
                }}
            </section>
        </main>
    }
}
