//! What is said above the list, and on a phone above a conversation: how the connection is when it is not simply there, how
//! far the history from another device has come, and that the account has a device which nobody here has linked.

use super::desk::Desk;
use super::devices::name_of;
use super::icon::{Icon, icon};
use crate::ui::model::devices::Progress;
use crate::ui::model::route::Route;
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::Connection;

/// All of it.
pub(super) fn notices(desk: Desk) -> impl IntoView {
    view! {
        {banner(desk)}
        {history(desk)}
        {newcomer(desk)}
    }
}

fn banner(desk: Desk) -> impl IntoView {
    let text = Memo::new(move |_| match desk.state.with(|state| state.connection) {
        Some(Connection::Offline | Connection::Waiting(_)) => Some((t().offline, false)),
        Some(Connection::CatchingUp) => Some((t().catching_up, true)),
        Some(Connection::Online) | None => None,
    });
    view! {
        <div class="banner" role="status" class:shown=move || text.get().is_some() class:busy=move || text.get().is_some_and(|(_, busy)| busy)>
            <span>{move || text.get().map(|(text, _)| text)}</span>
        </div>
    }
}

/// Not read out at every step: the bar can be asked, and its end is told.
fn history(desk: Desk) -> impl IntoView {
    let coming = Memo::new(move |_| desk.devices.with(|devices| devices.coming));
    let is_coming = Memo::new(move |_| coming.get().is_some());
    let text = move || match coming.get() {
        Some(Progress { done, of }) if of > 0 => {
            fill(t().history_comes, &[("done", &done.to_string()), ("of", &of.to_string())])
        }
        _ => t().history_begins.to_owned(),
    };
    move || {
        is_coming.get().then(|| {
            view! { <div class="history"><span>{text}</span>{bar(t().history_begins, coming.into())}</div> }
        })
    }
}

/// A thin bar; one that only moves as long as nobody knows how much there is.
pub(super) fn bar(said: &'static str, progress: Signal<Option<Progress>>) -> impl IntoView {
    let known = move || progress.get().filter(|progress| progress.of > 0);
    view! {
        <progress aria-label=said max=move || known().map(|known| known.of.to_string())
            value=move || known().map(|known| known.done.to_string())></progress>
    }
}

fn newcomer(desk: Desk) -> impl IntoView {
    let name = Memo::new(move |_| desk.devices.with(|devices| devices.newest_unknown().map(name_of)));
    let is_mine = move |_| {
        let device = desk.devices.with_untracked(|devices| devices.newest_unknown().map(|device| device.id));
        device.into_iter().for_each(|device| desk.knows_device(device));
    };
    move || {
        name.get().map(|name| {
            view! {
                <div class="newcomer" role="alert">
                    {icon(Icon::Warn)}
                    <p>{fill(t().device_new, &[("name", &name)])}</p>
                    <span class="newcomeracts">
                        <a class="button small" href=Route::Devices.hash()>{t().device_new_look}</a>
                        <button class="button small quiet" on:click=is_mine>{t().device_new_mine}</button>
                    </span>
                </div>
            }
        })
    }
}
