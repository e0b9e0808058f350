//! Right after sign-up: the recovery key, shown this once, and the name people will see.

use super::desk::{Desk, Newborn};
use super::dom;
use super::frame::what_they_see;
use super::icon::{Icon, icon};
use super::mark::glyph;
use crate::ui::model::state::OWN;
use crate::ui::model::words::{sheet, words_in};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::Intent;

/// The page.
pub(crate) fn recovery(desk: Desk) -> impl IntoView {
    // A page that goes away now takes the only copy with it: the browser asks first.
    let guard = window_event_listener(leptos::ev::beforeunload, move |event| {
        if desk.newborn.with_untracked(|newborn| newborn.as_ref().is_some_and(|newborn| !newborn.kept)) {
            event.prevent_default();
        }
    });
    on_cleanup(move || guard.remove());
    let kept = Memo::new(move |_| desk.newborn.with(|newborn| newborn.as_ref().is_some_and(|newborn| newborn.kept)));
    view! {
        <main class="rite" id="main">
            {move || if kept.get() { naming(desk).into_any() } else { key(desk).into_any() }}
        </main>
    }
}

fn key(desk: Desk) -> impl IntoView {
    let Newborn { address, words, .. } = desk.newborn.get_untracked().unwrap_or(Newborn {
        address: String::new(),
        words: String::new().into(),
        kept: false,
    });
    let words = words_in(&words);
    let sheet = StoredValue::new(sheet(
        &fill(t().key_sheet, &[("app", &desk.app_name())]),
        &address,
        t().key_sheet_advice,
        &words,
    ));
    let agreed = RwSignal::new(false);
    let file = format!("{}-recovery-key.txt", desk.app.with_value(|app| app.as_str().to_owned()));
    let copy = move |_| {
        sheet.with_value(|sheet| dom::copy(sheet));
        desk.tell(t().key_copied);
    };
    let done = move |_| {
        desk.newborn.update(|newborn| {
            if let Some(newborn) = newborn {
                newborn.kept = true;
                newborn.words = String::new().into();
            }
        })
    };
    view! {
        <div class="ritehead"><span class="ritemark">{icon(Icon::Key)}</span><p class="step">{t().step_key}</p></div>
        <h1>{t().key_title}</h1>
        <p class="lead">{t().key_text}</p>
        <p class="printonly"><strong>{fill(t().key_sheet, &[("app", &desk.app_name())])}</strong><br />{address}</p>
        <ol class="words" aria-label=t().key_title>
            {words.into_iter().map(|word| view! { <li>{word}</li> }).collect_view()}
        </ol>
        <div class="keyactions">
            <button class="button" on:click=move |_| dom::print()>{icon(Icon::Print)}{t().print}</button>
            <button class="button" on:click=move |_| sheet.with_value(|sheet| dom::save(&file, sheet))>{icon(Icon::Download)}{t().save_file}</button>
            <button class="button" on:click=copy>{icon(Icon::Copy)}{t().copy}</button>
        </div>
        <label class="agree">
            <input type="checkbox" class="tick" prop:checked=move || agreed.get() on:change=move |event| agreed.set(event_target_checked(&event)) />
            <span>{t().key_kept}</span>
        </label>
        <button class="button primary wide" disabled=move || !agreed.get() on:click=done>{t().go_on}</button>
    }
}

fn naming(desk: Desk) -> impl IntoView {
    let name = RwSignal::new(String::new());
    dom::focus_soon("name");
    let enter = move |name: String| {
        leptos::task::spawn_local(async move {
            if !name.is_empty()
                && let Err(fault) = desk.ask(Intent::SetName { name }).await
            {
                desk.complain(&fault);
            }
            desk.newborn.set(None);
            desk.read_all().await;
        });
    };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        enter(name.get_untracked().trim().to_owned());
    };
    view! {
        <div class="ritehead"><span class="ritemark">{desk.app.with_value(|app| glyph(app.as_str()))}</span><p class="step">{t().step_name}</p></div>
        <h1>{t().name_title}</h1>
        <p class="lead">{t().name_text}</p>
        <form on:submit=submit>
            <label class="field">
                <span class="label">{t().your_name}</span>
                <input id="name" class="input large" type="text" autocomplete="off" maxlength="60" dir="auto"
                    on:input=move |event| name.set(event_target_value(&event)) />
            </label>
            <p class="privacy">{icon(Icon::Eye)}{move || {
                let typed = name.read().trim().to_owned();
                if typed.is_empty() { what_they_see(desk, OWN) } else { fill(t().they_see, &[("name", &typed), ("app", &desk.app_name())]) }
            }}</p>
            <button class="button primary wide" disabled=move || name.read().trim().is_empty()>{t().enter}</button>
            <button type="button" class="button quiet wide" on:click=move |_| enter(String::new())>{t().later}</button>
        </form>
    }
}
