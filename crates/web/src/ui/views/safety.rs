//! Comparing safety numbers: digits to read aloud, a code to scan, and the mark when they were the same.

use super::desk::Desk;
use super::frame::bar;
use super::icon::{Icon, icon};
use super::mark::qr;
use super::scan::{can_scan, scan};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{ConversationId, Intent, Reply, Target};

/// The page.
pub(crate) fn safety(desk: Desk, id: ConversationId) -> impl IntoView {
    let number = RwSignal::new(None::<String>);
    let chat = Memo::new(move |_| desk.state.with(|state| state.chat(id).cloned()));
    let scanning = RwSignal::new(false);
    desk.then(Intent::SafetyNumber { with: Target::Conversation(id) }, move |reply| {
        if let Reply::SafetyNumber { digits, .. } = reply {
            number.set(Some(digits.chars().filter(char::is_ascii_digit).collect()));
        }
    });
    let is_verified = move || chat.with(|chat| chat.as_ref().is_some_and(|chat| chat.verified));
    let name = move || chat.with(|chat| chat.as_ref().map(|chat| chat.title.clone()).unwrap_or_default());
    let mark = move |verified: bool| desk.please(Intent::SetVerified { conversation: id, verified });
    let compare = move |text: String| {
        scanning.set(false);
        let same = number.get_untracked().is_some_and(|number| number == text);
        if same {
            mark(true);
            desk.tell(t().safety_same);
        } else {
            desk.complain_text(t().safety_differs);
        }
    };
    view! {
        {bar(desk, t().safety, ().into_any())}
        <div class="page narrow">
            <p class="lead">{move || fill(t().safety_lead, &[("who", &name())])}</p>
            <div class="safetycard" class:verified=is_verified>
                {move || number.get().map(|number| view! {
                    {qr(&number, t().safety_qr)}
                    <ol class="digits" aria-label=t().safety>{groups(&number).into_iter().map(|group| view! { <li>{group}</li> }).collect_view()}</ol>
                })}
            </div>
            <p class="state" role="status">
                {move || is_verified().then(|| view! { <span class="verified">{icon(Icon::ShieldCheck)}</span>{fill(t().safety_verified, &[("who", &name())])} })}
            </p>
            {can_scan().then(|| view! { <button class="button wide" on:click=move |_| scanning.set(true)>{icon(Icon::Camera)}{t().safety_scan}</button> })}
            {move || if is_verified() {
                view! { <button class="button quiet wide" on:click=move |_| mark(false)>{t().safety_unmark}</button> }.into_any()
            } else {
                view! { <button class="button primary wide" on:click=move |_| mark(true)>{icon(Icon::ShieldCheck)}{t().safety_mark}</button> }.into_any()
            }}
            <p class="fine">{icon(Icon::Info)}{t().safety_fine}</p>
        </div>
        {move || scanning.get().then(|| scan(t().scan_hold, t().safety_no_camera, compare, move || scanning.set(false)))}
    }
}

/// Five digits at a time.
fn groups(digits: &str) -> Vec<String> {
    digits.as_bytes().chunks(5).map(|group| String::from_utf8_lossy(group).into_owned()).collect()
}
