//! The conversation list: only what is on screen is in the page.

use super::accounts::badge;
use super::chat::is_writing;
use super::desk::Desk;
use super::dom;
use super::face::{face, group_face};
use super::icon::{Icon, icon, ticks};
use super::mark::{avatar, glyph, wordmark};
use super::notices::notices;
use crate::ui::model::lasting::line;
use crate::ui::model::naming::open;
use crate::ui::model::route::Route;
use crate::ui::model::state::OWN;
use crate::ui::model::when::{Local, short};
use crate::ui::strings::{fill, plural, t};
use leptos::html;
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, ConversationState};
use std::sync::Arc;

/// Height of a row, in rem; the same as `--row` in the style.
const ROW_REM: f64 = 4.5;
/// Rows drawn beyond each edge.
const MARGIN: usize = 6;

/// The list with its head.
pub(crate) fn chats(desk: Desk) -> impl IntoView {
    let search = RwSignal::new(String::new());
    let found = Memo::new(move |_| desk.state.with(|state| state.found(&search.read())));
    let app = desk.app.with_value(|app| app.as_str().to_owned());
    view! {
        <header class="sidehead">
            <h1 class="brand">{wordmark(&app, desk.app_name())}</h1>
            <a class="iconbutton" href=Route::Invite(OWN).hash() aria-label=t().my_invite title=t().my_invite>{icon(Icon::Qr)}</a>
            <a class="iconbutton accent" href=Route::New(None).hash() aria-label=t().new_chat title=t().new_chat>{icon(Icon::Edit)}</a>
        </header>
        {notices(desk)}
        <div class="search" role="search">
            {icon(Icon::Search)}
            <input id="search" type="search" autocomplete="off" placeholder=t().search aria-label=t().search
                prop:value=move || search.get()
                on:input=move |event| search.set(event_target_value(&event))
                on:keydown=move |event| search_key(desk, search, found, &event) />
        </div>
        {tray(desk)}
        {move || {
            let nothing_at_all = desk.state.with(|state| state.loaded && state.chats().next().is_none())
                && desk.devices.with(|devices| devices.coming.is_none());
            let nothing_found = found.with(Vec::is_empty) && !search.read().is_empty();
            if nothing_at_all { empty(desk).into_any() }
            else if nothing_found { view! { <p class="hint">{t().nothing_found}</p> }.into_any() }
            else { ().into_any() }
        }}
        {list(desk, found)}
    }
}

fn search_key(
    desk: Desk,
    search: RwSignal<String>,
    found: Memo<Vec<Arc<Conversation>>>,
    event: &web_sys::KeyboardEvent,
) {
    match event.key().as_str() {
        "Escape" if !search.read_untracked().is_empty() => {
            event.prevent_default();
            search.set(String::new());
        }
        "Enter" => {
            if let Some(first) = found.with_untracked(|found| found.first().map(|chat| chat.id)) {
                desk.go(Route::Chat(first));
            }
        }
        "ArrowDown" => {
            event.prevent_default();
            dom::focus_soon("row-active");
        }
        _ => {}
    }
}

/// The way to the requests, when some wait.
fn tray(desk: Desk) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.state.with(|state| state.requests().count()));
    move || {
        (waiting.get() > 0).then(|| {
            view! {
                <a class="trayentry" href=Route::Requests.hash()>
                    <span class="traysign">{icon(Icon::Tray)}</span>
                    <span class="traytext">{plural(t().requests_waiting, waiting.get())}</span>
                    {icon(Icon::Next)}
                </a>
            }
        })
    }
}

fn empty(desk: Desk) -> impl IntoView {
    view! {
        <div class="empty">
            <h2>{t().empty_title}</h2>
            <p>{fill(t().empty_text, &[("app", &desk.app_name())])}</p>
            <a class="button primary" href=Route::Invite(OWN).hash()>{icon(Icon::Qr)}{t().empty_invite}</a>
            <a class="button" href=Route::New(None).hash()>{icon(Icon::Edit)}{t().empty_write}</a>
        </div>
    }
}

fn list(desk: Desk, found: Memo<Vec<Arc<Conversation>>>) -> impl IntoView {
    let scroller = NodeRef::<html::Div>::new();
    let top = RwSignal::new(0.0_f64);
    let height = RwSignal::new(900.0_f64);
    let active = RwSignal::new(0_usize);
    let row = Memo::new(move |_| {
        desk.looks.track();
        (ROW_REM * dom::rem()).round()
    });
    let look = move || {
        if let Some(scroller) = scroller.try_get_untracked().flatten() {
            top.set(f64::from(scroller.scroll_top()));
            height.set(f64::from(scroller.client_height()));
        }
    };
    let resized = window_event_listener(leptos::ev::resize, move |_| look());
    on_cleanup(move || resized.remove());
    Effect::new(move |_| {
        if scroller.get().is_some() {
            request_animation_frame(look);
        }
    });
    let window = Memo::new(move |_| {
        let count = found.with(Vec::len);
        let first = ((top.get() / row.get()) as usize).saturating_sub(MARGIN).min(count);
        let last = (((top.get() + height.get()) / row.get()) as usize + MARGIN + 1).min(count);
        (first, last)
    });
    let shown = move || {
        let (first, last) = window.get();
        found.with(|found| {
            found.get(first..last.min(found.len())).unwrap_or_default().iter().map(|chat| chat.id).collect::<Vec<_>>()
        })
    };
    let step = move |event: web_sys::KeyboardEvent| {
        list_key(&event, active, found.with_untracked(Vec::len), scroller, row.get_untracked())
    };
    view! {
        <div class="chats" node_ref=scroller on:scroll=move |_| look()>
            <ul class="chatrows" aria-label=t().chats style:height=move || format!("{}px", found.with(Vec::len) as f64 * row.get()) on:keydown=step>
                <For each=shown key=|id| *id children=move |id| chat_row(desk, id, found, row, active) />
            </ul>
        </div>
    }
}

fn list_key(
    event: &web_sys::KeyboardEvent,
    active: RwSignal<usize>,
    count: usize,
    scroller: NodeRef<html::Div>,
    row: f64,
) {
    let here = active.get_untracked();
    let there = match event.key().as_str() {
        "ArrowDown" => here + 1,
        "ArrowUp" if here == 0 => return dom::focus_soon("search"),
        "ArrowUp" => here - 1,
        "Home" => 0,
        "End" => count,
        "PageDown" => here + 8,
        "PageUp" => here.saturating_sub(8),
        _ => return,
    };
    event.prevent_default();
    let there = there.min(count.saturating_sub(1));
    active.set(there);
    if let Some(scroller) = scroller.get_untracked() {
        let (from, to) = (there as f64 * row, (there + 1) as f64 * row);
        let (top, height) = (f64::from(scroller.scroll_top()), f64::from(scroller.client_height()));
        if from < top {
            scroller.set_scroll_top(from as i32);
        } else if to > top + height {
            scroller.set_scroll_top((to - height) as i32);
        }
    }
    // The row may have to be drawn first.
    request_animation_frame(|| dom::focus_soon("row-active"));
}

fn chat_row(
    desk: Desk,
    id: ConversationId,
    found: Memo<Vec<Arc<Conversation>>>,
    row: Memo<f64>,
    active: RwSignal<usize>,
) -> impl IntoView {
    let at = Memo::new(move |_| found.with(|found| found.iter().position(|chat| chat.id == id).unwrap_or_default()));
    let chat = Memo::new(move |_| desk.state.with(|state| state.chat(id).cloned()));
    let is_open = Memo::new(move |_| desk.route.with(|route| route.conversation() == Some(id)));
    let is_active = move || at.get() == active.get();
    view! {
        <li class="chatrow" style:transform=move || format!("translateY({}px)", at.get() as f64 * row.get())>
            <a href=Route::Chat(id).hash() class="chatlink" class:open=move || is_open.get()
                id=move || is_active().then_some("row-active")
                tabindex=move || if is_active() { "0" } else { "-1" }
                aria-current=move || is_open.get().then_some("true")
                on:focus=move |_| active.set(at.get_untracked())>
                {move || chat.get().map(|chat| row_inside(desk, &chat))}
            </a>
        </li>
    }
}

fn row_inside(desk: Desk, chat: &Conversation) -> impl IntoView + use<> {
    let (id, unread, is_group, named) = (chat.id, chat.unread, chat.is_group, chat.mentioned);
    let at = Local::of(chat.last_activity, dom::offset_min(chat.last_activity));
    view! {
        {picture(desk, chat)}
        <span class="rowmain">
            <span class="rowtop">
                <bdi class="rowname">{chat.title.clone()}</bdi>
                {chat.verified.then(verified)}
                {badge(desk, chat.identity)}
                <span class="rowtime" class:fresh=move || { unread > 0 }>{move || short(at, desk.today.get(), t())}</span>
            </span>
            <span class="rowbottom">
                <span class="rowtext">{second_line(desk, id, chat.state, is_group)}</span>
                {named.then(|| view! { <span class="count at" title=t().mentioned>"@"<span class="unseen">" "{t().mentioned}</span></span> })}
                {(unread > 0).then(|| view! { <span class="count">{unread.min(999)}<span class="unseen">" "{t().unread_mark}</span></span> })}
            </span>
        </span>
    }
}

/// The draft, or what the state wants said, or the last message.
fn second_line(desk: Desk, id: ConversationId, state: ConversationState, is_group: bool) -> impl IntoView {
    let writing = Memo::new(move |_| desk.who_writes(id));
    move || {
        let is_open = desk.route.with(|route| route.conversation() == Some(id));
        if let Some(says) = writing.get() {
            return is_writing(says);
        }
        let draft = desk.drafts.with(|drafts| drafts.get(&id).map(|draft| open(draft).0)).filter(|_| !is_open);
        if let Some(draft) = draft {
            return view! { <span class="draftmark">{t().draft}</span>" "<bdi>{crate::ui::model::text::preview(&draft)}</bdi> }.into_any();
        }
        match state {
            ConversationState::Asked => return view! { <em>{t().asked_short}</em> }.into_any(),
            ConversationState::Closed => return view! { <em>{t().closed_short}</em> }.into_any(),
            _ => {}
        }
        let last = desk.state.with(|state| state.chat(id).and_then(|chat| chat.last.clone()));
        last.map_or_else(
            || view! { <span></span> }.into_any(),
            |last| {
                let own = last.from.is_none();
                let (says, tells) = (line(&last, t()), last.notice.is_some());
                let by = last.from_name.filter(|_| is_group && !own && !tells);
                view! {
                    {(own && !last.deleted && !tells).then(|| ticks(last.state))}
                    {by.map(|by| view! { <bdi class="rowby">{by}": "</bdi> })}
                    {if last.deleted { view! { <em>{t().deleted}</em> }.into_any() } else { view! { <bdi>{says}</bdi> }.into_any() }}
                }
                .into_any()
            },
        )
    }
}

/// A conversation's picture, with the mark of their app when it is another one than this.
pub(crate) fn picture(desk: Desk, chat: &Conversation) -> impl IntoView + use<> {
    let elsewhere = match chat.members.as_slice() {
        [only] if !chat.is_group && desk.app.with_value(|own| *own != only.account.app) => {
            Some(only.account.app.as_str().to_owned())
        }
        _ => None,
    };
    let mark = elsewhere.map(|app| view! { <span class="appmark" data-of=app.clone()>{glyph(&app)}</span> });
    view! { <span class="pictured">{portrait(desk, chat)}{mark}</span> }
}

/// The picture of the one person, or the sign of a group.
pub(crate) fn portrait(desk: Desk, chat: &Conversation) -> AnyView {
    match chat.members.as_slice() {
        [only] if !chat.is_group => face(desk, only, &chat.title),
        _ if chat.picture.is_some() => group_face(desk, chat),
        _ => avatar(&seed(chat), &chat.title, chat.is_group),
    }
}

/// What a conversation's picture is drawn from: the other account, so that it is the same everywhere.
pub(crate) fn seed(chat: &Conversation) -> [u8; 16] {
    match chat.members.as_slice() {
        [only] if !chat.is_group => only.account.account.0,
        _ => chat.id.0,
    }
}

/// The mark of somebody whose safety number was compared.
pub(crate) fn verified() -> impl IntoView {
    view! { <span class="verified" role="img" aria-label=t().verified title=t().verified>{icon(Icon::ShieldCheck)}</span> }
}
