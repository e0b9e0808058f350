//! What can be done with a message: beside it with a pointer, a sheet from below on a phone.

use super::bubble::{my_account, react, write};
use super::desk::{Desk, Writing};
use super::dialog::confirm;
use super::dom;
use super::emoji::QUICK;
use super::icon::{Icon, icon};
use super::readers::readers;
use super::stream::Stream;
use crate::ui::model::thread::{can_delete, can_edit};
use crate::ui::strings::t;
use leptos::html;
use leptos::prelude::*;
use parlour_client::api::{Body, Intent, Message, Timer};
use parlour_proto::ids::MessageId;
use std::sync::Arc;

/// Which message, and where the pointer was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Menu {
    pub message: MessageId,
    pub at: (f64, f64),
}

/// The menu, while it is open.
pub(super) fn menu(stream: Stream, desk: Desk) -> impl IntoView {
    let deleting = RwSignal::new(None::<MessageId>);
    let asking = RwSignal::new(None::<MessageId>);
    let delete = move || {
        if let (Some(message), Some(id)) = (deleting.get_untracked(), desk.thread.with_untracked(|thread| thread.id()))
        {
            write(desk, id, Body::Delete { message });
        }
        deleting.set(None);
    };
    // What is gone meanwhile is not to be spoken of.
    Effect::new(move |_| {
        desk.thread.with(|thread| {
            let is_gone = |id: Option<MessageId>| id.is_some_and(|id| thread.message(id).is_none());
            if is_gone(stream.menu.get_untracked().map(|menu| menu.message)) {
                stream.menu.set(None);
            }
            for open in [deleting, asking] {
                if is_gone(open.get_untracked()) {
                    open.set(None);
                }
            }
        });
    });
    view! {
        {move || stream.menu.get().and_then(|menu| {
            let message = desk.thread.with_untracked(|thread| thread.message(menu.message).cloned())?;
            Some(opened(stream, desk, menu, message, deleting, asking))
        })}
        {move || asking.get().zip(desk.thread.with_untracked(|thread| thread.id())).map(|(message, id)| readers(desk, id, message, move || asking.set(None)))}
        {move || deleting.get().map(|_| confirm(t().delete_question, t().delete_text, t().delete_for_all, delete, move || deleting.set(None)))}
    }
}

fn opened(
    stream: Stream,
    desk: Desk,
    menu: Menu,
    message: Arc<Message>,
    deleting: RwSignal<Option<MessageId>>,
    asking: RwSignal<Option<MessageId>>,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            let _ = dialog.show_modal();
            place(&dialog, menu.at);
        }
    });
    let id = message.id;
    let close = move || stream.menu.set(None);
    let leave = move || {
        close();
        stream.focus(id);
    };
    let with = move |act: Box<dyn Fn()>| {
        move |_: web_sys::MouseEvent| {
            close();
            act();
        }
    };
    let text = message.text.clone();
    let mine = my_account(desk);
    let given = message.reactions.iter().find(|(who, _)| Some(who) == mine.as_ref()).map(|(_, emoji)| emoji.clone());
    let quick = QUICK.map(|emoji| {
        let is_given = given.as_deref() == Some(emoji);
        let act = with(Box::new(move || {
            react(desk, id, if is_given { String::new() } else { emoji.to_owned() });
            stream.focus(id);
        }));
        view! { <button class="quick" class:own=is_given aria-pressed=is_given.to_string() on:click=act>{emoji}</button> }
    });
    let writes = move |writing: Writing| {
        with(Box::new(move || {
            desk.writing.set(writing);
            dom::focus_soon("composer");
        }))
    };
    let copy = with(Box::new(move || {
        dom::copy(&text);
        desk.tell(t().copied);
    }));
    let (editable, deletable) = (can_edit(&message), can_delete(&message));
    let once = message.timer == Some(Timer::Once);
    let open = desk.thread.with_untracked(|thread| thread.id());
    let chat = open.and_then(|open| desk.state.with_untracked(|state| state.chat(open).cloned()));
    let in_group = chat.as_ref().is_some_and(|chat| chat.is_group);
    let archive = chat.as_ref().and_then(|chat| chat.expiry).is_some_and(|expiry| expiry.archive);
    let kept = message.kept;
    let keeps = (kept || archive) && message.timer.is_none();
    let keep = with(Box::new(move || {
        if let Some(conversation) = open {
            desk.please(Intent::Keep { conversation, message: id, keep: !kept });
        }
        stream.focus(id);
    }));
    view! {
        <dialog class="menu popup" node_ref=dialog aria-label=t().message_menu on:close=move |_| leave()
            on:click=move |event| if is_backdrop(&event) { leave() }
            on:keydown=|event| dom::rove(&event, 1)>
            <div class="menubox">
                <div class="quicks">{quick.collect_view()}</div>
                <button class="menuitem" on:click=writes(Writing::Reply(id))>{icon(Icon::Reply)}{t().reply}</button>
                {(!once).then(|| view! { <button class="menuitem" on:click=copy>{icon(Icon::Copy)}{t().copy}</button> })}
                {keeps.then(|| view! { <button class="menuitem keep" on:click=keep>{icon(Icon::Keep)}{if kept { t().unkeep } else { t().keep }}</button> })}
                {(deletable && in_group).then(|| view! {
                    <button class="menuitem" on:click=with(Box::new(move || asking.set(Some(id))))>{icon(Icon::Eye)}{t().readers}</button>
                })}
                {editable.then(|| view! { <button class="menuitem" on:click=writes(Writing::Edit(id))>{icon(Icon::Edit)}{t().edit}</button> })}
                {deletable.then(|| view! {
                    <button class="menuitem bad" on:click=with(Box::new(move || deleting.set(Some(id))))>{icon(Icon::Trash)}{t().delete_for_all}</button>
                })}
            </div>
        </dialog>
    }
}

/// Whether a click went beside a dialog's box.
pub(super) fn is_backdrop(event: &web_sys::MouseEvent) -> bool {
    use wasm_bindgen::JsCast as _;
    event
        .target()
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .is_some_and(|target| target.tag_name() == "DIALOG")
}

/// Near the pointer, and within the window. The style puts it at the lower edge on a phone.
fn place(dialog: &web_sys::HtmlDialogElement, (x, y): (f64, f64)) {
    let Some(window) = dom::try_window() else { return };
    let size = |value: Result<wasm_bindgen::JsValue, _>| value.ok().and_then(|value| value.as_f64()).unwrap_or(0.0);
    let (width, height) = (size(window.inner_width()), size(window.inner_height()));
    let area = dialog.get_bounding_client_rect();
    let left = (x - area.width() / 2.0).clamp(8.0, (width - area.width() - 8.0).max(8.0));
    let top = (y + 8.0).clamp(8.0, (height - area.height() - 8.0).max(8.0));
    let style = web_sys::HtmlElement::style(dialog);
    let _ = style.set_property("--menu-x", &format!("{left}px"));
    let _ = style.set_property("--menu-y", &format!("{top}px"));
}
