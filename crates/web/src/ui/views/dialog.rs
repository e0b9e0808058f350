//! Questions: a modal dialog with one answer that does something and one that does not.

use super::menu::is_backdrop;
use crate::ui::strings::t;
use leptos::html;
use leptos::prelude::*;

/// Asks before something that cannot be taken back.
pub(super) fn confirm(
    title: &'static str,
    text: &'static str,
    answer: &'static str,
    act: impl Fn() + Copy + 'static,
    close: impl Fn() + Copy + 'static,
) -> impl IntoView {
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

/// A modal dialog; Escape and a click beside it close it.
pub(super) fn modal(
    title: &'static str,
    close: impl Fn() + Copy + 'static,
    inside: impl FnOnce() -> AnyView,
) -> impl IntoView {
    let dialog = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        if let Some(dialog) = dialog.get() {
            let _ = dialog.show_modal();
        }
    });
    view! {
        <dialog class="modal" node_ref=dialog aria-labelledby="modal-title" on:close=move |_| close()
            on:click=move |event| if is_backdrop(&event) { close() }>
            <div class="modalbox">
                <h2 id="modal-title">{title}</h2>
                {inside()}
            </div>
        </dialog>
    }
}
