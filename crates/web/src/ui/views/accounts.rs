//! The accounts that this app answers for: its own, and those of other apps that were linked here; whether what comes for them
//! is shown, and when it makes no sound.

use super::desk::Desk;
use super::dialog::confirm;
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use super::link::{For, form};
use super::mark::glyph;
use super::settings::{privacy, profile};
use crate::ui::model::phone;
use crate::ui::model::quiet::{NIGHT, clock, minute_of};
use crate::ui::model::route::Route;
use crate::ui::model::state::{AppState, OWN};
use crate::ui::model::when::Local;
use crate::ui::port::Fault;
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{Failure, Identity, IdentityId, Intent, Reply, Request, Showing};

/// What the focus goes to when a linked account is gone.
const LINK: &str = "link-account";

impl Desk {
    /// What an account is to do; this app's own does it without being named.
    pub(super) fn as_account(self, id: IdentityId, intent: Intent) -> Intent {
        if id == OWN { intent } else { Intent::As(id, Box::new(intent)) }
    }

    /// Reads who asks whom.
    pub(super) async fn read_requests(self) {
        let ids: Vec<IdentityId> =
            self.state.with_untracked(|state| state.accounts().map(|account| account.id).collect());
        let mut all = Vec::new();
        for id in ids {
            match self.ask(Intent::As(id, Box::new(Intent::Requests))).await {
                Ok(Reply::Requests(requests)) => all.extend(requests.into_iter().map(|request| (id, request))),
                // Unlinked meanwhile.
                Err(Fault::Failed(Failure::NotFound(_))) => {}
                _ => return,
            }
        }
        self.state.update(|state| state.set_requests(all));
    }

    /// A request does not say which account it asks: where there are several, they are asked for it.
    pub(super) async fn hear_request(self, request: Request) {
        let ids: Vec<IdentityId> = self.state.with_untracked(|state| state.linked.iter().map(|one| one.id).collect());
        let mut asked = OWN;
        for id in ids {
            if let Ok(Reply::Requests(all)) = self.ask(Intent::As(id, Box::new(Intent::Requests))).await
                && all.iter().any(|one| one.id == request.id)
            {
                asked = id;
            }
        }
        let news = self.state.try_update(|state| state.put_request(asked, &request)).flatten();
        self.announce(news.as_slice());
    }

    /// Says where what comes for an account is shown on this device.
    fn set_showing(self, id: IdentityId, showing: Showing) {
        let put = move |showing| {
            self.state.update(|state| {
                if let Some(account) = state.account_mut(id) {
                    account.showing = showing;
                }
            });
        };
        let before = self.state.with_untracked(|state| state.account(id).map(|account| account.showing));
        put(showing);
        spawn_local(async move {
            if let Err(fault) = self.say_showing(id, showing).await {
                self.complain(&fault);
                before.into_iter().for_each(put);
            }
        });
    }

    async fn say_showing(self, id: IdentityId, showing: Showing) -> Result<(), Fault> {
        let devices = match self.ask(Intent::As(id, Box::new(Intent::Devices))).await? {
            Reply::Devices(devices) => devices,
            _ => return Err(Fault::Interrupted),
        };
        let this = devices.iter().find(|device| device.this).ok_or(Fault::Interrupted)?;
        self.ask(Intent::SetShowing { device: this.id, showing }).await.map(drop)
    }
}

/// An address as people read it.
pub(super) fn shown(address: &str) -> String {
    match address.split_once('@').filter(|_| address.starts_with('+')) {
        Some((handle, app)) => format!("{}@{app}", phone::grouped(handle)),
        None => address.to_owned(),
    }
}

/// Which linked account something is of; nothing where it is this app's own.
pub(super) fn badge(desk: Desk, id: IdentityId) -> impl IntoView {
    let account = desk.state.with(|state| state.linked_to(id).cloned());
    account.map(|account| {
        let app = account.account.app.as_str().to_owned();
        let says = fill(t().as_account, &[("address", &shown(&account.address))]);
        view! { <span class="mark as" data-of=app.clone() title=says.clone()><span aria-hidden="true">{app.clone()}</span><span class="unseen">{says.clone()}</span></span> }
    })
}

/// Which minute of the day it is here.
pub(super) fn minute_now() -> u16 {
    let now = dom::now();
    Local::of(now, dom::offset_min(now)).minute as u16
}

/// The page.
pub(crate) fn accounts(desk: Desk) -> impl IntoView {
    let ids = Memo::new(move |_| desk.state.with(|state| state.accounts().map(|one| one.id).collect::<Vec<_>>()));
    let linking = RwSignal::new(false);
    let unlinking = RwSignal::new(None::<Identity>);
    let unlink = move || {
        if let Some(account) = unlinking.get_untracked() {
            desk.then(Intent::Unlink { identity: account.id }, move |_| {
                desk.tell(fill(t().account_gone, &[("address", &shown(&account.address))]));
                dom::focus_soon(LINK);
            });
        }
        unlinking.set(None);
    };
    view! {
        {bar(desk, t().accounts, ().into_any())}
        <div class="page narrow">
            <p class="lead">{t().accounts_lead}</p>
            <For each=move || ids.get() key=|id| *id children=move |id| one(desk, id, unlinking) />
            {move || if linking.get() {
                view! { <section class="card">{form(desk, For::Account(linking))}</section> }.into_any()
            } else {
                view! { <button class="button primary wide" id=LINK on:click=move |_| linking.set(true)>{icon(Icon::Plus)}{t().account_link}</button> }.into_any()
            }}
        </div>
        {move || unlinking.get().map(|account| confirm(
            t().account_unlink_question,
            fill(t().account_unlink_text, &[("address", &shown(&account.address))]),
            t().account_unlink,
            unlink,
            move || unlinking.set(None),
        ))}
    }
}

/// The page of one that is linked: what this app has for its own account elsewhere.
pub(crate) fn account(desk: Desk, id: IdentityId) -> impl IntoView {
    view! {
        {bar(desk, t().settings, (move || badge(desk, id)).into_any())}
        <div class="page">
            {profile(desk, id)}
            <section class="group">
                <a class="item" href=Route::Invite(id).hash()>{icon(Icon::Qr)}<span>{t().my_invite}<small>{t().my_invite_says}</small></span>{icon(Icon::Next)}</a>
                <a class="item" href=Route::Reach(id).hash()>{icon(Icon::Door)}<span>{t().reach}<small>{t().requests_reach}</small></span>{icon(Icon::Next)}</a>
            </section>
            {privacy(desk, id)}
        </div>
    }
}

fn one(desk: Desk, id: IdentityId, unlinking: RwSignal<Option<Identity>>) -> impl IntoView {
    let Some(account) = desk.state.with_untracked(|state| state.account(id).cloned()) else { return ().into_any() };
    let app = account.account.app.as_str().to_owned();
    let name = desk.state.with_untracked(|state| state.app_name(&account.account.app));
    let is_off = Memo::new(move |_| desk.state.with(|state| !state.is_shown(id)));
    let address = shown(&account.address);
    let label = format!("{} {address}", t().account_unlink);
    let app_name = [("app", name.as_str())];
    let (to, says) = if id == OWN {
        (Route::Settings, fill(t().account_own, &app_name))
    } else {
        (Route::Account(id), format!("{}: {}", fill(t().on_app, &app_name), t().account_settings))
    };
    view! {
        <section class="group account" data-of=app.clone()>
            <a class="item" href=to.hash()>
                <span class="appmark" data-of=app.clone()>{glyph(&app)}</span>
                <span><bdi>{address}</bdi><small>{says}</small></span>
                {icon(Icon::Next)}
            </a>
            // What another device has switched off here can be switched on again.
            {move || (id != OWN || is_off.get()).then(|| shows(desk, id, is_off))}
            {(id != OWN).then(|| view! {
                {move || (!is_off.get()).then(|| quiet(desk, id))}
                <button class="item bad" aria-label=label on:click=move |_| unlinking.set(desk.state.with_untracked(|state| state.account(id).cloned()))>
                    {icon(Icon::Link)}<span>{t().account_unlink}</span>
                </button>
            })}
        </section>
    }
    .into_any()
}

fn showing(state: &AppState, id: IdentityId) -> Showing {
    state.account(id).map(|account| account.showing).unwrap_or_default()
}

fn shows(desk: Desk, id: IdentityId, is_off: Memo<bool>) -> impl IntoView {
    let toggle = move |event| {
        let before = desk.state.with_untracked(|state| showing(state, id));
        desk.set_showing(id, Showing { off: !event_target_checked(&event), ..before });
    };
    view! {
        <label class="item shows">
            <span>{t().account_shows}<small>{t().account_shows_says}</small></span>
            <input type="checkbox" role="switch" class="switch" prop:checked=move || !is_off.get() on:change=toggle />
        </label>
    }
}

fn quiet(desk: Desk, id: IdentityId) -> impl IntoView {
    let hours = Memo::new(move |_| desk.state.with(|state| showing(state, id).quiet));
    let is_on = Memo::new(move |_| hours.get().is_some());
    let set = move |quiet| {
        let before = desk.state.with_untracked(|state| showing(state, id));
        desk.set_showing(id, Showing { quiet, ..before });
    };
    let field = move |name: &'static str, is: fn((u16, u16)) -> u16, put: fn((u16, u16), u16) -> (u16, u16)| {
        let change = move |event| {
            if let (Some(hours), Some(minute)) = (hours.get_untracked(), minute_of(&event_target_value(&event))) {
                set(Some(put(hours, minute)));
            }
        };
        view! {
            <label class="hours">
                <span class="label">{name}</span>
                <input class="input" type="time" required prop:value=move || hours.get().map(|hours| clock(is(hours))).unwrap_or_default() on:change=change />
            </label>
        }
    };
    view! {
        <label class="item">
            <span>{t().quiet}<small>{t().quiet_says}</small></span>
            <input type="checkbox" role="switch" class="switch" prop:checked=move || is_on.get()
                on:change=move |event| set(event_target_checked(&event).then_some(NIGHT)) />
        </label>
        {move || is_on.get().then(|| view! {
            <div class="item bare quiethours">
                {field(t().quiet_from, |(from, _)| from, |(_, until), from| (from, until))}
                {field(t().quiet_until, |(_, until)| until, |(from, _), until| (from, until))}
            </div>
        })}
    }
}
