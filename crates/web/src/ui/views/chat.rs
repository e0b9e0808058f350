//! A conversation: who it is with, what was said, what to say.

use super::accounts::shown;
use super::chats::{picture, verified};
use super::composer::composer;
use super::desk::Desk;
use super::icon::{Icon, icon};
use super::stream::stream;
use crate::ui::model::route::Route;
use crate::ui::strings::{fill, plural, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, ConversationState, Intent};

/// The page.
pub(crate) fn chat(desk: Desk, id: ConversationId) -> impl IntoView {
    let chat = Memo::new(move |_| desk.state.with(|state| state.chat(id).cloned()));
    let state = Memo::new(move |_| chat.with(|chat| chat.as_ref().map(|chat| chat.state)));
    // In a group where only admins write, everybody else.
    let listens = Memo::new(move |_| {
        let group = chat.with(|chat| {
            chat.as_ref().and_then(|chat| chat.group.as_ref().map(|group| (group.rules.write, group.role)))
        });
        group.is_some_and(|(write, role)| !write.covers(role))
    });
    view! {
        <header class="bar chatbar">
            <a class="iconbutton back" href=Route::Chats.hash() aria-label=t().back>{icon(Icon::Back)}</a>
            {move || chat.get().map(|chat| head(desk, &chat))}
        </header>
        <div class="narrowbanner">{super::notices::notices(desk)}</div>
        {stream(desk, id)}
        {move || state.get().map(|state| notice(desk, id, state))}
        {move || (state.get().is_some_and(can_write) && !listens.get()).then(|| composer(desk, id))}
        {move || listens.get().then(|| view! { <div class="notice" role="status">{icon(Icon::Info)}<span>{t().only_admins_here}</span></div> })}
    }
}

fn can_write(state: ConversationState) -> bool {
    !matches!(state, ConversationState::Closed | ConversationState::Request)
}

fn head(desk: Desk, chat: &Conversation) -> impl IntoView + use<> {
    let id = chat.id;
    view! {
        <a class="chathead" href=Route::About(id).hash()>
            {picture(desk, chat)}
            <span class="headtext">
                <span class="headname"><bdi>{chat.title.clone()}</bdi>{chat.verified.then(verified)}</span>
                <span class="headsub">{under(desk, chat)}</span>
            </span>
        </a>
        <div class="actions">
            {(!chat.is_group).then(|| view! {
                <a class="iconbutton" href=Route::Safety(id).hash() aria-label=t().safety title=t().safety>
                    {icon(if chat.verified { Icon::ShieldCheck } else { Icon::Shield })}
                </a>
            })}
            <a class="iconbutton" href=Route::About(id).hash() aria-label=t().about title=t().about>{icon(Icon::Info)}</a>
        </div>
    }
}

/// Who is writing; else who they are.
fn under(desk: Desk, chat: &Conversation) -> impl IntoView + use<> {
    let id = chat.id;
    let account = desk.state.with(|state| state.linked_to(chat.identity).map(|account| shown(&account.address)));
    let says = subtitle(desk, chat);
    let says = match account {
        Some(address) => format!("{} · {says}", fill(t().as_account, &[("address", &address)])),
        None => says,
    };
    let writing = Memo::new(move |_| desk.who_writes(id));
    move || writing.get().map_or_else(|| says.clone().into_any(), is_writing)
}

/// A sentence with dots that move. Nobody has it read out: it comes and goes while one reads or writes.
pub(super) fn is_writing(says: String) -> AnyView {
    view! { <span class="writing" aria-hidden="true"><bdi>{says}</bdi><i></i><i></i><i></i></span> }.into_any()
}

/// Which app they are on, or who is in it.
fn subtitle(desk: Desk, chat: &Conversation) -> String {
    if chat.is_group {
        let names: Vec<String> = chat.members.iter().filter_map(|member| member.name.clone()).take(4).collect();
        let more = chat.members.len() - names.len();
        let more = if more > 0 { format!(", +{more}") } else { String::new() };
        return format!("{}{more} · {}", names.join(", "), plural(t().members, chat.members.len() + 1));
    }
    let member = chat.members.first();
    let app = member.map(|member| desk.state.with(|state| state.app_name(&member.account.app))).unwrap_or_default();
    match member.and_then(|member| member.address.clone()).filter(|address| *address != chat.title) {
        Some(address) => format!("{address} · {}", fill(t().on_app, &[("app", &app)])),
        None => fill(t().on_app, &[("app", &app)]),
    }
}

/// Where a conversation stands, when it is not simply open.
fn notice(desk: Desk, id: ConversationId, state: ConversationState) -> AnyView {
    let (text, sign) = match state {
        ConversationState::Starting => (t().starting, Icon::Info),
        ConversationState::Asked => (t().asked, Icon::Info),
        ConversationState::Repairing => (t().repairing, Icon::Key),
        ConversationState::Closed => (t().closed, Icon::Block),
        ConversationState::Open | ConversationState::Request => return ().into_any(),
    };
    let unblock = (state == ConversationState::Closed).then(|| view! {
        <button class="button small" on:click=move |_| desk.please(Intent::Unblock { conversation: id })>{t().unblock}</button>
    });
    view! { <div class="notice" role="status">{icon(sign)}<span>{text}</span>{unblock}</div> }.into_any()
}
