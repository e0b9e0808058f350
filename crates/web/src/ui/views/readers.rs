//! Who has an own message in a group, and who has read it, as far as they say so.

use super::desk::Desk;
use super::dialog::modal;
use super::face::face;
use super::icon::ticks;
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_client::api::{ConversationId, Intent, Member, MessageState, Reply};
use parlour_proto::ids::MessageId;

/// The list.
pub(super) fn readers(
    desk: Desk,
    conversation: ConversationId,
    message: MessageId,
    close: impl Fn() + Copy + 'static,
) -> impl IntoView {
    let known = RwSignal::new(None);
    desk.then(Intent::Readers { conversation, message }, move |reply| {
        if let Reply::Readers(mut readers) = reply {
            // Who has read it comes first.
            readers.sort_by_key(|(_, state)| std::cmp::Reverse(*state));
            known.try_set(Some(readers));
        }
    });
    let members = desk.state.with_untracked(|state| state.chat(conversation).map(|chat| chat.members.clone()));
    let members = StoredValue::new(members.unwrap_or_default());
    let rows = move || {
        let all: Vec<(Member, MessageState)> = known
            .get()?
            .into_iter()
            .filter_map(|(who, state)| {
                members
                    .with_value(|members| members.iter().find(|member| member.account == who).cloned())
                    .map(|member| (member, state))
            })
            .collect();
        Some(if all.is_empty() {
            view! { <p>{t().readers_none}</p> }.into_any()
        } else {
            view! { <ul class="plain scrolls">{all.into_iter().map(|(member, state)| row(desk, &member, state)).collect_view()}</ul> }.into_any()
        })
    };
    modal(t().readers, close, move || {
        view! {
            <div class="readers" aria-live="polite">{rows}</div>
            <p class="fine">{t().readers_fine}</p>
            <div class="answers"><button class="button" autofocus on:click=move |_| close()>{t().close}</button></div>
        }
        .into_any()
    })
}

fn row(desk: Desk, member: &Member, state: MessageState) -> impl IntoView + use<> {
    let name = member.name.clone().or_else(|| member.address.clone()).unwrap_or_else(|| t().somebody.to_owned());
    let says = if state == MessageState::Read { t().tick_read } else { t().tick_delivered };
    view! {
        <li class="person">
            {face(desk, member, &name)}
            <span class="personname"><bdi>{name.clone()}</bdi></span>
            <span class="tag"><span aria-hidden="true">{ticks(state)}</span>" "{says}</span>
        </li>
    }
}
