//! Who is in a conversation, and what can be done about it.

use super::chats::{portrait, verified};
use super::desk::Desk;
use super::dialog::confirm;
use super::dom;
use super::expiry::{change, expiry};
use super::face::chooser;
use super::frame::bar;
use super::icon::{Icon, icon};
use super::links::links;
use super::members::{add, members, rename};
use crate::ui::model::route::Route;
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, ConversationState, Intent, Picture};
use parlour_proto::ids::UnixMillis;
use std::sync::Arc;

const PAGE: &str = "about";

/// The page.
pub(crate) fn about(desk: Desk, id: ConversationId) -> impl IntoView {
    // What comes in meanwhile is not drawn here, and draws nothing anew.
    let still = |chat: &Arc<Conversation>| {
        let quiet = Conversation { unread: 0, mentioned: false, last: None, ..(**chat).clone() };
        Arc::new(Conversation { last_activity: UnixMillis(0), ..quiet })
    };
    let chat = Memo::new(move |_| desk.state.with(|state| state.chat(id).map(still)));
    let blocking = RwSignal::new(false);
    let leaving = RwSignal::new(false);
    let adding = RwSignal::new(false);
    let renaming = RwSignal::new(false);
    let linking = RwSignal::new(false);
    let changing = RwSignal::new(false);
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
        <div class="page narrow" id=PAGE>
            {move || {
                // What is set here comes back as a change of the conversation.
                if let Some(at) = dom::focused_in(PAGE) {
                    dom::focus_again(PAGE, at);
                }
                chat.get().map(|chat| inside(desk, &chat, blocking, leaving, adding, renaming, linking, changing))
            }}
        </div>
        {move || blocking.get().then(|| confirm(t().block_question, t().block_text, t().block, block, move || blocking.set(false)))}
        {move || leaving.get().then(|| confirm(t().leave_question, t().leave_text, t().leave, leave, move || leaving.set(false)))}
        {move || adding.get().then(|| chat.get_untracked().map(|chat| add(desk, chat, move || adding.set(false))))}
        {move || changing.get().then(|| chat.get_untracked().map(|chat| change(desk, &chat, move || changing.set(false))))}
        {move || linking.get().then(|| links(desk, id, move || linking.set(false)))}
        {move || renaming.get().then(|| chat.get_untracked().map(|chat| rename(desk, chat, move || renaming.set(false))))}
    }
}

/// A group's picture, for who may change it.
fn picture(desk: Desk, chat: &Conversation) -> impl IntoView + use<> {
    let (conversation, has_one, shown) = (chat.id, chat.picture.is_some(), chat.clone());
    let give = move |picture: Option<Picture>| desk.please(Intent::SetGroupPicture { conversation, picture });
    chooser(desk, t().group_picture_choose, move || portrait(desk, &shown), move || has_one, give)
}

fn inside(
    desk: Desk,
    chat: &Conversation,
    blocking: RwSignal<bool>,
    leaving: RwSignal<bool>,
    adding: RwSignal<bool>,
    renaming: RwSignal<bool>,
    linking: RwSignal<bool>,
    changing: RwSignal<bool>,
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
    let members = chat.is_group.then(|| members(desk, chat, !is_closed, adding, linking));
    let renames = chat.group.as_ref().is_some_and(|group| !is_closed && group.rules.change.covers(group.role));
    view! {
        <div class="profile">
            {if renames { picture(desk, chat).into_any() } else { portrait(desk, chat) }}
            <h2><bdi>{chat.title.clone()}</bdi>{chat.verified.then(verified)}</h2>
            <p>{sub}</p>
            {renames.then(|| view! { <button class="button small" on:click=move |_| renaming.set(true)>{t().rename}</button> })}
        </div>
        {members}
        {expiry(desk, chat, changing)}
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
