//! My invite: a link and a QR code that lead to me without telling any handle.

use super::accounts::badge;
use super::desk::Desk;
use super::dialog::confirm;
use super::dom;
use super::frame::{bar, what_they_see};
use super::icon::{Icon, icon};
use super::mark::qr;
use crate::ui::model::when::{Local, day_name};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{IdentityId, Intent, Reply};
use parlour_proto::address::Invite;
use parlour_proto::frames::{AppId, AppInfo, ReachRule};
use parlour_proto::ids::UnixMillis;

/// How many people can use one invite, and for how long.
const USES: u32 = 20;
const LIFE_S: u64 = 30 * 86_400;

/// The page.
pub(crate) fn invite(desk: Desk, id: IdentityId) -> impl IntoView {
    let made = RwSignal::new(None::<(String, UnixMillis)>);
    let revoking = RwSignal::new(false);
    let make = move || {
        desk.then(desk.as_account(id, Intent::CreateInvite { uses: USES, ttl_s: LIFE_S }), move |reply| {
            if let Reply::Invite { text, expires } = reply {
                made.set(Some((text, expires)));
            }
        })
    };
    make();
    // Where its app is, may be known later than the invite.
    let as_link = Memo::new(move |_| made.with(|made| made.as_ref().map(|(text, until)| (link(desk, text), *until))));
    let revoke = move || {
        revoking.set(false);
        desk.then(desk.as_account(id, Intent::RevokeInvites), move |_| {
            made.set(None);
            desk.tell(t().invites_revoked);
            make();
        });
    };
    view! {
        {bar(desk, t().my_invite, (move || badge(desk, id)).into_any())}
        <div class="page narrow">
            <p class="lead">{t().invite_lead}</p>
            <div class="invitecard">
                {move || match as_link.get() {
                    Some((link, expires)) => shown(desk, link, expires).into_any(),
                    None => view! { <div class="qr waiting" aria-busy="true"></div> }.into_any(),
                }}
            </div>
            {closed(desk, id)}
            <p class="privacy">{icon(Icon::Eye)}{move || what_they_see(desk, id)}</p>
            <button class="button quiet bad" on:click=move |_| revoking.set(true)>{t().invite_revoke}</button>
        </div>
        {move || revoking.get().then(|| confirm(t().revoke_question, t().revoke_text, t().invite_revoke, revoke, move || revoking.set(false)))}
    }
}

/// Whom the reach rules keep out even with an invite, and one tap to let them in.
fn closed(desk: Desk, id: IdentityId) -> impl IntoView {
    let apps = RwSignal::new(Vec::<AppId>::new());
    let take = move |reply| {
        if let Reply::Reach(rules) = reply {
            apps.set(rules.into_iter().filter(|(_, rule)| *rule == ReachRule::Nobody).map(|(app, _)| app).collect());
        }
    };
    desk.then(desk.as_account(id, Intent::Reach), take);
    let open = move |_| {
        for app in apps.get_untracked() {
            desk.then(desk.as_account(id, Intent::SetReach { from: app, rule: ReachRule::Invite }), take);
        }
    };
    let names = move || {
        let name = |app: &AppId| desk.state.with(|state| state.app_name(app));
        apps.read().iter().map(name).collect::<Vec<_>>().join(", ")
    };
    move || {
        (!apps.read().is_empty()).then(|| {
            view! {
                <div class="closed" role="note">
                    {icon(Icon::Door)}
                    <p>{fill(t().invite_closed, &[("apps", &names())])}</p>
                    <button id="open-to-invites" class="button small" on:click=open>{t().invite_open}</button>
                </div>
            }
        })
    }
}

fn shown(desk: Desk, link: String, expires: UnixMillis) -> impl IntoView {
    let at = Local::of(expires, dom::offset_min(expires));
    let until = day_name(at.day, desk.today.get_untracked(), t());
    let copied = link.clone();
    let copy = move |_| {
        dom::copy(&copied);
        desk.tell(t().copied);
    };
    let plain = link.split_once("://").map_or(link.as_str(), |(_, rest)| rest).to_owned();
    view! {
        {qr(&link, t().invite_qr)}
        <p class="link"><bdi>{plain}</bdi></p>
        <button class="button primary" on:click=copy>{icon(Icon::Copy)}{t().copy_link}</button>
        <p class="fine">{fill(t().invite_until, &[("day", &until)])}</p>
    }
}

/// An invite as a link to its own app (`…/i#token`), whichever app shows it; what is after `#` never reaches a server. As it is,
/// where that app is not known.
pub(super) fn link(desk: Desk, text: &str) -> String {
    let mut parts = text.rsplit('/');
    let (token, app) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let origin = if desk.app.with_value(|own| own.as_str() == app) {
        Some(dom::origin())
    } else {
        let domain = |info: &AppInfo| dom::origin_of(&info.domain);
        desk.state.with(|state| state.apps.iter().find(|info| info.app.as_str() == app).map(domain))
    };
    origin.map_or_else(|| text.to_owned(), |origin| format!("{origin}/i#{token}"))
}

/// The invite in what was pasted or scanned: a link of any app here, or its short form.
pub(super) fn invite_in(pasted: &str) -> Option<String> {
    Invite::parse(pasted).ok().filter(|invite| invite.group.is_none()).map(|invite| invite.to_text())
}

/// As [`invite_in`], for a link to a group.
pub(super) fn group_link_in(pasted: &str) -> Option<String> {
    Invite::parse(pasted).ok().filter(|invite| invite.group.is_some()).map(|invite| invite.to_text())
}

/// The page was opened by an invite's link: the place where it is used, without the link staying in the history.
pub(super) fn opened_by_link(app: &str) {
    let Some(window) = dom::try_window() else { return };
    let token = dom::hash();
    let is_invite = window.location().pathname().is_ok_and(|path| path == "/i") && token.len() > 1;
    if let (true, Ok(history)) = (is_invite, window.history()) {
        let place = format!("/#/i/{app}/{}", token.trim_start_matches('#'));
        let _ = history.replace_state_with_url(&wasm_bindgen::JsValue::NULL, "", Some(&place));
    }
}
