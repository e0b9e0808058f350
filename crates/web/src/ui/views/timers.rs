//! How long one message stays: chosen above the field where it is written, and shown there until it is sent.

use super::dom;
use super::icon::{Icon, icon};
use crate::ui::model::lasting::{TIMERS, span, timer};
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_client::api::Timer;
use std::rc::Rc;

/// The choice; `close` is called when it was made, and for Escape.
pub(super) fn timers(chosen: RwSignal<Option<Timer>>, close: Rc<dyn Fn()>) -> AnyView {
    dom::focus_first("timers");
    let one = {
        let close = close.clone();
        move |this: Option<Timer>, says: String| {
            let close = close.clone();
            let choose = move |_| {
                chosen.set(this);
                close();
            };
            let whole = this.map_or_else(|| t().timer_none.to_owned(), |this| timer(this, t()));
            let is_chosen = chosen.get_untracked() == this;
            view! { <button class="chip" aria-label=whole aria-pressed=is_chosen.to_string() on:click=choose>{says}</button> }.into_any()
        }
    };
    let line = |of: fn(u32) -> Timer| TIMERS.map(|s| one(Some(of(s)), span(s, t()))).into_iter().collect_view();
    let key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            close();
        }
        dom::rove(&event, 1);
    };
    view! {
        <div class="timers popup" id="timers" role="group" aria-label=t().timer on:keydown=key>
            <div class="chips">{one(None, t().timer_none.to_owned())}{one(Some(Timer::Once), t().timer_once.to_owned())}</div>
            <p class="label">{t().timer_reading}</p>
            <div class="chips">{line(Timer::Reading)}</div>
            <p class="label">{t().timer_sending}</p>
            <div class="chips">{line(Timer::Sending)}</div>
        </div>
    }
    .into_any()
}

/// What was chosen, beside the field.
pub(super) fn chip(chosen: Timer, clear: Rc<dyn Fn()>) -> AnyView {
    view! {
        <div class="timerchip">
            {icon(if chosen == Timer::Once { Icon::Eye } else { Icon::Clock })}
            <span>{timer(chosen, t())}</span>
            <button class="iconbutton" aria-label=t().timer_none title=t().timer_none on:click=move |_| clear()>{icon(Icon::Close)}</button>
        </div>
    }
    .into_any()
}
