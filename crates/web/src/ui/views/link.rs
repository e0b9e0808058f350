//! The way in with another device of one's own: its code, and a name for this one. The other device confirms.

use super::desk::Desk;
use super::devices::suggested_name;
use super::dom;
use super::icon::{Icon, icon};
use super::scan::{can_scan, scan};
use super::sign_up::{Way, other_way};
use crate::ui::model::devices::{CODE_DIGITS, Progress, caret_behind, digits_in, in_threes};
use crate::ui::port::Fault;
use crate::ui::strings::{explain, fill, t};
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{Failure, Intent};
use parlour_proto::problem::Code;

#[derive(Clone, Copy)]
struct Form {
    desk: Desk,
    /// Digits; or what was scanned, if it has another shape.
    code: RwSignal<String>,
    name: RwSignal<String>,
    waiting: RwSignal<bool>,
    scanning: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
}

/// The form, and what stands in its place while the other device is asked.
pub(super) fn form(desk: Desk, ways: RwSignal<Way>) -> impl IntoView {
    let form = Form {
        desk,
        code: RwSignal::new(String::new()),
        name: RwSignal::new(suggested_name()),
        waiting: RwSignal::new(false),
        scanning: RwSignal::new(false),
        problem: RwSignal::new(None),
    };
    view! {
        {move || if form.waiting.get() { form.wait().into_any() } else { form.fields(ways).into_any() }}
        {move || form.scanning.get().then(|| scan(
            t().link_scan_hold,
            t().link_no_camera,
            move |text| form.scanned(text),
            move || form.scanning.set(false),
        ))}
    }
}

impl Form {
    fn fields(self, ways: RwSignal<Way>) -> impl IntoView {
        if dom::has_keyboard() {
            dom::focus_soon("link-code");
        }
        let submit = move |event: web_sys::SubmitEvent| {
            event.prevent_default();
            self.submit();
        };
        view! {
            <form class="entry" novalidate on:submit=submit>
                <h2>{t().link_title}</h2>
                <p class="lead">{t().link_text}</p>
                <label class="field">
                    <span class="label">{t().link_code}</span>
                    <input id="link-code" class="input code twelve" type="text" inputmode="numeric" autocomplete="off" spellcheck="false"
                        placeholder="000 000 000 000" prop:value=move || self.shown() on:input=move |event| self.typed(&event) />
                </label>
                {can_scan().then(|| view! {
                    <button type="button" class="button wide" on:click=move |_| self.scanning.set(true)>{icon(Icon::Camera)}{t().link_scan}</button>
                })}
                <label class="field">
                    <span class="label">{t().link_name}</span>
                    <input id="link-name" class="input" type="text" autocomplete="off" dir="auto" maxlength="40" aria-describedby="link-name-hint"
                        prop:value=self.name.get_untracked()
                        on:input=move |event| { self.problem.set(None); self.name.set(event_target_value(&event)); } />
                </label>
                <p class="hint" id="link-name-hint">{t().link_name_hint}</p>
                {move || self.problem.get().map(|problem| view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{problem}</span></p> })}
                <button class="button primary wide">{t().link_button}</button>
                {other_way(t().have_account, t().sign_in, Way::In, ways)}
                {other_way(t().no_account, t().sign_up, Way::Up, ways)}
            </form>
        }
    }

    fn wait(self) -> impl IntoView {
        dom::focus_soon("link-cancel");
        let text = fill(t().link_wait_text, &[("name", self.name.get_untracked().trim())]);
        view! {
            <div class="entry linkwait">
                <div class="loading" aria-hidden="true"></div>
                <h2 id="link-wait">{t().link_wait}</h2>
                <p class="lead" id="link-wait-text">{text}</p>
                <button class="button" id="link-cancel" aria-describedby="link-wait link-wait-text" on:click=move |_| self.give_up()>{t().cancel}</button>
            </div>
        }
    }

    fn shown(self) -> String {
        let code = self.code.read();
        if code.chars().all(|c| c.is_ascii_digit()) { in_threes(&code) } else { code.clone() }
    }

    /// Digits in threes while they are typed, with the caret where it was.
    fn typed(self, event: &web_sys::Event) {
        let input: web_sys::HtmlInputElement = event_target(event);
        let value = input.value();
        let caret = input.selection_start().ok().flatten().map_or(usize::MAX, |at| at as usize);
        let digits = digits_in(&value);
        let before: String = value.chars().take(caret).collect();
        let at = caret_behind(digits_in(&before).len().min(digits.len())) as u32;
        input.set_value(&in_threes(&digits));
        let _ = input.set_selection_range(at, at);
        self.problem.set(None);
        self.code.set(digits);
    }

    fn scanned(self, text: String) {
        let digits = digits_in(&text);
        self.scanning.set(false);
        self.problem.set(None);
        self.code.set(if digits.len() == CODE_DIGITS { digits } else { text });
        dom::focus_soon("link-name");
    }

    /// What is missing, before anybody is asked.
    fn lack(self) -> Option<String> {
        let (code, name) = (self.code.read_untracked(), self.name.read_untracked());
        if code.len() < CODE_DIGITS {
            return Some(fill(t().link_lack, &[("of", &CODE_DIGITS.to_string())]));
        }
        name.trim().is_empty().then(|| t().link_name_lack.to_owned())
    }

    fn submit(self) {
        let lack = self.lack();
        if lack.is_some() {
            return self.problem.set(lack);
        }
        let (code, name) = (self.code.get_untracked(), self.name.get_untracked().trim().to_owned());
        self.problem.set(None);
        self.waiting.set(true);
        // The first of it may be here before the answer is.
        self.desk.devices.update(|devices| devices.coming = Some(Progress::default()));
        spawn_local(async move {
            match self.desk.ask(Intent::Link { code, name }).await {
                Ok(_) => self.desk.read_all().await,
                Err(fault) => self.fail(&fault),
            }
        });
    }

    fn fail(self, fault: &Fault) {
        self.desk.devices.update(|devices| devices.coming = None);
        // Who gave up knows.
        if self.waiting.try_get_untracked() != Some(true) {
            return;
        }
        let text = match fault {
            Fault::Failed(Failure::NotFound(_) | Failure::BadInput(_)) => t().link_void.to_owned(),
            Fault::Failed(Failure::Refused(problem))
                if matches!(problem.code, Code::Expired | Code::NotAuthenticated | Code::TriesExhausted) =>
            {
                t().link_void.to_owned()
            }
            fault => explain(fault),
        };
        // A code works for one try.
        self.code.set(String::new());
        self.problem.set(Some(text));
        self.waiting.set(false);
    }

    fn give_up(self) {
        self.waiting.set(false);
        self.code.set(String::new());
        spawn_local(async move {
            let _ = self.desk.ask(Intent::CancelLink).await;
        });
    }
}
