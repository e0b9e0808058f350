//! Writing to somebody new: by address, by invite, by QR code. What they will see of me is said before anything is sent.

use super::accounts::shown;
use super::desk::Desk;
use super::dom;
use super::frame::{bar, what_they_see};
use super::icon::{Icon, icon};
use super::invite::{group_link_in, invite_in};
use super::mark::avatar;
use super::scan::scan;
use crate::ui::model::phone;
use crate::ui::model::route::Route;
use crate::ui::model::state::OWN;
use crate::ui::model::text::preview;
use crate::ui::port::Fault;
use crate::ui::strings::{explain, fill, t};
use leptos::prelude::*;
use parlour_client::api::{Body, Failure, Identity, IdentityId, Intent, Reply, Target};
use parlour_proto::frames::{AppId, SignIn};

/// Whom it will go to, once what was typed can be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A handle without its app.
    Handle,
    Address {
        handle: String,
        app: AppId,
    },
    Invite(String),
    /// A link to a group.
    Group(String),
}

/// The page; with the invite that led here.
pub(crate) fn new(desk: Desk, invite: Option<String>) -> impl IntoView {
    let typed = RwSignal::new(invite.map(|invite| format!("parlour:invite/{invite}")).unwrap_or_default());
    let found = Memo::new(move |_| typed.with(|typed| read(desk, typed)));
    let scanning = RwSignal::new(false);
    let can_scan = super::scan::can_scan();
    if dom::has_keyboard() {
        dom::focus_soon("whom");
    }
    let by_hand = move || !matches!(found.get(), Found::Invite(_) | Found::Group(_));
    view! {
        {bar(desk, t().new_chat, ().into_any())}
        <div class="page narrow">
            {move || by_hand().then(|| view! {
                <label class="field">
                    <span class="label">{t().whom}</span>
                    <input id="whom" class="input large" type="text" autocomplete="off" autocapitalize="none" spellcheck="false"
                        placeholder=t().whom_example prop:value=move || typed.get()
                        on:input=move |event| typed.set(event_target_value(&event)) />
                </label>
                {move || matches!(found.get(), Found::Handle).then(|| chips(desk, typed))}
                {move || matches!(found.get(), Found::Nothing).then(|| view! {
                    <nav class="ways" aria-label=t().other_ways>
                        {can_scan.then(|| view! { <button class="way" on:click=move |_| scanning.set(true)>{icon(Icon::Camera)}<span><strong>{t().scan}</strong><small>{t().scan_says}</small></span></button> })}
                        <a class="way" href=Route::Invite(OWN).hash()>{icon(Icon::Qr)}<span><strong>{t().my_invite}</strong><small>{t().my_invite_says}</small></span></a>
                        <a class="way" href=Route::Group.hash()>{icon(Icon::Group)}<span><strong>{t().new_group}</strong><small>{t().new_group_says}</small></span></a>
                    </nav>
                })}
            })}
            {move || match found.get() {
                Found::Address { handle, app } => letter(desk, Target::Address(format!("{handle}@{app}")), Some((handle, app)), typed).into_any(),
                Found::Invite(invite) => letter(desk, Target::Invite(invite), None, typed).into_any(),
                Found::Group(link) => join(desk, link, typed).into_any(),
                Found::Nothing | Found::Handle => ().into_any(),
            }}
        </div>
        {move || scanning.get().then(|| scan(
            t().scan_hold,
            t().no_camera,
            move |text: String| { scanning.set(false); typed.set(text); },
            move || scanning.set(false),
        ))}
    }
}

/// Understands what was typed.
fn read(desk: Desk, typed: &str) -> Found {
    if let Some(invite) = invite_in(typed) {
        return Found::Invite(invite);
    }
    if let Some(link) = group_link_in(typed) {
        return Found::Group(link);
    }
    let typed = typed.trim();
    let (handle, app) = match typed.rsplit_once('@') {
        Some((handle, app)) if !handle.is_empty() => (handle, app),
        _ => return if typed.trim_start_matches('@').len() >= 3 { Found::Handle } else { Found::Nothing },
    };
    let app = AppId::parse(app).ok().filter(|app| {
        desk.state.with(|state| state.apps.is_empty() || state.apps.iter().any(|known| known.app == *app))
    });
    match app {
        Some(app) if handle.trim_start_matches('@').len() >= 3 => Found::Address { handle: handle.to_owned(), app },
        _ => Found::Handle,
    }
}

/// The apps to choose from, when only a handle was typed.
fn chips(desk: Desk, typed: RwSignal<String>) -> impl IntoView {
    let fits = move |sign_in: SignIn, text: &str| match sign_in {
        SignIn::Phone => text.starts_with('+') || text.starts_with("00"),
        SignIn::Username => !text.starts_with('+') && !text.starts_with('@'),
        SignIn::AtHandle => !text.starts_with('+'),
    };
    let chips = move || {
        let text = typed.get();
        let (handle, begun) = match text.trim().rsplit_once('@') {
            Some((handle, begun)) if !handle.is_empty() => (handle.to_owned(), begun.to_owned()),
            _ => (text.trim().to_owned(), String::new()),
        };
        let apps = desk.state.with(|state| state.apps.clone());
        let fitting = apps.into_iter().filter(|app| fits(app.sign_in, &handle) && app.app.as_str().starts_with(&begun));
        fitting
            .map(|app| {
                let handle = if app.sign_in == SignIn::Phone { phone::complete(&handle).unwrap_or(handle.clone()) } else { handle.clone() };
                let full = format!("{handle}@{}", app.app);
                view! { <button class="chip" on:click=move |_| typed.set(full.clone())><bdi>{handle}</bdi><b>"@"{app.app.as_str().to_owned()}</b></button> }
            })
            .collect_view()
    };
    view! { <p class="hint">{t().which_app}</p><div class="chips">{chips}</div> }
}

/// Who it goes to, what they will see, and the first words.
fn letter(desk: Desk, target: Target, address: Option<(String, AppId)>, typed: RwSignal<String>) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let from = RwSignal::new(OWN);
    let has_name =
        Memo::new(move |_| desk.state.with(|state| state.account(from.get()).is_some_and(|me| !me.name.is_empty())));
    let busy = RwSignal::new(false);
    let problem = RwSignal::new(None::<String>);
    let send = move |_| {
        let body = Body::Text { text: text.get_untracked().trim().to_owned(), in_reply_to: None, timer: None };
        let intent = desk.as_account(from.get_untracked(), Intent::Send { to: target.clone(), body });
        busy.set(true);
        problem.set(None);
        leptos::task::spawn_local(async move {
            match desk.ask(intent).await {
                Ok(Reply::Queued { conversation, .. }) => desk.go(Route::Chat(conversation)),
                Ok(_) => {}
                Err(Fault::Failed(Failure::NotReachable)) => problem.set(Some(t().not_reachable.to_owned())),
                Err(fault) => problem.set(Some(explain(&fault))),
            }
            busy.set(false);
        });
    };
    let title = match &address {
        Some((handle, app)) => {
            let app = desk.state.with_untracked(|state| state.app_name(app));
            view! {
                {avatar(handle.as_bytes(), handle.trim_start_matches('@'), false)}
                <div class="cardtext"><h2><bdi>{phone::grouped(handle)}</bdi></h2><p>{fill(t().on_app, &[("app", &app)])}</p></div>
            }
            .into_any()
        }
        None => view! {
            <span class="avatar neutral" aria-hidden="true">{icon(Icon::Link)}</span>
            <div class="cardtext"><h2>{t().by_invite}</h2><p>{t().by_invite_says}</p></div>
        }
        .into_any(),
    };
    view! {
        <section class="card letter">
            <div class="cardhead">{title}
                <button class="iconbutton" aria-label=t().cancel on:click=move |_| typed.set(String::new())>{icon(Icon::Close)}</button>
            </div>
            {sender(desk, from)}
            <p class="privacy">{icon(Icon::Eye)}{move || what_they_see(desk, from.get())}</p>
            {move || (!has_name.get()).then(|| your_name(desk, from.get()))}
            <label class="field">
                <span class="label">{t().first_words}</span>
                <textarea class="input" rows="3" dir="auto" autocomplete="off" maxlength="4000" placeholder=t().first_words_example
                    prop:value=move || text.get() on:input=move |event| text.set(event_target_value(&event))></textarea>
            </label>
            <p class="fine">{t().one_message}</p>
            {move || problem.get().map(|problem| view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{problem}</span></p> })}
            <button class="button primary wide" disabled=move || busy.get() || text.read().trim().is_empty() on:click=send>
                {move || if busy.get() { t().sending } else { t().send_request }}
            </button>
            <span class="unseen" role="status">{move || preview(if busy.get() { t().sending } else { "" })}</span>
        </section>
    }
}

/// Asks to join a group by its link.
fn join(desk: Desk, link: String, typed: RwSignal<String>) -> impl IntoView {
    let from = RwSignal::new(OWN);
    let (busy, asked) = (RwSignal::new(false), RwSignal::new(false));
    let problem = RwSignal::new(None::<String>);
    let has_name =
        Memo::new(move |_| desk.state.with(|state| state.account(from.get()).is_some_and(|me| !me.name.is_empty())));
    let ask = move |_| {
        let intent = desk.as_account(from.get_untracked(), Intent::JoinByLink { link: link.clone() });
        busy.set(true);
        problem.set(None);
        leptos::task::spawn_local(async move {
            match desk.ask(intent).await {
                Ok(_) => asked.set(true),
                Err(Fault::Failed(Failure::NotReachable)) => problem.set(Some(t().join_void.to_owned())),
                Err(fault) => problem.set(Some(explain(&fault))),
            }
            busy.set(false);
        });
    };
    view! {
        <section class="card letter">
            <div class="cardhead">
                <span class="avatar neutral" aria-hidden="true">{icon(Icon::Group)}</span>
                <div class="cardtext"><h2>{t().join_title}</h2><p>{t().join_says}</p></div>
                <button class="iconbutton" aria-label=t().cancel on:click=move |_| typed.set(String::new())>{icon(Icon::Close)}</button>
            </div>
            {sender(desk, from)}
            <p class="privacy">{icon(Icon::Eye)}{move || what_they_see(desk, from.get())}</p>
            {move || (!has_name.get()).then(|| your_name(desk, from.get()))}
            {move || problem.get().map(|problem| view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{problem}</span></p> })}
            {move || if asked.get() {
                view! { <p class="privacy" role="status">{icon(Icon::Check)}<span>{t().join_asked}</span></p> }.into_any()
            } else {
                view! {
                    <button class="button primary wide" disabled=move || busy.get() on:click=ask.clone()>
                        {move || if busy.get() { t().sending } else { t().join }}
                    </button>
                }.into_any()
            }}
        </section>
    }
}

/// Which account writes, where there are several.
fn sender(desk: Desk, from: RwSignal<IdentityId>) -> impl IntoView {
    let accounts: Vec<Identity> =
        desk.state.with_untracked(|state| state.accounts().filter(|account| !account.showing.off).cloned().collect());
    if !accounts.iter().any(|account| account.id == OWN) {
        accounts.first().into_iter().for_each(|first| from.set(first.id));
    }
    let choose = move |event| {
        if let Ok(id) = event_target_value(&event).parse() {
            from.set(IdentityId(id));
        }
    };
    let option =
        |account: &Identity| view! { <option value=account.id.0.to_string()>{shown(&account.address)}</option> };
    (accounts.len() > 1).then(|| {
        view! {
            <label class="field">
                <span class="label">{t().from}</span>
                <select id="from" class="select" on:change=choose>{accounts.iter().map(option).collect_view()}</select>
            </label>
        }
    })
}

/// A name, where there is none yet.
fn your_name(desk: Desk, id: IdentityId) -> impl IntoView {
    let name = RwSignal::new(String::new());
    let save = move || set_name(desk, id, name.get_untracked());
    view! {
        <form class="inline" on:submit=move |event| { event.prevent_default(); save(); }>
            <input class="input" type="text" autocomplete="off" maxlength="60" placeholder=t().your_name aria-label=t().your_name
                on:input=move |event| name.set(event_target_value(&event)) />
            <button class="button" disabled=move || name.read().trim().is_empty()>{t().save}</button>
        </form>
    }
}

/// The name people see.
pub(super) fn set_name(desk: Desk, id: IdentityId, name: String) {
    let name = name.trim().to_owned();
    desk.then(desk.as_account(id, Intent::SetName { name: name.clone() }), move |_| {
        desk.state.update(|state| {
            if let Some(account) = state.account_mut(id) {
                account.name = name;
            }
        });
        desk.tell(t().saved);
    });
}
