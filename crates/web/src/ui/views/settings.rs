//! Settings: who I am, what goes out about me, how it looks, what is here, and leaving.

use super::accounts::shown;
use super::desk::Desk;
use super::dom::offset_min;
use super::face::{Own, chooser, own_face};
use super::frame::{bar, what_they_see};
use super::icon::{Icon, icon};
use super::leave::{Leaving, leave, sign_out_says};
use super::new::set_name;
use crate::ui::model::route::Route;
use crate::ui::model::state::OWN;
use crate::ui::model::when::{Local, day_name};
use crate::ui::strings::{LANGUAGES, fill, plural, t};
use leptos::prelude::*;
use parlour_client::api::{Backup, Identity, IdentityId, Intent, KeptHistory, Picture, Reply, Reports, Status};
use parlour_proto::ids::{AccountId, UnixMillis};

/// The page.
pub(crate) fn settings(desk: Desk) -> impl IntoView {
    let leaving = RwSignal::new(None::<Leaving>);
    view! {
        {bar(desk, t().settings, ().into_any())}
        <div class="page">
            {profile(desk, OWN)}
            {linked(desk)}
            {privacy(desk, OWN)}
            {looks(desk)}
            {backup(desk)}
            {here(desk)}
            <section class="group">
                <button class="item" on:click=move |_| leaving.set(Some(Leaving::SignOut))>{icon(Icon::Exit)}<span>{t().sign_out}<small>{move || sign_out_says(desk)}</small></span></button>
                <button class="item bad" on:click=move |_| leaving.set(Some(Leaving::Delete))>{icon(Icon::Trash)}<span>{t().delete_account}<small>{t().delete_account_says}</small></span></button>
            </section>
            <p class="fine center">{format!("{} · Parlour {}", desk.app_name(), env!("CARGO_PKG_VERSION"))}</p>
        </div>
        {move || leaving.get().map(|which| leave(desk, which, move || leaving.set(None)))}
    }
}

/// What others see of an account, and changing it.
pub(super) fn profile(desk: Desk, id: IdentityId) -> impl IntoView {
    let me = desk.state.with_untracked(|state| state.account(id).cloned());
    let name = RwSignal::new(me.as_ref().map(|me| me.name.clone()).unwrap_or_default());
    let known =
        Memo::new(move |_| desk.state.with(|state| state.account(id).map(|me| me.name.clone()).unwrap_or_default()));
    let address = me.as_ref().map(|me| me.address.clone()).unwrap_or_default();
    let own = Own { id, account: me.map_or(AccountId([0; 16]), |me| me.account.account) };
    let shown = shown(&address);
    view! {
        <section class="group me">
            <div class="meline">
                {picture(desk, own, known)}
                <form class="mename" on:submit=move |event| { event.prevent_default(); set_name(desk, id, name.get_untracked()); }>
                    <label class="field">
                        <span class="label">{t().your_name}</span>
                        <span class="inline">
                            <input class="input" type="text" maxlength="60" autocomplete="off" dir="auto" prop:value=move || name.get()
                                on:input=move |event| name.set(event_target_value(&event)) />
                            {move || (name.get().trim() != known.get()).then(|| view! { <button class="button primary">{t().save}</button> })}
                        </span>
                    </label>
                    <p class="address"><bdi>{shown}</bdi></p>
                </form>
            </div>
            <p class="privacy">{icon(Icon::Eye)}{move || what_they_see(desk, id)}</p>
        </section>
    }
}

/// An own picture: pressing it chooses another one.
fn picture(desk: Desk, own: Own, name: Memo<String>) -> impl IntoView {
    let give = move |picture: Option<Picture>| {
        let intent = Intent::SetProfile { name: name.get_untracked(), picture: picture.clone() };
        desk.then(desk.as_account(own.id, intent), move |_| {
            desk.faces.put_own(own, picture.as_ref());
            desk.tell(t().saved);
        });
    };
    chooser(desk, t().picture_choose, move || own_face(desk, own, &name.get()), move || desk.faces.has_own(own), give)
}

/// The way to the account's devices, and to other accounts.
fn linked(desk: Desk) -> impl IntoView {
    let count = Memo::new(move |_| desk.devices.with(|devices| devices.all.len()));
    let says = move || match count.get() {
        0 => String::new(),
        1 => t().devices_only.to_owned(),
        count => plural(t().devices_count, count),
    };
    let linked = Memo::new(move |_| {
        let address = |one: &Identity| shown(&one.address);
        desk.state.with(|state| state.linked.iter().map(address).collect::<Vec<_>>().join(", "))
    });
    let answers_for = move || if linked.read().is_empty() { t().accounts_only.to_owned() } else { linked.get() };
    view! {
        <section class="group">
            <a class="item" href=Route::Devices.hash()>{icon(Icon::Laptop)}<span>{t().devices}<small>{says}</small></span>{icon(Icon::Next)}</a>
            <a class="item" href=Route::Accounts.hash()>{icon(Icon::Person)}<span>{t().accounts}<small>{answers_for}</small></span>{icon(Icon::Next)}</a>
        </section>
    }
}

/// What an account tells of itself; with this app's own, whether this browser tells of anything.
pub(super) fn privacy(desk: Desk, id: IdentityId) -> impl IntoView {
    let reports = Memo::new(move |_| desk.state.with(|state| state.account(id).map(|me| me.reports)));
    let switch = move |name: &'static str,
                       says: &'static str,
                       is: fn(&Reports) -> bool,
                       set: fn(&mut Reports, bool)| {
        let toggle = move |event| {
            if let Some(mut reports) = reports.get_untracked() {
                set(&mut reports, event_target_checked(&event));
                desk.set_reports(id, reports);
            }
        };
        view! {
            <label class="item">
                <span>{name}<small>{says}</small></span>
                <input type="checkbox" role="switch" class="switch" prop:checked=move || reports.get().is_some_and(|reports| is(&reports)) on:change=toggle />
            </label>
        }
    };
    view! {
        <section class="group">
            <h2 class="grouptitle">{t().privacy}</h2>
            {switch(t().reports_read, t().reports_read_says, |reports| reports.read, |reports, on| reports.read = on)}
            {(id == OWN && super::notify::can_notify()).then(|| view! {
                <label class="item">
                    <span>{t().notify}<small>{t().notify_says}</small></span>
                    <input type="checkbox" role="switch" class="switch" prop:checked=move || desk.notifies.get()
                        on:change=move |event| super::notify::choose(desk, event_target_checked(&event)) />
                </label>
            })}
            {switch(t().reports_delivered, t().reports_delivered_says, |reports| reports.delivered, |reports, on| reports.delivered = on)}
            {switch(t().reports_typing, t().reports_typing_says, |reports| reports.typing, |reports, on| reports.typing = on)}
        </section>
    }
}

fn looks(desk: Desk) -> impl IntoView {
    let change = move |with: Box<dyn Fn(&mut super::desk::Looks)>| {
        desk.looks.update(|looks| with(looks));
        desk.looks.with_untracked(super::desk::Looks::save);
    };
    let theme = move |value: &'static str, name: &'static str| {
        view! {
            <label class="segment">
                <input type="radio" name="theme" prop:checked=move || desk.looks.read().theme == value
                    on:change=move |_| change(Box::new(move |looks| value.clone_into(&mut looks.theme))) />
                <span>{name}</span>
            </label>
        }
    };
    let size = move |value: &'static str, name: &'static str| {
        view! {
            <label class="segment">
                <input type="radio" name="size" aria-label=name prop:checked=move || desk.looks.read().size == value
                    on:change=move |_| change(Box::new(move |looks| value.clone_into(&mut looks.size))) />
                <span class=format!("sample {value}") aria-hidden="true">"Aa"</span>
            </label>
        }
    };
    let language = move |event| {
        let value = event_target_value(&event);
        change(Box::new(move |looks| looks.language.clone_from(&value)));
    };
    view! {
        <section class="group">
            <h2 class="grouptitle">{t().look}</h2>
            <fieldset class="item bare"><legend class="unseen">{t().theme}</legend><span aria-hidden="true">{t().theme}</span>
                <div class="segments">{theme("system", t().theme_system)}{theme("light", t().theme_light)}{theme("dark", t().theme_dark)}</div>
            </fieldset>
            <fieldset class="item bare"><legend class="unseen">{t().text_size}</legend><span aria-hidden="true">{t().text_size}</span>
                <div class="segments">{size("small", t().size_small)}{size("normal", t().size_normal)}{size("large", t().size_large)}{size("huge", t().size_huge)}</div>
            </fieldset>
            <label class="item">
                <span>{t().language}</span>
                <select class="select" on:change=language>
                    {LANGUAGES.map(|words| view! { <option value=words.code selected=words.code == t().code>{words.own_name}</option> }).collect_view()}
                </select>
            </label>
        </section>
    }
}

/// What the recovery key would bring back.
fn backup(desk: Desk) -> impl IntoView {
    let now = RwSignal::new(None::<Backup>);
    let take = move |reply| {
        if let Reply::Backup(backup) = reply {
            now.set(Some(backup));
        }
    };
    desk.then(Intent::Backup, take);
    let choices = [
        (KeptHistory::Off, "off", t().backup_off),
        (KeptHistory::Days(30), "30", t().backup_month),
        (KeptHistory::Days(365), "365", t().backup_year),
        (KeptHistory::All, "all", t().backup_all),
    ];
    let set = move |event| {
        let value = event_target_value(&event);
        if let Some((history, ..)) = choices.iter().find(|(_, name, _)| *name == value) {
            desk.then(Intent::SetBackup { history: *history }, move |reply| {
                take(reply);
                desk.tell(t().saved);
            });
        }
    };
    let is = move |history| now.get().is_some_and(|backup| backup.history == history);
    let options = choices.map(|(history, value, name)| {
        view! { <option value=value selected=move || is(history)>{name}</option> }
    });
    let state = move || {
        let backup = now.get()?;
        let day = |at: UnixMillis| day_name(Local::of(at, offset_min(at)).day, desk.today.get(), t());
        Some(match backup {
            Backup { history: KeptHistory::Off, .. } => t().backup_off_says.to_owned(),
            Backup { here: false, .. } => t().backup_elsewhere.to_owned(),
            Backup { since: None, .. } => t().backup_none_yet.to_owned(),
            Backup { since: Some(since), messages, left_out, .. } => {
                let sentence = if left_out { t().backup_full } else { t().backup_since };
                fill(sentence, &[("n", &messages.to_string()), ("day", &day(since))])
            }
        })
    };
    view! {
        <section class="group">
            <h2 class="grouptitle">{t().backup}</h2>
            <p class="grouptext">{t().backup_says}</p>
            <label class="item">
                <span>{t().backup_messages}<small role="status">{state}</small></span>
                <select id="backup" class="select" on:change=set>{options.collect_view()}</select>
            </label>
        </section>
    }
}

fn here(desk: Desk) -> impl IntoView {
    let status = RwSignal::new(None::<Status>);
    desk.then(Intent::Status, move |reply| {
        if let Reply::Status(read) = reply {
            status.set(Some(read));
        }
    });
    let line = move |name: &'static str, of: fn(&Status) -> u64| {
        view! {
            <div><dt>{name}</dt><dd>{move || status.get().map_or_else(|| "–".to_owned(), |status| of(&status).to_string())}</dd></div>
        }
    };
    view! {
        <section class="group">
            <h2 class="grouptitle">{t().here}</h2>
            <p class="grouptext">{t().here_text}</p>
            <dl class="figures">
                {line(t().here_chats, |s| s.conversations)}
                {line(t().here_received, |s| s.received)}
                {line(t().here_queued, |s| s.queued)}
                {line(t().here_repairs, |s| s.repairs)}
                {line(t().here_unreadable, |s| s.unreadable)}
            </dl>
            <a class="item" id="archive" href=Route::Kept.hash()>{icon(Icon::Keep)}<span>{t().archive}<small>{t().archive_says}</small></span>{icon(Icon::Next)}</a>
            <a class="item" id="held" href=Route::Held.hash()>{icon(Icon::Info)}<span>{t().held}<small>{t().held_says}</small></span>{icon(Icon::Next)}</a>
        </section>
    }
}
