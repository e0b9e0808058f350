//! Making a group: a title, and people from among those one talks to.

use super::accounts::badge;
use super::chats::portrait;
use super::desk::Desk;
use super::frame::bar;
use crate::ui::model::route::Route;
use crate::ui::strings::{plural, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, ConversationState, IdentityId, Intent, Reply, Target};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The page.
pub(crate) fn group(desk: Desk) -> impl IntoView {
    let title = RwSignal::new(String::new());
    let chosen = RwSignal::new(BTreeSet::<ConversationId>::new());
    let make = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let members = chosen.get_untracked().into_iter().map(Target::Conversation).collect();
        let title = title.get_untracked().trim().to_owned();
        desk.then(Intent::CreateGroup { title, members }, move |reply| {
            if let Reply::Conversation(group) = reply {
                let id = group.id;
                desk.state.update(|state| state.put_conversation(group));
                desk.go(Route::Chat(id));
            }
        });
    };
    let ready = move || !title.read().trim().is_empty() && !chosen.read().is_empty();
    view! {
        {bar(desk, t().new_group, ().into_any())}
        <form class="page narrow" on:submit=make>
            <label class="field">
                <span class="label">{t().group_title}</span>
                <input class="input large" type="text" maxlength="60" autocomplete="off" dir="auto"
                    on:input=move |event| title.set(event_target_value(&event)) />
            </label>
            <fieldset class="people">
                <legend class="label">{t().group_people}</legend>
                {people(desk, chosen, &BTreeSet::new(), None)}
            </fieldset>
            <div class="sticky">
                <button class="button primary wide" disabled=move || !ready()>
                    {move || if chosen.read().is_empty() { t().group_make.to_owned() } else { plural(t().group_make_with, chosen.read().len()) }}
                </button>
            </div>
        </form>
    }
}

/// Those one talks to, to be ticked; without some.
pub(super) fn people(
    desk: Desk,
    chosen: RwSignal<BTreeSet<ConversationId>>,
    without: &BTreeSet<[u8; 16]>,
    of: Option<IdentityId>,
) -> impl IntoView + use<> {
    let fits = |chat: &&Arc<Conversation>| {
        !chat.is_group
            && chat.state == ConversationState::Open
            && of.is_none_or(|of| of == chat.identity)
            && !chat.members.iter().any(|member| without.contains(&member.account.account.0))
    };
    let chats: Vec<Arc<Conversation>> =
        desk.state.with_untracked(|state| state.chats().filter(fits).cloned().collect());
    let none = chats.is_empty().then(|| view! { <p class="hint">{t().group_nobody}</p> });
    // One account makes a group: whom another one knows cannot be brought in by it.
    let asks = Memo::new(move |_| {
        let first = chosen.with(|chosen| chosen.first().copied());
        first.and_then(|first| desk.state.with(|state| state.chat(first).map(|chat| chat.identity)))
    });
    let one = move |chat: Arc<Conversation>| {
        let (id, identity) = (chat.id, chat.identity);
        let barred = move || asks.get().is_some_and(|asks| asks != identity);
        let toggle = move |_| {
            chosen.update(|chosen| {
                if !chosen.remove(&id) {
                    chosen.insert(id);
                }
            })
        };
        view! {
            <label class="person">
                {portrait(desk, &chat)}
                <span class="personname"><bdi>{chat.title.clone()}</bdi>" "{badge(desk, identity)}</span>
                <input type="checkbox" class="tick" disabled=barred prop:checked=move || chosen.read().contains(&id) on:change=toggle />
            </label>
        }
    };
    view! { {none}{chats.into_iter().map(one).collect_view()} }
}
