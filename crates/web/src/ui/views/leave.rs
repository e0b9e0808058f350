//! Leaving: signing out takes this device off the account if there are others; deleting asks for a word.

use super::desk::Desk;
use super::dialog::modal;
use super::icon::{Icon, icon};
use crate::ui::strings::t;
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::Intent;

/// What of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    SignOut,
    Delete,
}

/// What signing out will do, in short.
pub(super) fn sign_out_says(desk: Desk) -> &'static str {
    if desk.devices.with(|devices| devices.others().next().is_some()) { t().sign_out_linked } else { t().sign_out_says }
}

/// The question.
pub(super) fn leave(desk: Desk, which: Leaving, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let typed = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let failed = RwSignal::new(false);
    let this = desk.devices.with_untracked(|devices| {
        devices.others().next()?;
        devices.all.iter().find(|device| device.this).map(|device| device.id)
    });
    let first = match which {
        Leaving::SignOut => this.map(|device| Intent::RevokeDevice { device }),
        Leaving::Delete => Some(Intent::DeleteAccount),
    };
    let act = move |_| {
        let first = first.clone();
        let linked: Vec<_> = desk.state.with_untracked(|state| state.linked.iter().map(|account| account.id).collect());
        busy.set(true);
        spawn_local(async move {
            // As far as it can be: their other devices can still take this one off.
            for identity in linked {
                let _ = desk.ask(Intent::Unlink { identity }).await;
            }
            let Some(first) = first else { return desk.wipe() };
            match desk.ask(first).await {
                Ok(_) => desk.wipe(),
                Err(_) if which == Leaving::SignOut => drop(failed.try_set(true)),
                Err(fault) => desk.complain(&fault),
            }
            busy.try_set(false);
        });
    };
    let (title, text, answer) = match which {
        Leaving::SignOut => {
            let text = if this.is_some() { t().sign_out_linked_text } else { t().sign_out_text };
            (t().sign_out_question, text, t().sign_out)
        }
        Leaving::Delete => (t().delete_account_question, t().delete_account_text, t().delete_account),
    };
    let barred =
        move || busy.get() || which == Leaving::Delete && typed.read().trim().to_lowercase() != t().delete_word;
    modal(title, close, move || {
        view! {
            <p>{text}</p>
            {(which == Leaving::Delete).then(|| view! {
                <label class="field"><span class="label">{t().delete_type}</span>
                    <input class="input" type="text" autocomplete="off" autocapitalize="none" on:input=move |event| typed.set(event_target_value(&event)) />
                </label>
            })}
            {move || failed.get().then(|| view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{t().sign_out_offline}</span></p> })}
            <div class="answers">
                <button class="button" on:click=move |_| close()>{t().cancel}</button>
                {move || failed.get().then(|| view! { <button class="button" on:click=move |_| desk.wipe()>{t().sign_out_anyway}</button> })}
                <button class="button bad" disabled=barred on:click=act>{answer}</button>
            </div>
        }
        .into_any()
    })
}
