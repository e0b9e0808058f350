//! The frame around every page: navigation, the list beside it, toast, and what screen readers hear.

use super::desk::Desk;
use super::icon::{Icon, icon};
use super::mark::{glyph, wordmark};
use super::{
    about, accounts, chat, chats, devices, dom, group, invite, new, reach, recovery, requests, safety, settings,
    welcome,
};
use crate::ui::model::route::Route;
use crate::ui::model::state::{Me, OWN, Trouble};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::IdentityId;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Loading,
    Trouble,
    Newborn,
    Welcome,
    Gone,
    App,
}

/// All that there is.
pub(crate) fn frame(desk: Desk) -> impl IntoView {
    let stage = Memo::new(move |_| stage(desk));
    view! {
        <div class="stage">
            {move || match stage.get() {
                Stage::Loading => splash(desk).into_any(),
                Stage::Trouble => trouble(desk).into_any(),
                Stage::Newborn => recovery::recovery(desk).into_any(),
                Stage::Welcome => welcome::welcome(desk).into_any(),
                Stage::Gone => gone(desk).into_any(),
                Stage::App => app(desk).into_any(),
            }}
        </div>
        {toast(desk)}
        <div class="unseen" aria-live="polite">{move || desk.said.get()}</div>
    }
}

fn stage(desk: Desk) -> Stage {
    if desk.newborn.with(Option::is_some) {
        return Stage::Newborn;
    }
    desk.state.with(|state| match (&state.trouble, &state.me) {
        (Some(_), _) => Stage::Trouble,
        (None, Me::Unknown) => Stage::Loading,
        (None, Me::Nobody) => Stage::Welcome,
        (None, Me::Gone(_)) => Stage::Gone,
        (None, Me::Known(_)) => Stage::App,
    })
}

fn splash(desk: Desk) -> impl IntoView {
    view! { <main class="splash" aria-busy="true" aria-label=t().loading>{desk.app.with_value(|app| glyph(app.as_str()))}</main> }
}

fn trouble(desk: Desk) -> impl IntoView {
    let other = desk.state.with_untracked(|state| state.trouble == Some(Trouble::OtherBuild));
    let why = desk.state.with_untracked(|state| match &state.trouble {
        Some(Trouble::Broken(why)) => why.clone(),
        _ => String::new(),
    });
    let (title, text) = if other { (t().other_build, t().other_build_text) } else { (t().broken, t().broken_text) };
    view! {
        <main class="lonely">
            {desk.app.with_value(|app| glyph(app.as_str()))}
            <h1>{title}</h1>
            <p>{text}</p>
            <button class="button primary" on:click=move |_| reload()>{t().reload}</button>
            {(!why.is_empty()).then(|| view! { <details><summary>{t().details}</summary><code>{why}</code></details> })}
        </main>
    }
}

fn gone(desk: Desk) -> impl IntoView {
    view! {
        <main class="lonely">
            {desk.app.with_value(|app| glyph(app.as_str()))}
            <h1>{t().gone}</h1>
            <p>{t().gone_text}</p>
            <button class="button primary" on:click=move |_| desk.wipe()>{t().gone_wipe}</button>
        </main>
    }
}

fn reload() {
    if let Some(window) = dom::try_window() {
        let _ = window.location().reload();
    }
}

/// One page's kind, so that moving between two conversations does not redraw the frame.
fn place(route: &Route) -> &'static str {
    match route {
        Route::Chats => "chats",
        Route::Chat(_) => "chat",
        Route::About(_) | Route::Safety(_) => "inner",
        Route::New(_) | Route::Group | Route::Invite(_) => "inner",
        inner if inner.is_in_settings() => "inner",
        _ => "top",
    }
}

fn app(desk: Desk) -> impl IntoView {
    let route = Memo::new(move |_| desk.route.get());
    let keys = window_event_listener(leptos::ev::keydown, move |event| shortcut(desk, &event));
    on_cleanup(move || keys.remove());
    // Where there is room for one of the two only, the list is what is there.
    let is_wide = RwSignal::new(dom::is_wide());
    let resized = window_event_listener(leptos::ev::resize, move |_| {
        let now = dom::is_wide();
        if now != is_wide.get_untracked() {
            is_wide.set(now);
        }
    });
    on_cleanup(move || resized.remove());
    let is_list = Memo::new(move |_| !is_wide.get() && route.with(|route| *route == Route::Chats));
    let skip = move |event: web_sys::MouseEvent| {
        event.prevent_default();
        dom::focus_soon(if is_list.get_untracked() { "row-active" } else { "main" });
    };
    // The focus goes where the page changed: to the composer (which sees to it itself), the list, or the page.
    Effect::new(move |before: Option<()>| {
        let to = route.with(|route| match route {
            Route::Chat(_) | Route::New(_) if dom::has_keyboard() => None,
            Route::Chats => Some("row-active"),
            _ => Some("main"),
        });
        if let (Some(()), Some(id)) = (before, to) {
            dom::focus_soon(id);
        }
    });
    // What is of an account that is not here any more, is not here either.
    Effect::new(move |_| {
        let id = route.with(Route::account);
        if id != OWN && desk.state.with(|state| state.account(id).is_none()) {
            dom::replace_hash(&Route::Accounts.hash());
        }
    });
    view! {
        <a class="skip" href="#main" on:click=skip>{t().skip}</a>
        <div class="app" data-place=move || route.with(place)>
            {nav(desk, route)}
            <section class="side" aria-label=t().chats role=move || is_list.get().then_some("main")>{chats::chats(desk)}</section>
            <main class="main" id="main" tabindex="-1">
                {move || match route.get() {
                    Route::Chats => nothing_open(desk).into_any(),
                    Route::Chat(id) => chat::chat(desk, id).into_any(),
                    Route::About(id) => about::about(desk, id).into_any(),
                    Route::Safety(id) => safety::safety(desk, id).into_any(),
                    Route::New(invite) => new::new(desk, invite).into_any(),
                    Route::Group => group::group(desk).into_any(),
                    Route::Invite(id) => invite::invite(desk, id).into_any(),
                    Route::Requests => requests::requests(desk).into_any(),
                    Route::Reach(id) => reach::reach(desk, id).into_any(),
                    Route::Settings => settings::settings(desk).into_any(),
                    Route::Devices => devices::devices(desk).into_any(),
                    Route::Held => super::held::held(desk).into_any(),
                    Route::Kept => super::kept::kept(desk).into_any(),
                    Route::Accounts => accounts::accounts(desk).into_any(),
                    Route::Account(id) => accounts::account(desk, id).into_any(),
                }}
            </main>
        </div>
    }
}

fn nav(desk: Desk, route: Memo<Route>) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.state.with(|state| state.requests().count()));
    let unread = Memo::new(move |_| desk.state.with(|state| state.chats().map(|chat| chat.unread as usize).sum()));
    let item = move |to: Route, name: &'static str, sign: Icon, count: Option<Memo<usize>>| {
        let hash = to.hash();
        let is_here = move || {
            route.with(|route| match (&to, route) {
                (to, route) if route.is_in_settings() => *to == Route::Settings,
                (Route::Chats, route) => matches!(place(route), "chats" | "chat" | "inner"),
                (to, route) => to == route,
            })
        };
        let current = is_here.clone();
        let said = move || count.map(|count| count.get()).filter(|count| *count > 0);
        view! {
            <a class="navitem" class:here=is_here href=hash aria-current=move || current().then_some("page")>
                {icon(sign)}
                <span class="navname">{name}</span>
                {move || said().map(|count| view! { <span class="count">{count.min(999)}<span class="unseen">" "{t().unread_mark}</span></span> })}
            </a>
        }
    };
    view! {
        <nav class="nav" aria-label=t().navigation>
            <span class="navmark">{desk.app.with_value(|app| glyph(app.as_str()))}</span>
            {item(Route::Chats, t().chats, Icon::Chats, Some(unread))}
            {item(Route::Requests, t().requests, Icon::Tray, Some(waiting))}
            {item(Route::Reach(OWN), t().reach, Icon::Door, None)}
            {item(Route::Settings, t().settings, Icon::Settings, None)}
        </nav>
    }
}

/// What a wide window shows beside the list when nothing is open.
fn nothing_open(desk: Desk) -> impl IntoView {
    let app = desk.app.with_value(|app| app.as_str().to_owned());
    view! {
        <div class="nothing">
            {wordmark(&app, desk.app_name())}
            <p class="lead">{t().nothing_open}</p>
            <p class="keys">
                <span><kbd>"/"</kbd>" "{t().key_search}</span>
                <span><kbd>"N"</kbd>" "{t().key_new}</span>
                <span><kbd>"↑"</kbd>" "{t().key_edit}</span>
                <span><kbd>"Esc"</kbd>" "{t().key_close}</span>
            </p>
        </div>
    }
}

/// `/` searches, `N` writes to somebody new, Escape steps out; never while something is typed.
fn shortcut(desk: Desk, event: &web_sys::KeyboardEvent) {
    use wasm_bindgen::JsCast as _;
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let is_typing =
        target.as_ref().is_some_and(|target| matches!(target.tag_name().as_str(), "INPUT" | "TEXTAREA" | "SELECT"));
    let in_dialog = target.is_some_and(|target| target.closest("dialog, .popup").ok().flatten().is_some());
    if event.default_prevented() || event.ctrl_key() || event.meta_key() || event.alt_key() || in_dialog {
        return;
    }
    match event.key().as_str() {
        "/" if !is_typing => {
            event.prevent_default();
            if !dom::is_wide() {
                desk.go(Route::Chats);
            }
            dom::focus_soon("search");
        }
        "n" | "N" if !is_typing => {
            event.prevent_default();
            desk.go(Route::New(None));
        }
        "Escape" => {
            let parent = desk.route.with_untracked(Route::parent);
            desk.go(parent);
        }
        _ => {}
    }
}

fn toast(desk: Desk) -> impl IntoView {
    view! {
        <div class="toasts" role="status" aria-live="polite">
            {move || desk.toast.get().map(|toast| view! {
                <div class="toast" class:bad=toast.is_error>
                    {toast.is_error.then(|| icon(Icon::Warn))}
                    <span>{toast.text}</span>
                </div>
            })}
        </div>
    }
}

/// The bar above a page: one step back, its name, what can be done.
pub(crate) fn bar(desk: Desk, title: &'static str, actions: AnyView) -> impl IntoView {
    let parent = desk.route.with_untracked(Route::parent).hash();
    let class = if desk.route.with_untracked(|route| place(route) == "top") { "bar top" } else { "bar" };
    view! {
        <header class=class>
            <a class="iconbutton back" href=parent aria-label=t().back>{icon(Icon::Back)}</a>
            <h1>{title}</h1>
            <div class="actions">{actions}</div>
        </header>
    }
}

/// `They will see: your name, on Bell. Not your number.`, of one of the accounts.
pub(super) fn what_they_see(desk: Desk, id: IdentityId) -> String {
    use parlour_proto::frames::SignIn;
    let account = desk.state.with(|state| state.account(id).cloned());
    let name = account.as_ref().map(|account| account.name.clone()).unwrap_or_default();
    let app = account.map(|account| account.account.app).filter(|_| id != OWN);
    let app_name = app.as_ref().map(|app| desk.state.with(|state| state.app_name(app)));
    let app_name = app_name.unwrap_or_else(|| desk.app_name());
    let sign_in = app.and_then(|app| {
        desk.state.with(|state| state.apps.iter().find(|info| info.app == app).map(|info| info.sign_in))
    });
    let mut out = if name.is_empty() {
        fill(t().they_see_no_name, &[("app", &app_name)])
    } else {
        fill(t().they_see, &[("name", &name), ("app", &app_name)])
    };
    out.push(' ');
    out.push_str(match sign_in.unwrap_or(desk.sign_in) {
        SignIn::Phone => t().not_number,
        SignIn::Username => t().not_username,
        SignIn::AtHandle => t().not_handle,
    });
    out
}
