//! Adding a device: the code on this one's screen, whom it brings, and what comes of it. Which step follows which is in
//! [`crate::ui::model::devices`].

use super::desk::Desk;
use super::dialog::modal;
use super::dom;
use super::icon::{Icon, icon};
use super::mark::qr;
use super::notices::bar;
use crate::ui::model::devices::{Offer, in_threes};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{Intent, LinkEnd, Reply};
use parlour_proto::ids::UnixMillis;
use std::time::Duration;

/// What the focus goes to in every step: the answer that does no harm.
const ANSWER: &str = "offer-answer";

/// Asks for a code, and shows it.
pub(super) fn show_code(desk: Desk) {
    desk.devices.update(|devices| devices.prepare_offer());
    spawn_local(async move {
        match desk.ask(Intent::OfferLink).await {
            Ok(Reply::LinkCode { code, scan, until }) => {
                let digits = code.chars().filter(char::is_ascii_digit).collect();
                desk.devices.update(|devices| devices.show_offer(digits, scan, until));
            }
            Ok(_) => close(desk),
            Err(fault) => {
                close(desk);
                desk.complain(&fault);
            }
        }
    });
}

/// The dialog, as long as there is something to say.
pub(super) fn offer(desk: Desk) -> impl IntoView {
    let step = Memo::new(move |_| desk.devices.with(|devices| devices.offer.clone()));
    let is_open = Memo::new(move |_| step.with(Option::is_some));
    let leaves = window_event_listener(leptos::ev::pagehide, move |_| close(desk));
    on_cleanup(move || {
        leaves.remove();
        close(desk);
    });
    Effect::new(move |_| {
        if step.with(Option::is_some) {
            dom::focus_soon(ANSWER);
        }
    });
    let title = move || step.with(|step| step.as_ref().map(|step| words(desk, step).0));
    // All of it in one breath, whenever the step changes.
    let said = move || {
        step.with(|step| step.as_ref().map(|step| words(desk, step))).map(|(title, text)| format!("{title}. {text}"))
    };
    move || {
        is_open.get().then(|| {
            modal(
                title,
                move || close(desk),
                move || {
                    view! {
                        <div class="offer">{move || step.get().map(|step| inside(desk, &step))}</div>
                        <span class="unseen" role="status">{said}</span>
                    }
                    .into_any()
                },
            )
        })
    }
}

/// Nobody looks any more: the code is void.
fn close(desk: Desk) {
    let void = desk.devices.try_update(|devices| devices.close_offer());
    if void == Some(true) {
        spawn_local(async move {
            let _ = desk.ask(Intent::CancelLink).await;
        });
    }
}

/// A step's title and sentence.
fn words(desk: Desk, step: &Offer) -> (String, String) {
    let of = |title: &str, name: &str| fill(title, &[("name", name)]);
    let plain = |title: &str, text: &str| (title.to_owned(), text.to_owned());
    match step {
        Offer::Preparing => plain(t().offer_title, t().moment),
        Offer::Shown { .. } => (t().offer_title.to_owned(), fill(t().offer_text, &[("app", &desk.app_name())])),
        Offer::Asked(name) => (of(t().offer_asked, name), t().offer_asked_text.to_owned()),
        Offer::Linking(name) => (of(t().offer_linking, name), t().moment.to_owned()),
        Offer::Linked(name) => (of(t().offer_linked, name), t().offer_linked_text.to_owned()),
        Offer::Ended(LinkEnd::WrongCode) => plain(t().offer_wrong, t().offer_wrong_text),
        Offer::Ended(LinkEnd::Gone) => plain(t().offer_gone, t().offer_gone_text),
        Offer::Ended(LinkEnd::Expired) => plain(t().offer_expired, t().offer_expired_text),
    }
}

fn inside(desk: Desk, step: &Offer) -> AnyView {
    let text = words(desk, step).1;
    let cancel = view! { <button class="button" id=ANSWER on:click=move |_| close(desk)>{t().cancel}</button> };
    match step {
        Offer::Preparing => {
            view! { <div class="qr waiting" aria-busy="true"></div><div class="answers">{cancel}</div> }.into_any()
        }
        Offer::Shown { code, scan, until } => view! {
            <p>{text}</p>
            {qr(scan, t().offer_qr)}
            <p class="linkcode">{in_threes(code)}</p>
            {countdown(desk, *until)}
            <p class="fine">{icon(Icon::Shield)}{t().offer_fine}</p>
            <div class="answers">{cancel}</div>
        }
        .into_any(),
        Offer::Asked(_) => view! {
            <p class="privacy">{icon(Icon::Warn)}<span>{text}</span></p>
            <div class="answers">
                <button class="button" id=ANSWER on:click=move |_| answer(desk, false)>{t().offer_no}</button>
                <button class="button primary" on:click=move |_| answer(desk, true)>{t().offer_yes}</button>
            </div>
        }
        .into_any(),
        Offer::Linking(_) => view! { <div class="loading" aria-busy="true"></div> }.into_any(),
        Offer::Linked(_) => linked(desk, text).into_any(),
        Offer::Ended(_) => view! {
            <p>{text}</p>
            <div class="answers">
                <button class="button" on:click=move |_| close(desk)>{t().cancel}</button>
                <button class="button primary" id=ANSWER on:click=move |_| show_code(desk)>{t().offer_again}</button>
            </div>
        }
        .into_any(),
    }
}

/// How long the code is good, to the second; not read out.
fn countdown(desk: Desk, until: UnixMillis) -> impl IntoView {
    let left = RwSignal::new(until.since(dom::now()));
    let tick = set_interval_with_handle(
        move || {
            left.set(until.since(dom::now()));
            if left.get_untracked() == 0 {
                desk.devices.update(|devices| devices.end_offer(LinkEnd::Expired));
            }
        },
        Duration::from_secs(1),
    );
    on_cleanup(move || {
        if let Ok(tick) = tick {
            tick.clear();
        }
    });
    let time = move || {
        let seconds = left.get().div_ceil(1000);
        fill(t().offer_until, &[("time", &format!("{}:{:02}", seconds / 60, seconds % 60))])
    };
    view! { <p class="hint center" role="timer">{time}</p> }
}

fn answer(desk: Desk, yes: bool) {
    if !yes {
        desk.devices.update(|devices| devices.offer = None);
        desk.please(Intent::ConfirmLink { yes });
        return;
    }
    desk.devices.update(|devices| devices.confirm_offer());
    spawn_local(async move {
        match desk.ask(Intent::ConfirmLink { yes }).await {
            Ok(_) => {
                desk.devices.update(|devices| devices.offer_was_taken());
                desk.read_devices().await;
            }
            Err(fault) => {
                desk.devices.update(|devices| devices.offer = None);
                desk.complain(&fault);
            }
        }
    });
}

fn linked(desk: Desk, text: String) -> impl IntoView {
    let going = Memo::new(move |_| desk.devices.with(|devices| devices.going.map(|(_, progress)| progress)));
    let is_over = Memo::new(move |_| going.get().is_some_and(|progress| progress.is_over()));
    let text = move || if is_over.get() { t().offer_all_there.to_owned() } else { text.clone() };
    view! {
        <p>{text}</p>
        {move || (!is_over.get()).then(|| bar(t().offer_linked_text, going.into()))}
        <span class="unseen" role="status">{move || is_over.get().then_some(t().offer_all_there)}</span>
        <div class="answers"><button class="button primary" id=ANSWER on:click=move |_| close(desk)>{t().offer_done}</button></div>
    }
}
