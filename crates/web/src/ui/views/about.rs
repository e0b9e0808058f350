//! Who is in a conversation, and what can be done about it.

use super::chats::{portrait, verified};
use super::desk::Desk;
use super::dialog::{confirm, modal};
use super::face::face;
use super::frame::bar;
use super::icon::{Icon, icon};
use crate::ui::model::route::Route;
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, ConversationState, Intent, Member, Target};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The page.
pub(crate) fn about(desk: Desk, id: ConversationId) -> impl IntoView {
    let chat = Memo::new(move |_| desk.state.with(|state| state.chat(id).cloned()));
    let blocking = RwSignal::new(false);
    let leaving = RwSignal::new(false);
    let adding = RwSignal::new(false);
    let block = move || {
        blocking.set(false);
        desk.then(Intent::Block { conversation: id }, move |_| desk.tell(t().blocked));
    };
    let leave = move || {
        leaving.set(false);
        desk.then(Intent::Leave { conversation: id }, move |_| desk.go(Route::Chats));
    };
    view! {
        {bar(desk, t().about, ().into_any())}
        <div class="page narrow">
            {move || chat.get().map(|chat| inside(desk, &chat, blocking, leaving, adding))}
        </div>
        {move || blocking.get().then(|| confirm(t().block_question, t().block_text, t().block, block, move || blocking.set(false)))}
        {move || leaving.get().then(|| confirm(t().leave_question, t().leave_text, t().leave, leave, move || leaving.set(false)))}
        {move || adding.get().then(|| chat.get_untracked().map(|chat| add(desk, chat, move || adding.set(false))))}
    }
}

fn inside(
    desk: Desk,
    chat: &Conversation,
    blocking: RwSignal<bool>,
    leaving: RwSignal<bool>,
    adding: RwSignal<bool>,
) -> impl IntoView + use<> {
    let id = chat.id;
    let is_closed = chat.state == ConversationState::Closed;
    let app = chat.members.first().map(|member| desk.state.with_untracked(|state| state.app_name(&member.account.app)));
    let address = chat.members.first().and_then(|member| member.address.clone());
    let sub = match (chat.is_group, app, address) {
        (false, Some(app), Some(address)) => format!("{address} · {}", fill(t().on_app, &[("app", &app)])),
        (false, Some(app), None) => fill(t().on_app, &[("app", &app)]),
        _ => String::new(),
    };
    let members = chat.is_group.then(|| {
        let rows = chat.members.iter().map(|member| member_row(desk, id, member.clone())).collect_view();
        view! {
            <section class="group">
                <h2 class="grouptitle">{t().group_people}</h2>
                <ul class="plain">{rows}</ul>
                {(!is_closed).then(|| view! { <button class="item" on:click=move |_| adding.set(true)>{icon(Icon::Plus)}<span>{t().add_people}</span></button> })}
            </section>
        }
    });
    view! {
        <div class="profile">
            {portrait(desk, chat)}
            <h2><bdi>{chat.title.clone()}</bdi>{chat.verified.then(verified)}</h2>
            <p>{sub}</p>
        </div>
        {members}
        {(!chat.is_group).then(|| view! {
            <section class="group">
                <a class="item" href=Route::Safety(id).hash()>{icon(Icon::Shield)}
                    <span>{t().safety}<small>{if chat.verified { t().verified } else { t().not_verified }}</small></span>{icon(Icon::Next)}
                </a>
            </section>
        })}
        <section class="group">
            {if is_closed {
                view! { <button class="item" on:click=move |_| desk.please(Intent::Unblock { conversation: id })>{icon(Icon::Block)}<span>{t().unblock}</span></button> }.into_any()
            } else if chat.is_group {
                view! { <button class="item bad" on:click=move |_| leaving.set(true)>{icon(Icon::Exit)}<span>{t().leave}</span></button> }.into_any()
            } else {
                view! { <button class="item bad" on:click=move |_| blocking.set(true)>{icon(Icon::Block)}<span>{t().block}</span></button> }.into_any()
            }}
        </section>
        <p class="fine">{icon(Icon::Key)}{t().encrypted}</p>
    }
}

fn member_row(desk: Desk, id: ConversationId, member: Member) -> impl IntoView {
    let name = member.name.clone().or(member.address.clone()).unwrap_or_else(|| t().somebody.to_owned());
    let app = desk.state.with_untracked(|state| state.app_name(&member.account.app));
    let account = member.account.clone();
    let remove = move |_| desk.please(Intent::RemoveMember { conversation: id, member: account.clone() });
    view! {
        <li class="person">
            {face(desk, &member, &name)}
            <span class="personname"><bdi>{name.clone()}</bdi><small>{fill(t().on_app, &[("app", &app)])}</small></span>
            <button class="button small quiet" aria-label=format!("{} {name}", t().remove) on:click=remove>{t().remove}</button>
        </li>
    }
}

fn add(desk: Desk, chat: Arc<Conversation>, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let chosen = RwSignal::new(BTreeSet::new());
    let id = chat.id;
    let without = chat.members.iter().map(|member| member.account.account.0).collect();
    let act = move |_| {
        let members = chosen.get_untracked().into_iter().map(Target::Conversation).collect();
        desk.please(Intent::AddMembers { conversation: id, members });
        close();
    };
    modal(t().add_people, close, move || {
        view! {
            <div class="people scrolls">{super::group::people(desk, chosen, &without)}</div>
            <div class="answers">
                <button class="button" on:click=move |_| close()>{t().cancel}</button>
                <button class="button primary" disabled=move || chosen.read().is_empty() on:click=act>{t().add}</button>
            </div>
        }
        .into_any()
    })
}
