//! Who may contact me: one row for each app, one choice in each; every rule is two taps away.

use super::accounts::badge;
use super::desk::Desk;
use super::frame::bar;
use super::icon::{Icon, icon};
use super::mark::glyph;
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{IdentityId, Intent, Reply};
use parlour_proto::frames::{AppId, ReachRule};

const RULES: [ReachRule; 3] = [ReachRule::Ask, ReachRule::Invite, ReachRule::Nobody];

/// The page.
pub(crate) fn reach(desk: Desk, id: IdentityId) -> impl IntoView {
    let rules = RwSignal::new(Vec::<(AppId, ReachRule)>::new());
    let take = move |reply| {
        if let Reply::Reach(read) = reply {
            rules.set(read);
        }
    };
    desk.then(desk.as_account(id, Intent::Reach), take);
    let own = desk.state.with_untracked(|state| state.account(id).map(|account| account.account.app.clone()));
    let of = own.clone();
    // A rule that changes draws nothing anew: the focus stays.
    let apps = Memo::new(move |_| {
        let mut apps: Vec<AppId> = rules.read().iter().map(|(app, _)| app.clone()).collect();
        apps.sort_by_key(|app| (of.as_ref() != Some(app), app.clone()));
        apps
    });
    view! {
        {bar(desk, t().reach, (move || badge(desk, id)).into_any())}
        <div class="page">
            <p class="lead">{t().reach_lead}</p>
            <div class="board">
                {move || apps.get().into_iter().map(|app| row(desk, id, own.as_ref() == Some(&app), app, rules)).collect_view()}
            </div>
            <p class="fine">{icon(Icon::Info)}{t().reach_fine}</p>
        </div>
    }
}

fn row(desk: Desk, id: IdentityId, is_own: bool, app: AppId, rules: RwSignal<Vec<(AppId, ReachRule)>>) -> AnyView {
    let name = desk.state.with_untracked(|state| state.app_name(&app));
    let of = app.clone();
    let rule =
        Memo::new(move |_| rules.with(|rules| rules.iter().find(|(known, _)| *known == of).map(|(_, rule)| *rule)));
    let title = fill(t().people_on, &[("app", &name)]);
    let group = format!("reach-{app}");
    let choice = {
        let app = app.clone();
        move |wanted: ReachRule| {
            let app = app.clone();
            let choose = move |_| set(desk, id, app.clone(), wanted, rules);
            let label = match wanted {
                ReachRule::Ask => t().rule_ask,
                ReachRule::Invite => t().rule_invite,
                ReachRule::Nobody => t().rule_nobody,
            };
            view! {
                <label class="segment">
                    <input type="radio" name=group.clone() prop:checked=move || rule.get() == Some(wanted) on:change=choose />
                    <span>{label}</span>
                </label>
            }
        }
    };
    view! {
        <fieldset class="boardrow" data-of=app.as_str().to_owned()>
            <legend class="boardname">
                <span class="boardmark">{glyph(app.as_str())}</span>
                <span>{title}{is_own.then(|| view! { <small>{t().your_app}</small> })}</span>
            </legend>
            <div class="segments">{RULES.map(choice).collect_view()}</div>
            <p class="boardsays">{move || rule.get().map(|rule| match rule {
                ReachRule::Ask => t().rule_ask_says,
                ReachRule::Invite => t().rule_invite_says,
                ReachRule::Nobody => t().rule_nobody_says,
            })}</p>
        </fieldset>
    }
    .into_any()
}

fn set(desk: Desk, id: IdentityId, app: AppId, rule: ReachRule, rules: RwSignal<Vec<(AppId, ReachRule)>>) {
    let before = rules.get_untracked();
    rules.update(|rules| rules.iter_mut().filter(|(known, _)| *known == app).for_each(|(_, known)| *known = rule));
    leptos::task::spawn_local(async move {
        match desk.ask(desk.as_account(id, Intent::SetReach { from: app, rule })).await {
            Ok(Reply::Reach(now)) => rules.set(now),
            Ok(_) => {}
            Err(fault) => {
                rules.set(before);
                desk.complain(&fault);
            }
        }
    });
}
