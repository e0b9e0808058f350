//! Making an account, or signing in with the recovery key: one form for each way of signing in. (With another device:
//! [`super::link`].)
//!
//! Every field here and elsewhere that holds something personal says `autocomplete="off"`: browsers keep what was typed into
//! others in their session files, where it outlives a sign-out. (Password managers go by the password field.)

use super::desk::{Desk, Newborn};
use super::devices::suggested_name;
use super::dom;
use super::icon::{Icon, icon};
use crate::ui::model::phone::{self, Lack};
use crate::ui::model::strength::{SHORTEST, Strength, strength};
use crate::ui::model::words::{COUNT, words_in};
use crate::ui::port::Fault;
use crate::ui::strings::{explain, fill, t};
use leptos::prelude::*;
use leptos::task::spawn_local;
use parlour_client::api::{Failure, Intent, Proof, Reply};
use parlour_proto::frames::SignIn;
use parlour_proto::problem::Code;
use zeroize::Zeroizing;

/// Which way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A new account.
    Up,
    /// An account that is there: with the recovery key.
    In,
    /// An account that is there: with another device.
    Link,
}

#[derive(Clone, Copy)]
struct Form {
    desk: Desk,
    way: Way,
    handle: RwSignal<String>,
    /// The code was sent to this number.
    sent_to: RwSignal<Option<String>>,
    code: RwSignal<String>,
    password: RwSignal<String>,
    again: RwSignal<String>,
    words: RwSignal<String>,
    shown: RwSignal<bool>,
    busy: RwSignal<bool>,
    problem: RwSignal<Option<String>>,
}

/// The form.
pub(super) fn form(desk: Desk, way: Way, ways: RwSignal<Way>) -> impl IntoView {
    let text = || RwSignal::new(String::new());
    let form = Form {
        desk,
        way,
        handle: text(),
        sent_to: RwSignal::new(None),
        code: text(),
        password: text(),
        again: text(),
        words: text(),
        shown: RwSignal::new(false),
        busy: RwSignal::new(false),
        problem: RwSignal::new(None),
    };
    if dom::has_keyboard() {
        dom::focus_soon("handle");
    }
    let title = if way == Way::Up { t().sign_up } else { t().sign_in };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        form.submit();
    };
    view! {
        <form class="entry" novalidate on:submit=submit>
            <h2>{title}</h2>
            {(way == Way::In).then(|| view! { <p class="lead">{t().sign_in_text}</p> })}
            {match desk.sign_in {
                SignIn::Phone => form.phone().into_any(),
                SignIn::Username | SignIn::AtHandle => form.named().into_any(),
            }}
            {move || form.problem.get().map(|problem| view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{problem}</span></p> })}
            <button class="button primary wide" disabled=move || form.busy.get() aria-busy=move || form.busy.get().to_string()>
                {move || form.button()}
            </button>
            {if way == Way::Up {
                view! {
                    <button type="button" id="link-way" class="button wide" on:click=move |_| ways.set(Way::Link)>
                        {icon(Icon::Laptop)}{fill(t().link_way, &[("app", &desk.app_name())])}
                    </button>
                    {other_way(t().have_account, t().sign_in, Way::In, ways)}
                }
                .into_any()
            } else {
                view! {
                    {other_way(t().link_have, t().link_title, Way::Link, ways)}
                    {other_way(t().no_account, t().sign_up, Way::Up, ways)}
                }
                .into_any()
            }}
        </form>
    }
}

/// `New here? Create your account`
pub(super) fn other_way(question: &'static str, link: &'static str, way: Way, ways: RwSignal<Way>) -> impl IntoView {
    view! {
        <p class="otherway">{question}" "<button type="button" class="linkbutton" on:click=move |_| ways.set(way)>{link}</button></p>
    }
}

impl Form {
    fn button(self) -> &'static str {
        match (self.busy.get(), self.desk.sign_in, self.sent_to.get().is_some(), self.way) {
            (true, ..) => t().moment,
            (_, SignIn::Phone, false, _) => t().send_code,
            (_, _, _, Way::Up) => t().create,
            _ => t().sign_in,
        }
    }

    /// A number; then the code that was sent to it.
    fn phone(self) -> impl IntoView {
        move || {
            match self.sent_to.get() {
            None => view! {
                <label class="field">
                    <span class="label">{t().phone}</span>
                    <input id="handle" class="input large" type="tel" inputmode="tel" autocomplete="off" placeholder="+49 170 1234567"
                        aria-describedby="handle-hint" prop:value=self.handle.get_untracked()
                        on:input=move |event| { self.problem.set(None); self.handle.set(event_target_value(&event)); } />
                </label>
                <p class="hint" id="handle-hint">{move || phone::complete(&self.handle.read()).map_or_else(|_| t().phone_hint.to_owned(), |number| phone::grouped(&number))}</p>
                {(self.way == Way::In).then(|| self.recovery())}
            }
            .into_any(),
            Some(number) => {
                dom::focus_soon("code");
                view! {
                    <p class="lead">{fill(t().code_sent, &[("number", &phone::grouped(&number))])}" "
                        <button type="button" class="linkbutton" on:click=move |_| { self.sent_to.set(None); self.problem.set(None); }>{t().change}</button>
                    </p>
                    <label class="field">
                        <span class="label">{t().sms_code}</span>
                        <input id="code" class="input code" type="text" inputmode="numeric" autocomplete="one-time-code" maxlength="8" placeholder="000000"
                            on:input=move |event| { self.problem.set(None); self.code.set(event_target_value(&event)); } />
                    </label>
                    <p class="hint"><button type="button" class="linkbutton" on:click=move |_| self.request_code(number.clone())>{t().code_again}</button></p>
                }
                .into_any()
            }
        }
        }
    }

    /// A name and a password.
    fn named(self) -> impl IntoView {
        let at = self.desk.sign_in == SignIn::AtHandle;
        let (label, hint) = if at { (t().handle, t().handle_hint) } else { (t().username, t().username_hint) };
        let app = self.desk.app.with_value(|app| app.as_str().to_owned());
        let sample = move || {
            let typed = self.handle.read().trim().trim_start_matches('@').to_lowercase();
            if typed.is_empty() {
                hint.to_owned()
            } else {
                fill(t().will_be, &[("address", &format!("{}{typed}@{app}", if at { "@" } else { "" }))])
            }
        };
        view! {
            <label class="field">
                <span class="label">{label}</span>
                <span class="affix" class:at=at>
                    {at.then(|| view! { <span aria-hidden="true">"@"</span> })}
                    <input id="handle" class="input large" type="text" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="40"
                        aria-describedby="handle-hint"
                        on:input=move |event| { self.problem.set(None); self.handle.set(event_target_value(&event)); } />
                </span>
            </label>
            <p class="hint" id="handle-hint"><bdi>{sample}</bdi></p>
            {self.secret(t().password, self.password, "password", if self.way == Way::Up { "new-password" } else { "current-password" })}
            {(self.way == Way::Up).then(|| view! {
                {self.meter()}
                {self.secret(t().password_again, self.again, "again", "new-password")}
                <p class="hint fixed">{move || (self.problem.read().is_none() && !self.again.read().is_empty() && *self.again.read() != *self.password.read()).then_some(t().passwords_differ)}</p>
            })}
            {(self.way == Way::In).then(|| self.recovery())}
        }
    }

    fn secret(
        self,
        label: &'static str,
        value: RwSignal<String>,
        id: &'static str,
        complete: &'static str,
    ) -> impl IntoView {
        view! {
            <label class="field">
                <span class="label">{label}</span>
                <span class="affix">
                    <input id=id class="input large" type=move || if self.shown.get() { "text" } else { "password" } autocomplete=complete
                        on:input=move |event| { self.problem.set(None); value.set(event_target_value(&event)); } />
                    <button type="button" class="iconbutton" aria-label=t().show_password aria-pressed=move || self.shown.get().to_string()
                        on:click=move |_| self.shown.update(|shown| *shown = !*shown)>{icon(Icon::Eye)}</button>
                </span>
            </label>
        }
    }

    fn meter(self) -> impl IntoView {
        let strength = Memo::new(move |_| {
            (!self.password.read().is_empty()).then(|| strength(&self.password.read(), &self.handle.read()))
        });
        let class = move || match strength.get() {
            None => "meter",
            Some(Strength::TooShort) => "meter s0",
            Some(Strength::Weak) => "meter s1",
            Some(Strength::Fair) => "meter s2",
            Some(Strength::Strong) => "meter s3",
        };
        let says = move || match strength.get() {
            None => t().password_hint.to_owned(),
            Some(Strength::TooShort) => fill(t().password_short, &[("n", &SHORTEST.to_string())]),
            Some(Strength::Weak) => t().password_weak.to_owned(),
            Some(Strength::Fair) => t().password_fair.to_owned(),
            Some(Strength::Strong) => t().password_strong.to_owned(),
        };
        view! { <div class=class aria-hidden="true"><i></i><i></i><i></i></div><p class="hint" role="status">{says}</p> }
    }

    /// The 24 words, typed or pasted.
    fn recovery(self) -> impl IntoView {
        let count = move || words_in(&self.words.read()).len();
        view! {
            <label class="field">
                <span class="label">{t().recovery_words}</span>
                <textarea class="input" rows="4" autocomplete="off" autocapitalize="none" spellcheck="false" aria-describedby="words-hint"
                    on:input=move |event| { self.problem.set(None); self.words.set(event_target_value(&event)); }></textarea>
            </label>
            <p class="hint" id="words-hint">{move || fill(t().words_count, &[("n", &count().to_string()), ("of", &COUNT.to_string())])}</p>
        }
    }

    /// What is missing, before anybody is asked.
    fn lack(self) -> Option<String> {
        if self.way == Way::In && words_in(&self.words.get_untracked()).len() != COUNT {
            return Some(fill(t().words_lack, &[("of", &COUNT.to_string())]));
        }
        if self.desk.sign_in == SignIn::Phone {
            return match phone::complete(&self.handle.get_untracked()) {
                Ok(_) => (self.sent_to.get_untracked().is_some() && self.code.get_untracked().trim().is_empty())
                    .then(|| t().code_lack.to_owned()),
                Err(Lack::Empty | Lack::TooShort) => Some(t().phone_short.to_owned()),
                Err(Lack::Country) => Some(t().phone_country.to_owned()),
                Err(Lack::Digits | Lack::TooLong) => Some(t().phone_digits.to_owned()),
            };
        }
        if self.handle.get_untracked().trim().trim_start_matches('@').chars().count() < 3 {
            return Some(t().handle_short.to_owned());
        }
        let password = self.password.get_untracked();
        if self.way == Way::Up && password.chars().count() < SHORTEST {
            return Some(fill(t().password_short, &[("n", &SHORTEST.to_string())]));
        }
        (self.way == Way::Up && password != self.again.get_untracked()).then(|| t().passwords_differ.to_owned())
    }

    fn submit(self) {
        if self.busy.get_untracked() {
            return;
        }
        if let Some(lack) = self.lack() {
            return self.problem.set(Some(lack));
        }
        let handle = self.handle.get_untracked();
        match (self.desk.sign_in, self.sent_to.get_untracked()) {
            (SignIn::Phone, None) => self.request_code(phone::complete(&handle).unwrap_or(handle)),
            (SignIn::Phone, Some(number)) => {
                self.enter(number, Proof::Code(self.code.get_untracked().trim().to_owned()))
            }
            _ => self.enter(handle.trim().to_owned(), Proof::Password(Zeroizing::new(self.password.get_untracked()))),
        }
    }

    fn request_code(self, number: String) {
        self.busy.set(true);
        self.problem.set(None);
        spawn_local(async move {
            let intent = Intent::RequestCode { app: self.desk.app.get_value(), handle: number.clone() };
            match self.desk.ask(intent).await {
                Ok(_) => self.sent_to.set(Some(number)),
                Err(fault) => self.problem.set(Some(explain(&fault))),
            }
            self.busy.set(false);
        });
    }

    fn enter(self, handle: String, proof: Proof) {
        let app = self.desk.app.get_value();
        let words = words_in(&self.words.get_untracked()).join(" ");
        let intent = match self.way {
            Way::Up => Intent::SignUp { app, handle, proof },
            _ => Intent::SignIn { app, handle, proof, recovery_key: Zeroizing::new(words) },
        };
        self.busy.set(true);
        self.problem.set(None);
        spawn_local(async move {
            match self.desk.ask(intent).await {
                Ok(reply) => {
                    if let Reply::SignedUp { address, recovery_key, .. } = reply {
                        self.desk.newborn.set(Some(Newborn { address, words: recovery_key, kept: false }));
                    }
                    self.desk.please(Intent::NameDevice { name: suggested_name() });
                    self.desk.read_all().await;
                }
                Err(fault) => self.fail(&fault),
            }
            self.busy.try_set(false);
        });
    }

    fn fail(self, fault: &Fault) {
        let text = match fault {
            Fault::Failed(Failure::Refused(problem))
                if problem.code == Code::HandleTaken && self.desk.sign_in == SignIn::Phone =>
            {
                t().phone_taken.to_owned()
            }
            Fault::Failed(Failure::Refused(problem))
                if problem.code == Code::NotAuthenticated && self.desk.sign_in == SignIn::Phone =>
            {
                t().code_wrong.to_owned()
            }
            Fault::Failed(Failure::BadInput(_)) if self.way == Way::In => t().words_wrong.to_owned(),
            fault => explain(fault),
        };
        self.problem.set(Some(text));
    }
}
