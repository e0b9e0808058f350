//! The archive: what one keeps for oneself beyond its time, single messages of all conversations and whole ones.

use super::accounts::badge;
use super::bubble;
use super::desk::Desk;
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use crate::ui::model::route::Route;
use crate::ui::model::when::{Local, short};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, Intent, Message, Reply};
use parlour_proto::ids::UnixMillis;
use std::sync::Arc;

/// Messages read at a time.
const PAGE: u32 = 50;

/// The page.
pub(crate) fn kept(desk: Desk) -> impl IntoView {
    let (messages, is_all) = (RwSignal::new(Vec::<(ConversationId, Message)>::new()), RwSignal::new(None::<bool>));
    let read = move || read(desk, messages, is_all);
    read();
    let whole = Memo::new(move |_| {
        desk.state.with(|state| state.chats().filter(|chat| chat.kept).map(|chat| chat.id).collect::<Vec<_>>())
    });
    let is_empty = move || messages.read().is_empty() && whole.read().is_empty() && is_all.read().is_some();
    let is_more = move || !messages.read().is_empty() && is_all.get() == Some(false);
    view! {
        {bar(desk, t().archive, ().into_any())}
        <div class="page" aria-busy=move || is_all.read().is_none().to_string()>
            <p class="lead">{t().archive_lead}</p>
            {move || is_empty().then(|| view! { <div class="blank" role="status">{icon(Icon::Keep)}<p>{t().archive_none}</p></div> })}
            {move || (!whole.read().is_empty()).then(|| view! {
                <ul class="group plain" id="kept-whole" aria-label=t().archive_whole>
                    {whole.get().into_iter().map(|id| conversation(desk, id)).collect_view()}
                </ul>
            })}
            <ul class="cards" id="kept" aria-label=t().archive>
                {move || messages.with(|all| all.iter().map(|(of, message)| card(desk, *of, message, messages)).collect_view())}
            </ul>
            {move || is_more().then(|| view! { <button class="button" id="kept-older" on:click=move |_| read()>{t().archive_older}</button> })}
        </div>
    }
}

/// Reads the next ones; how many are left, only none at all says (an account that is linked may have some).
fn read(desk: Desk, messages: RwSignal<Vec<(ConversationId, Message)>>, is_all: RwSignal<Option<bool>>) {
    let before: Option<UnixMillis> = messages.with_untracked(|all| all.last().map(|(_, oldest)| oldest.time));
    desk.then(Intent::Archive { before, limit: PAGE }, move |reply| {
        if let Reply::Archive(more) = reply {
            let came = more.len();
            messages.try_update(|all| all.extend(more));
            if (1..PAGE as usize).contains(&came) {
                read(desk, messages, is_all);
            } else {
                is_all.try_set(Some(came == 0));
            }
        }
    });
}

fn chat(desk: Desk, id: ConversationId) -> Option<Arc<Conversation>> {
    desk.state.with_untracked(|state| state.chat(id).cloned())
}

fn conversation(desk: Desk, id: ConversationId) -> Option<AnyView> {
    let chat = chat(desk, id)?;
    let line = view! {
        <li><a class="item" href=Route::Chat(id).hash()>
            {icon(Icon::Keep)}<span><bdi>{chat.title.clone()}</bdi><small>{t().archive_all_of_it}</small></span>{icon(Icon::Next)}
        </a></li>
    };
    Some(line.into_any())
}

fn card(
    desk: Desk,
    of: ConversationId,
    message: &Message,
    messages: RwSignal<Vec<(ConversationId, Message)>>,
) -> AnyView {
    let (id, chat) = (message.id, chat(desk, of));
    let title = chat.as_ref().map(|chat| chat.title.clone()).unwrap_or_default();
    let badge = chat.map(|chat| badge(desk, chat.identity).into_any());
    let by = if message.from.is_none() { Some(t().you.to_owned()) } else { message.from_name.clone() };
    let at = Local::of(message.time, dom::offset_min(message.time));
    let about = [by, Some(short(at, desk.today.get_untracked(), t()))].into_iter().flatten().collect::<Vec<_>>();
    let let_go = move |_| {
        desk.then(Intent::Keep { conversation: of, message: id, keep: false }, move |_| {
            messages.update(|all| all.retain(|(_, message)| message.id != id));
            desk.tell(t().archive_let_go);
            dom::focus_soon("main");
        });
    };
    let which = fill(t().archive_open, &[("title", &title)]);
    view! {
        <li class="card keptcard">
            <p class="keptabout"><bdi>{about.join(" · ")}</bdi>" "{badge}</p>
            <p class="kepttext" dir="auto">{bubble::said(desk, message)}</p>
            <div class="choices">
                <a class="button small" href=Route::Chat(of).hash() aria-label=which><bdi>{title}</bdi>{icon(Icon::Next)}</a>
                <button class="button small quiet" on:click=let_go>{t().unkeep}</button>
            </div>
        </li>
    }
    .into_any()
}
