//! The account's devices: which there are, what this one is called, taking one away, adding one.

use super::desk::Desk;
use super::dialog::{confirm, modal};
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use super::leave::{Leaving, leave};
use super::offer::{offer, show_code};
use crate::ui::model::devices::{browser_and_system, is_handheld};
use crate::ui::model::route::{id_from_hex, id_hex};
use crate::ui::model::when::{Local, day_name};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{ConversationId, Device, Event, IdentityId, Intent, Reply};
use parlour_proto::ids::{DeviceId, UnixMillis};

/// Notes of devices that nobody here has linked begin like this.
const UNKNOWN: &str = "device/";
/// What the focus goes to when what it was on is drawn anew, or gone.
const RENAME: &str = "rename-device";
const ADD: &str = "add-device";

impl Desk {
    /// Reads which devices there are, and which of them nobody here knows.
    pub(super) async fn read_devices(self) {
        let Ok(Reply::Devices(all)) = self.ask(Intent::Devices).await else { return };
        let notes = self.kept(UNKNOWN).await;
        let unknown = notes.iter().filter_map(|(key, _)| id_from_hex(key.strip_prefix(UNKNOWN)?).map(DeviceId));
        let (known, gone): (Vec<_>, Vec<_>) = unknown.partition(|id| all.iter().any(|device| device.id == *id));
        self.devices.update(|devices| {
            devices.set(all);
            devices.unknown = known;
        });
        for device in gone {
            self.keep(format!("{UNKNOWN}{}", id_hex(&device.0)), None);
        }
    }

    /// What is being written, here and on other devices.
    pub(super) async fn read_drafts(self) {
        if let Ok(Reply::Drafts(drafts)) = self.ask(Intent::Drafts).await {
            self.drafts.set(drafts.into_iter().collect());
        }
    }

    /// What own devices do.
    pub(super) fn hear_of_devices(self, event: &Event) {
        let was_coming = self.devices.with_untracked(|devices| devices.coming.is_some());
        self.devices.maybe_update(|devices| devices.apply(event));
        match event {
            Event::Devices { identity: IdentityId(0), new: Some(device), .. } => {
                self.keep(format!("{UNKNOWN}{}", id_hex(&device.0)), Some(vec![1]));
            }
            Event::History { to: None, done, of } if done >= of && was_coming => {
                self.tell(t().history_here);
                spawn_local(self.read_all());
            }
            Event::Draft { conversation, text } => self.hear_draft(*conversation, text.clone()),
            _ => {}
        }
    }

    /// Somebody here says that a device is theirs.
    pub(super) fn knows_device(self, device: DeviceId) {
        self.devices.update(|devices| devices.unknown.retain(|unknown| *unknown != device));
        self.keep(format!("{UNKNOWN}{}", id_hex(&device.0)), None);
    }

    fn take_devices(self, reply: Reply) {
        if let Reply::Devices(all) = reply {
            self.devices.update(|devices| devices.set(all));
        }
    }

    /// Another device's draft takes the place of what is here, but never of what somebody is writing just now.
    fn hear_draft(self, id: ConversationId, text: Option<String>) {
        let is_open = self.thread.with_untracked(|thread| thread.id()) == Some(id);
        if is_open && self.has_typed.get_value() && dom::is_typing_in("composer") {
            return;
        }
        self.drafts.update(|drafts| match text.clone() {
            Some(text) => drop(drafts.insert(id, text)),
            None => drop(drafts.remove(&id)),
        });
        self.heard_draft.set(Some((id, text.unwrap_or_default())));
    }
}

/// As it is called.
pub(super) fn name_of(device: &Device) -> String {
    if device.name.is_empty() { t().device_unnamed.to_owned() } else { device.name.clone() }
}

/// What a browser may be called: `Firefox on Linux`.
pub(super) fn suggested_name() -> String {
    match browser_and_system(&dom::user_agent()) {
        (browser, "") | ("", browser) => browser.to_owned(),
        (browser, system) => fill(t().device_name, &[("browser", browser), ("system", system)]),
    }
}

/// The page.
pub(crate) fn devices(desk: Desk) -> impl IntoView {
    let removing = RwSignal::new(None::<Device>);
    let renaming = RwSignal::new(false);
    let leaving = RwSignal::new(false);
    let all = Memo::new(move |_| desk.devices.with(|devices| devices.all.clone()));
    spawn_local(desk.read_devices());
    let remove = move || {
        if let Some(device) = removing.get_untracked() {
            desk.then(Intent::RevokeDevice { device: device.id }, move |reply| {
                desk.take_devices(reply);
                desk.tell(t().device_removed);
                dom::focus_soon(ADD);
            });
        }
        removing.set(None);
    };
    view! {
        {bar(desk, t().devices, ().into_any())}
        <div class="page narrow">
            <p class="lead">{t().devices_lead}</p>
            <section class="group">
                <ul class="plain" id="devices">
                    {move || all.get().into_iter().map(|device| row(desk, device, renaming, removing)).collect_view()}
                </ul>
            </section>
            <button class="button primary wide" id=ADD on:click=move |_| show_code(desk)>{icon(Icon::Plus)}{t().device_add}</button>
            <section class="group">
                <button class="item" on:click=move |_| leaving.set(true)>{icon(Icon::Exit)}<span>{t().sign_out}<small>{move || super::leave::sign_out_says(desk)}</small></span></button>
            </section>
        </div>
        {offer(desk)}
        {move || renaming.get().then(|| rename(desk, move || renaming.set(false)))}
        {move || leaving.get().then(|| leave(desk, Leaving::SignOut, move || leaving.set(false)))}
        {move || removing.get().map(|device| confirm(
            t().device_remove_question,
            fill(t().device_remove_text, &[("name", &name_of(&device))]),
            t().remove,
            remove,
            move || removing.set(None),
        ))}
    }
}

fn row(desk: Desk, device: Device, renaming: RwSignal<bool>, removing: RwSignal<Option<Device>>) -> AnyView {
    let (id, name) = (device.id, name_of(&device));
    let is_unknown = Memo::new(move |_| desk.devices.with(|devices| devices.unknown.contains(&id)));
    let going = Memo::new(move |_| {
        let going = desk.devices.with(|devices| devices.going);
        going.filter(|(to, progress)| *to == id && !progress.is_over()).map(|(_, progress)| progress)
    });
    let sign = icon(if is_handheld(&device.name) { Icon::Phone } else { Icon::Laptop });
    let act = if device.this {
        view! { <button class="iconbutton" id=RENAME aria-label=t().device_rename title=t().device_rename on:click=move |_| renaming.set(true)>{icon(Icon::Edit)}</button> }.into_any()
    } else {
        let label = format!("{} {name}", t().remove);
        let device = device.clone();
        view! { <button class="iconbutton bad" aria-label=label title=t().remove on:click=move |_| removing.set(Some(device.clone()))>{icon(Icon::Trash)}</button> }.into_any()
    };
    let when = {
        let device = device.clone();
        move || match going.get() {
            Some(progress) => {
                let percent = (progress.done * 100).checked_div(progress.of).unwrap_or_default();
                view! { <span class="whole">{fill(t().device_going, &[("percent", &percent.to_string())])}</span> }
                    .into_any()
            }
            None => when(desk, &device),
        }
    };
    view! {
        <li class="person device" class:this=device.this>
            <span class="devicesign">{sign}</span>
            <span class="personname">
                <span class="devicename">
                    <bdi>{name}</bdi>
                    {device.this.then(|| view! { <span class="mark">{t().device_this}</span> })}
                    {move || is_unknown.get().then(|| view! { <span class="mark fresh">{t().device_fresh}</span> })}
                </span>
                <small>{when}</small>
                {move || is_unknown.get().then(|| view! { <button class="linkbutton" on:click=move |_| desk.knows_device(id)>{t().device_new_mine}</button> })}
            </span>
            {act}
        </li>
    }
    .into_any()
}

/// `Added: Today · Last there: Yesterday`; that this one is here needs no saying.
fn when(desk: Desk, device: &Device) -> AnyView {
    let day = |at: UnixMillis| day_name(Local::of(at, dom::offset_min(at)).day, desk.today.get(), t());
    let seen = device.seen.filter(|_| !device.this).map(|seen| fill(t().device_seen, &[("day", &day(seen))]));
    let added = fill(t().device_added, &[("day", &day(device.added))]);
    let added = if seen.is_some() { format!("{added} · ") } else { added };
    view! { <span class="whole">{added}</span><span class="whole">{seen}</span> }.into_any()
}

/// Asks what this device is called.
fn rename(desk: Desk, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let now = desk.devices.with_untracked(|devices| devices.all.iter().find(|device| device.this).cloned());
    let name = RwSignal::new(now.map(|device| device.name).unwrap_or_default());
    let act = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let name = name.get_untracked().trim().to_owned();
        desk.then(Intent::NameDevice { name }, move |reply| {
            desk.take_devices(reply);
            dom::focus_soon(RENAME);
        });
        close();
    };
    modal(t().device_rename_title, close, move || {
        view! {
            <form on:submit=act>
                <input class="input" type="text" maxlength="40" autocomplete="off" dir="auto" autofocus aria-label=t().device_rename_title
                    prop:value=name.get_untracked() on:input=move |event| name.set(event_target_value(&event)) />
                <p class="hint">{t().link_name_hint}</p>
                <div class="answers">
                    <button type="button" class="button" on:click=move |_| close()>{t().cancel}</button>
                    <button class="button primary" disabled=move || name.read().trim().is_empty()>{t().save}</button>
                </div>
            </form>
        }
        .into_any()
    })
}
