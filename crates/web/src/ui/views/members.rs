//! Who is in a group, their roles, and who may do what.

use super::desk::Desk;
use super::dialog::modal;
use super::face::face;
use super::icon::{Icon, icon};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{
    Allowed, Conversation, ConversationId, GroupRole, GroupRules, GroupView, Intent, Member, Target,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// People and rules of a group; `open`: something can be changed in it.
pub(super) fn members(
    desk: Desk,
    chat: &Conversation,
    open: bool,
    adding: RwSignal<bool>,
    linking: RwSignal<bool>,
) -> AnyView {
    let id = chat.id;
    let group = chat.group.clone().filter(|_| open);
    let rows = chat.members.iter().map(|member| row(desk, id, member.clone(), group.as_deref())).collect_view();
    let adds = group.as_ref().is_some_and(|group| group.rules.add.covers(group.role));
    view! {
        <section class="group">
            <h2 class="grouptitle">{t().group_people}</h2>
            <ul class="plain">{rows}{group.as_deref().map(|group| invited(desk, id, group))}</ul>
            {adds.then(|| view! { <button class="item" on:click=move |_| adding.set(true)>{icon(Icon::Plus)}<span>{t().add_people}</span></button>
                <button class="item" on:click=move |_| linking.set(true)>{icon(Icon::Link)}<span>{t().group_link}</span></button>
            })}
        </section>
        {group.map(|group| rules(desk, id, &group))}
    }
    .into_any()
}

/// Who was asked, and has not answered.
fn invited(desk: Desk, id: ConversationId, group: &GroupView) -> impl IntoView + use<> {
    let line = move |member: &Member| {
        let name = member.name.clone().or(member.address.clone()).unwrap_or_else(|| t().somebody.to_owned());
        let account = member.account.clone();
        let back = move |_| desk.please(Intent::Uninvite { conversation: id, member: account.clone() });
        view! {
            <li class="person">
                {face(desk, member, &name)}
                <span class="personname"><bdi>{name.clone()}</bdi><small>{t().asked_in}</small></span>
                <button class="button small quiet" aria-label=format!("{} {name}", t().uninvite) on:click=back>{t().uninvite}</button>
            </li>
        }
    };
    group.invited.iter().map(line).collect_view()
}

fn role_name(role: GroupRole) -> &'static str {
    match role {
        GroupRole::Member => t().role_member,
        GroupRole::Admin => t().role_admin,
        GroupRole::Owner => t().role_owner,
    }
}

fn row(desk: Desk, id: ConversationId, member: Member, group: Option<&GroupView>) -> impl IntoView + use<> {
    let name = member.name.clone().or(member.address.clone()).unwrap_or_else(|| t().somebody.to_owned());
    let app = desk.state.with_untracked(|state| state.app_name(&member.account.app));
    let of =
        |account| group.and_then(|group| group.roles.iter().find(|(who, _)| who == account).map(|(_, role)| *role));
    let theirs = of(&member.account).unwrap_or(GroupRole::Member);
    let mine = group.map(|group| group.role);
    let gives = mine == Some(GroupRole::Owner);
    let account = member.account.clone();
    let remove = move |_| desk.please(Intent::RemoveMember { conversation: id, member: account.clone() });
    let removes = gives || mine > Some(theirs);
    let label = (!gives && theirs != GroupRole::Member).then(|| view! { <span class="tag">{role_name(theirs)}</span> });
    let account = member.account.clone();
    let choose = gives.then(|| {
        let set = move |event| {
            let role = match event_target_value(&event).as_str() {
                "owner" => GroupRole::Owner,
                "admin" => GroupRole::Admin,
                _ => GroupRole::Member,
            };
            desk.please(Intent::SetRole { conversation: id, member: account.clone(), role });
        };
        let option = |value: &'static str, role| view! { <option value=value selected=role == theirs>{role_name(role)}</option> };
        view! {
            <select class="select small" aria-label=fill(t().role_of, &[("name", &name)]) on:change=set>
                {option("member", GroupRole::Member)}{option("admin", GroupRole::Admin)}{option("owner", GroupRole::Owner)}
            </select>
        }
    });
    view! {
        <li class="person">
            {face(desk, &member, &name)}
            <span class="personname"><bdi>{name.clone()}</bdi><small>{fill(t().on_app, &[("app", &app)])}</small></span>
            {label}
            {choose}
            {removes.then(|| view! {
                <button class="button small quiet" aria-label=format!("{} {name}", t().remove) on:click=remove>{t().remove}</button>
            })}
        </li>
    }
}

fn rules(desk: Desk, id: ConversationId, group: &GroupView) -> impl IntoView + use<> {
    let now = group.rules;
    let sets = group.role >= GroupRole::Admin;
    let line = |name: &'static str, of: fn(&mut GroupRules) -> &mut Allowed| {
        let is = *of(&mut now.clone()) == Allowed::Admins;
        let toggle = move |event| {
            let mut rules = now;
            *of(&mut rules) = if event_target_checked(&event) { Allowed::Admins } else { Allowed::Everyone };
            desk.please(Intent::SetRules { conversation: id, rules });
        };
        (sets || is).then(|| view! {
            <label class="item">
                <span>{name}</span>
                <input type="checkbox" role="switch" class="switch" prop:checked=is disabled=!sets on:change=toggle />
            </label>
        })
    };
    let lines = (
        line(t().only_admins_write, |rules| &mut rules.write),
        line(t().only_admins_add, |rules| &mut rules.add),
        line(t().only_admins_change, |rules| &mut rules.change),
    );
    let history = history(desk, id, now, sets);
    let limits = limits(desk, id, group.attributed, sets);
    view! { <section class="group"><h2 class="grouptitle">{t().group_rules}</h2>{lines}{history}{limits}</section> }
}

/// Attributed mode: anybody turns it on, admins turn it off.
fn limits(desk: Desk, id: ConversationId, is: bool, ends: bool) -> impl IntoView + use<> {
    let stays = is && !ends;
    let set = move |event| {
        desk.please(Intent::SetAttributed { conversation: id, attributed: event_target_checked(&event) });
    };
    view! {
        <label class="item">
            <span>{t().limits}<small>{t().limits_say}</small></span>
            <input type="checkbox" role="switch" class="switch" prop:checked=is disabled=stays on:change=set />
        </label>
    }
}

/// What newcomers are given of what was said before.
fn history(desk: Desk, id: ConversationId, now: GroupRules, sets: bool) -> impl IntoView + use<> {
    const DAY_S: u64 = 24 * 3_600;
    let choices = [
        (None, t().history_none),
        (Some(DAY_S), t().history_day),
        (Some(7 * DAY_S), t().history_week),
        (Some(30 * DAY_S), t().history_month),
        (Some(365 * DAY_S), t().history_year),
    ];
    let set = move |event| {
        let chosen = event_target_value(&event).parse::<u64>().ok();
        desk.please(Intent::SetRules { conversation: id, rules: GroupRules { history_s: chosen, ..now } });
    };
    let value = |seconds: Option<u64>| seconds.map(|seconds| seconds.to_string()).unwrap_or_default();
    // What another client has set may lie between these.
    let nearest = choices.iter().rev().map(|(seconds, _)| *seconds).find(|seconds| *seconds <= now.history_s).flatten();
    let options = choices.map(|(seconds, name)| {
        view! { <option value=value(seconds) selected=seconds == nearest>{name}</option> }
    });
    (sets || now.history_s.is_some()).then(|| {
        view! {
            <label class="item">
                <span>{t().history_rule}<small>{t().history_says}</small></span>
                <select class="select" disabled=!sets on:change=set>{options.collect_view()}</select>
            </label>
        }
    })
}

/// Asks for the group's new title.
pub(super) fn rename(desk: Desk, chat: Arc<Conversation>, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let id = chat.id;
    let title = RwSignal::new(chat.title.clone());
    let act = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let title = title.get_untracked().trim().to_owned();
        desk.please(Intent::Rename { conversation: id, title });
        close();
    };
    modal(t().rename, close, move || {
        view! {
            <form on:submit=act>
                <input class="input" type="text" maxlength="60" autocomplete="off" dir="auto" autofocus aria-label=t().group_title
                    prop:value=title.get_untracked() on:input=move |event| title.set(event_target_value(&event)) />
                <div class="answers">
                    <button type="button" class="button" on:click=move |_| close()>{t().cancel}</button>
                    <button class="button primary" disabled=move || title.read().trim().is_empty()>{t().save}</button>
                </div>
            </form>
        }
        .into_any()
    })
}

/// Asks whom to bring in.
pub(super) fn add(desk: Desk, chat: Arc<Conversation>, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let chosen = RwSignal::new(BTreeSet::new());
    let address = RwSignal::new(String::new());
    let (id, of) = (chat.id, chat.identity);
    let without = chat.members.iter().map(|member| member.account.account.0).collect();
    let act = move |_| {
        let mut members: Vec<Target> = chosen.get_untracked().into_iter().map(Target::Conversation).collect();
        let typed = address.get_untracked().trim().to_owned();
        members.extend((!typed.is_empty()).then_some(Target::Address(typed)));
        desk.please(Intent::AddMembers { conversation: id, members });
        close();
    };
    let none = move || chosen.read().is_empty() && !address.read().trim().contains('@');
    modal(t().add_people, close, move || {
        view! {
            <div class="people scrolls">{super::group::people(desk, chosen, &without, Some(of))}</div>
            <label class="field">
                <span class="label">{t().add_by_address}</span>
                <input id="add-address" class="input" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" placeholder=t().whom_example
                    on:input=move |event| address.set(event_target_value(&event)) />
                <small class="fine">{t().add_by_address_says}</small>
            </label>
            <div class="answers">
                <button class="button" on:click=move |_| close()>{t().cancel}</button>
                <button class="button primary" disabled=none on:click=act>{t().add}</button>
            </div>
        }
        .into_any()
    })
}
