//! What can be seen once: a button in its place, and what it said for as long as one looks.

use super::bubble::{said, tab_index};
use super::desk::Desk;
use super::dialog::modal;
use super::dom;
use super::icon::{Icon, icon};
use super::stream::Stream;
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_client::api::{Intent, Message, MessageState, Reply};

/// In the bubble: the way to see it, or whether they have.
pub(super) fn once(stream: Stream, desk: Desk, message: &Message) -> AnyView {
    if message.from.is_none() {
        let state = if message.state == MessageState::Read { t().once_opened } else { t().once_waiting };
        return view! { <em class="once">{icon(Icon::Eye)}{t().timer_once}" · "{state}</em> }.into_any();
    }
    let (id, busy) = (message.id, RwSignal::new(false));
    let open = move |_| {
        let Some(conversation) = desk.thread.with_untracked(|thread| thread.id()) else { return };
        busy.set(true);
        leptos::task::spawn_local(async move {
            match desk.ask(Intent::Open { conversation, message: id }).await {
                Ok(Reply::Messages(shown)) => drop(stream.once.try_set(shown.into_iter().next())),
                Ok(_) => {}
                Err(fault) => desk.complain(&fault),
            }
            busy.try_set(false);
        });
    };
    view! { <button class="button small oncebutton" tabindex=move || tab_index(stream, id) disabled=move || busy.get() on:click=open>{icon(Icon::Eye)}{t().timer_once}</button> }
        .into_any()
}

/// It, while it is looked at. It is nowhere else any more.
pub(super) fn shown(stream: Stream, desk: Desk) -> impl IntoView {
    let close = move || {
        stream.once.set(None);
        dom::focus_soon("composer");
    };
    move || {
        stream.once.get().map(|message| {
            modal(t().timer_once, close, || {
                view! {
                    <p class="oncetext" dir="auto">{said(desk, &message)}</p>
                    <p class="fine">{icon(Icon::Info)}{t().once_fine}</p>
                    <div class="answers"><button class="button primary" autofocus on:click=move |_| close()>{t().close}</button></div>
                }
                .into_any()
            })
        })
    }
}
