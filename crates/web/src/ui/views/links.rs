//! Links to a group: made, shown as text and QR code, revoked.

use super::desk::Desk;
use super::dialog::modal;
use super::dom;
use super::icon::{Icon, icon};
use super::invite::link;
use super::mark::qr;
use crate::ui::model::when::{Local, day_name};
use crate::ui::strings::{fill, plural, t};
use leptos::prelude::*;
use parlour_client::api::{ConversationId, GroupLink, Intent, Reply};
use parlour_proto::ids::Digest;

/// How many people can join by one link, and for how long.
const USES: u32 = 50;
const LIFE_S: u64 = 7 * 86_400;

#[derive(Clone, Copy)]
struct Links {
    desk: Desk,
    group: ConversationId,
    all: RwSignal<Vec<GroupLink>>,
    /// The one whose code is shown.
    open: RwSignal<Option<Digest>>,
    approve: RwSignal<bool>,
}

/// The dialog.
pub(super) fn links(desk: Desk, group: ConversationId, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let links =
        Links { desk, group, all: RwSignal::new(Vec::new()), open: RwSignal::new(None), approve: RwSignal::new(true) };
    desk.then(Intent::GroupLinks { conversation: group }, move |reply| {
        if let Reply::GroupLinks(all) = reply {
            links.open.set(all.last().map(|link| link.id));
            links.all.set(all);
        }
    });
    modal(t().group_link, close, move || {
        view! {
            <p>{t().group_link_says}</p>
            <ul class="plain links">
                <For each=move || links.all.get() key=|link| link.id children=move |link| links.one(&link) />
            </ul>
            <label class="item">
                <span>{t().group_link_approve}<small>{t().group_link_approve_says}</small></span>
                <input type="checkbox" role="switch" class="switch" prop:checked=move || links.approve.get()
                    on:change=move |event| links.approve.set(event_target_checked(&event)) />
            </label>
            <div class="answers">
                <button class="button" on:click=move |_| close()>{t().done}</button>
                <button id="make-link" class="button primary" on:click=move |_| links.make()>{t().group_link_make}</button>
            </div>
        }
        .into_any()
    })
}

impl Links {
    fn make(self) {
        let approve = self.approve.get_untracked();
        let make = Intent::CreateGroupLink { conversation: self.group, approve, uses: USES, ttl_s: LIFE_S };
        self.desk.then(make, move |reply| {
            if let Reply::GroupLink(link) = reply {
                self.open.set(Some(link.id));
                self.all.update(|all| all.push(link));
            }
        });
    }

    fn revoke(self, id: Digest) {
        self.desk.then(Intent::RevokeGroupLink { link: id }, move |_| {
            self.all.update(|all| all.retain(|link| link.id != id));
            self.desk.tell(t().group_link_revoked);
        });
    }

    fn one(self, of: &GroupLink) -> AnyView {
        let id = of.id;
        let text = link(self.desk, &of.text);
        let at = Local::of(of.until, dom::offset_min(of.until));
        let until = fill(t().group_link_until, &[("day", &day_name(at.day, self.desk.today.get_untracked(), t()))]);
        let kind = if of.approve { t().group_link_asks } else { t().group_link_open };
        let says = format!("{} · {until}", plural(t().group_link_uses, of.uses as usize));
        let plain = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest).to_owned();
        let is_open = move || self.open.get() == Some(id);
        let toggle = move |_| self.open.update(|open| *open = if *open == Some(id) { None } else { Some(id) });
        view! {
            <li class="grouplink">
                <button class="item" aria-expanded=move || is_open().to_string() on:click=toggle>
                    {icon(Icon::Link)}<span>{kind}<small>{says}</small></span>
                </button>
                {move || is_open().then(|| self.whole(id, &text, &plain))}
            </li>
        }
        .into_any()
    }

    fn whole(self, id: Digest, text: &str, plain: &str) -> impl IntoView + use<> {
        let copied = text.to_owned();
        let copy = move |_| {
            dom::copy(&copied);
            self.desk.tell(t().copied);
        };
        view! {
            {qr(text, t().group_link_qr)}
            <p class="link"><bdi>{plain.to_owned()}</bdi></p>
            <div class="answers">
                <button class="button small quiet bad" on:click=move |_| self.revoke(id)>{t().invite_revoke_short}</button>
                <button class="button small" on:click=copy>{icon(Icon::Copy)}{t().copy_link}</button>
            </div>
        }
    }
}
