//! Questions: a modal dialog with one answer that does something and one that does not.

use super::dom;
use super::menu::is_backdrop;
use crate::ui::strings::t;
use leptos::html;
use leptos::prelude::*;
use std::rc::Rc;

/// Asks before something that cannot be taken back.
pub(super) fn confirm(
    title: &'static str,
    text: impl Into<String>,
    answer: &'static str,
    act: impl Fn() + Copy + 'static,
    close: impl Fn() + Copy + 'static,
) -> impl IntoView {
    let text = text.into();
    modal(title, close, move || {
        view! {
            <p>{text}</p>
            <div class="answers">
                <button class="button" autofocus on:click=move |_| close()>{t().cancel}</button>
                <button class="button bad" on:click=move |_| act()>{answer}</button>
            </div>
        }
        .into_any()
    })
}

/// A modal dialog; Escape and a click beside it close it. The focus goes back to where it was.
pub(super) fn modal(
    title: impl IntoView + 'static,
    close: impl Fn() + Copy + 'static,
    inside: impl FnOnce() -> AnyView,
) -> AnyView {
    shown(title.into_any(), Rc::new(close), inside())
}

/// Compiled once, for all of them.
fn shown(title: AnyView, close: Rc<dyn Fn()>, inside: AnyView) -> AnyView {
    let dialog = NodeRef::<html::Dialog>::new();
    let before = StoredValue::new_local(dom::focused());
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            let _ = dialog.show_modal();
        }
    });
    on_cleanup(move || {
        if let Some(before) = before.try_get_value().flatten() {
            dom::give_focus_back(before);
        }
    });
    let beside = close.clone();
    view! {
        <dialog class="modal" node_ref=dialog aria-labelledby="modal-title" on:close=move |_| close()
            on:click=move |event| if is_backdrop(&event) { beside() }>
            <div class="modalbox">
                <h2 id="modal-title">{title}</h2>
                {inside}
            </div>
        </dialog>
    }
    .into_any()
}
