//! How long what is said in a conversation stays: what goes there, for all to see, and setting it.

use super::desk::Desk;
use super::dialog::modal;
use super::icon::{Icon, icon};
use crate::ui::model::lasting::{DAY_S, HOUR_S, TERMS, WEEK_S, chosen, span, term};
use crate::ui::strings::{explain, fill, t};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, Expiry, Intent, MOST_EXPIRY_S, Reply};

/// What goes; pressed by who may change it, it opens [`change`].
pub(super) fn expiry(desk: Desk, chat: &Conversation, changing: RwSignal<bool>) -> AnyView {
    let Some(now) = chat.expiry else { return ().into_any() };
    let (id, kept) = (chat.id, chat.kept);
    let keeps = now.archive.then(|| format!(" · {}", t().expiry_archive));
    let says = view! { {icon(Icon::Clock)}<span>{t().expiry}<small>{term(now.after_s, t())}{keeps}</small></span> };
    let line = match chat.expiry_range {
        Some(_) => view! { <button class="item" id="expiry" on:click=move |_| changing.set(true)>{says}{icon(Icon::Next)}</button> }.into_any(),
        None => view! { <div class="item" id="expiry">{says}</div> }.into_any(),
    };
    let keep_all = (now.archive || kept).then(|| {
        let toggle = move |event| desk.please(Intent::KeepAll { conversation: id, keep: event_target_checked(&event) });
        switch("keep-all", Some(Icon::Keep), (t().keep_all, t().keep_all_says), kept, Box::new(toggle))
    });
    view! { <section class="group">{line}{keep_all}</section> }.into_any()
}

fn switch(
    id: &'static str,
    sign: Option<Icon>,
    (name, says): (&'static str, &'static str),
    is: bool,
    toggle: Box<dyn FnMut(web_sys::Event)>,
) -> AnyView {
    view! {
        <label class="item">
            {sign.map(icon)}
            <span>{name}<small>{says}</small></span>
            <input type="checkbox" role="switch" class="switch" id=id prop:checked=is on:change=toggle />
        </label>
    }
    .into_any()
}

/// What is being chosen.
#[derive(Clone, Copy)]
struct Form {
    desk: Desk,
    id: ConversationId,
    now: Expiry,
    range: (u32, Option<u32>),
    /// Seconds, empty for never, or `custom`.
    choice: RwSignal<String>,
    count: RwSignal<String>,
    unit: RwSignal<u32>,
    archive: RwSignal<bool>,
    existing: RwSignal<bool>,
    busy: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
}

/// Sets it, for all.
pub(super) fn change(desk: Desk, chat: &Conversation, close: impl Fn() + Copy + 'static) -> AnyView {
    let (Some(now), Some(range)) = (chat.expiry, chat.expiry_range) else { return ().into_any() };
    let form = Form {
        desk,
        id: chat.id,
        now,
        range,
        choice: RwSignal::new(value(now.after_s)),
        count: RwSignal::new("2".to_owned()),
        unit: RwSignal::new(DAY_S),
        archive: RwSignal::new(now.archive),
        existing: RwSignal::new(false),
        busy: RwSignal::new(false),
        problem: RwSignal::new(None),
    };
    modal(t().expiry_change, close, move || form.inside(Box::new(close)))
}

fn value(after_s: Option<u32>) -> String {
    after_s.map(|s| s.to_string()).unwrap_or_default()
}

impl Form {
    fn inside(self, close: Box<dyn Fn()>) -> AnyView {
        let close = StoredValue::new_local(close);
        let is_custom = Memo::new(move |_| *self.choice.read() == *"custom");
        let (set_archive, set_existing) = (self.archive, self.existing);
        let cannot =
            move || self.busy.get() || self.wanted().is_none_or(|wanted| wanted == self.now && !self.existing.get());
        let save = move |event: web_sys::SubmitEvent| {
            event.prevent_default();
            self.save(close);
        };
        view! {
            <form class="expiryform" on:submit=save>
                <label class="field">
                    <span class="label">{t().expiry}</span>
                    <select class="select" id="expiry-after" autofocus on:change=move |event| self.choice.set(event_target_value(&event))>{self.options()}</select>
                </label>
                {move || is_custom.get().then(|| self.custom())}
                <div class="expiryswitches">
                    {switch("expiry-archive", None, (t().expiry_archive, t().expiry_archive_says), self.now.archive, Box::new(move |event| set_archive.set(event_target_checked(&event))))}
                    {switch("expiry-existing", None, (t().expiry_existing, ""), false, Box::new(move |event| set_existing.set(event_target_checked(&event))))}
                </div>
                <div role="status">{move || self.destroys().map(|s| view! {
                    <p class="problem">{icon(Icon::Warn)}<span>{fill(t().expiry_warning, &[("span", &span(s, t()))])}</span></p>
                })}</div>
                <div role="alert">{move || self.problem.get().map(|problem| view! { <p class="problem">{icon(Icon::Warn)}<span>{problem}</span></p> })}</div>
                <p class="fine">{icon(Icon::Info)}{t().expiry_for_all}</p>
                <div class="answers">
                    <button type="button" class="button" on:click=move |_| close.with_value(|close| close())>{t().cancel}</button>
                    <button class="button primary" disabled=cannot>{move || if self.busy.get() { t().moment } else { t().save }}</button>
                </div>
            </form>
        }
        .into_any()
    }

    /// What fits between the least and the most, what goes now, and another time.
    fn options(self) -> AnyView {
        let (least, most) = self.range;
        let mut terms: Vec<u32> =
            TERMS.into_iter().filter(|s| (least..=most.unwrap_or(u32::MAX)).contains(s)).collect();
        terms.extend(self.now.after_s.filter(|s| !terms.contains(s)));
        terms.sort_unstable();
        let never = (most.is_none() || self.now.after_s.is_none()).then_some(None);
        let option = |after_s: Option<u32>| {
            view! { <option value=value(after_s) selected=self.now.after_s == after_s>{term(after_s, t())}</option> }
        };
        view! {
            {never.into_iter().chain(terms.into_iter().map(Some)).map(option).collect_view()}
            <option value="custom">{t().expiry_custom}</option>
        }
        .into_any()
    }

    fn custom(self) -> AnyView {
        let (least, most) = self.range;
        let bounds = move || {
            let most = most.unwrap_or(MOST_EXPIRY_S);
            fill(t().expiry_bounds, &[("least", &span(least, t())), ("most", &span(most, t()))])
        };
        let unit = |unit: u32, forms: (&'static str, &'static str)| {
            view! { <option value=unit.to_string() selected=unit == self.unit.get_untracked()>{forms.1.trim_start_matches("{n} ")}</option> }
        };
        view! {
            <div class="inline">
                <input class="input" type="number" id="expiry-count" min="1" inputmode="numeric" aria-label=t().expiry_count
                    prop:value=move || self.count.get() on:input=move |event| self.count.set(event_target_value(&event)) />
                <select class="select" aria-label=t().expiry_unit
                    on:change=move |event| self.unit.set(event_target_value(&event).parse().unwrap_or(DAY_S))>
                    {unit(HOUR_S, t().hours)}{unit(DAY_S, t().days)}{unit(WEEK_S, t().weeks)}
                </select>
            </div>
            <p class="hint" role="status">{move || self.wanted().is_none().then(bounds)}</p>
        }
        .into_any()
    }

    /// `None` for what cannot be.
    fn wanted(self) -> Option<Expiry> {
        let after_s =
            self.choice.with(|choice| self.count.with(|count| chosen(choice, count, self.unit.get(), self.range)));
        after_s.map(|after_s| Expiry { after_s, archive: self.archive.get() })
    }

    /// Where what is there would go sooner than now: how old it may be.
    fn destroys(self) -> Option<u32> {
        let after_s = self.wanted().filter(|_| self.existing.get())?.after_s?;
        self.now.after_s.is_none_or(|now| after_s < now).then_some(after_s)
    }

    fn save(self, close: StoredValue<Box<dyn Fn()>, LocalStorage>) {
        let Some(expiry) = untrack(move || self.wanted()) else { return };
        let intent = Intent::SetExpiry { conversation: self.id, expiry, existing: self.existing.get_untracked() };
        self.busy.set(true);
        self.problem.set(None);
        leptos::task::spawn_local(async move {
            match self.desk.ask(intent).await {
                Ok(reply) => {
                    if let Reply::Conversation(chat) = reply {
                        self.desk.state.update(|state| state.put_conversation(chat));
                    }
                    close.try_with_value(|close| close());
                }
                Err(fault) => {
                    self.problem.try_set(Some(explain(&fault)));
                    self.busy.try_set(false);
                }
            }
        });
    }
}
