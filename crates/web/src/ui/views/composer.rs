//! Where one writes: grows with the text, keeps drafts, answers and edits.

use super::bubble::write;
use super::desk::{Desk, Writing};
use super::dom;
use super::emoji::emoji;
use super::icon::{Icon, icon};
use super::naming::{self, Naming};
use super::timers::{chip, timers};
use crate::ui::model::lasting::line;
use crate::ui::model::state::preview;
use crate::ui::strings::{fill, t};
use leptos::html;
use leptos::prelude::*;
use parlour_client::api::{Body, ConversationId, Intent, Member, Timer};
use parlour_proto::content::mention;
use parlour_proto::ids::{MessageId, UnixMillis};
use std::rc::Rc;
use std::time::Duration;

/// So long after the last key a draft is kept.
const DRAFT_AFTER: Duration = Duration::from_millis(350);

/// The engine is told at most this often that somebody writes, in ms.
const TELL_EVERY: u64 = 1000;

#[derive(Clone, Copy)]
struct Composer {
    desk: Desk,
    id: ConversationId,
    text: RwSignal<String>,
    area: NodeRef<html::Textarea>,
    picking: RwSignal<bool>,
    /// How what is written will end, and whether that is being chosen.
    timer: RwSignal<Option<Timer>>,
    timing: RwSignal<bool>,
    naming: Naming,
    /// When the engine was told that somebody writes here, and not yet that they stopped.
    told: StoredValue<Option<UnixMillis>>,
}

/// The composer of a conversation.
pub(crate) fn composer(desk: Desk, id: ConversationId) -> impl IntoView {
    let composer = Composer {
        desk,
        id,
        text: RwSignal::new(String::new()),
        area: NodeRef::new(),
        picking: RwSignal::new(false),
        timer: RwSignal::new(None),
        timing: RwSignal::new(false),
        naming: Naming::new(desk, id),
        told: StoredValue::new(None),
    };
    desk.has_typed.set_value(false);
    composer.open(&composer.draft());
    composer.keep_drafts();
    composer.follow_other_devices();
    composer.follow_writing();
    on_cleanup(move || composer.stopped());
    let can_send = Memo::new(move |_| !composer.text.read().trim().is_empty());
    let editing = move || matches!(desk.writing.get(), Writing::Edit(_));
    view! {
        <div class="composer">
            {move || composer.context()}
            {move || composer.picking.get().then(|| emoji(move |one| composer.insert(one), move || composer.stop_picking()))}
            {move || composer.timing.get().then(|| timers(composer.timer, Rc::new(move || composer.stop_picking())))}
            {move || composer.timer.get().filter(|_| !editing()).map(|timer| chip(timer, Rc::new(move || composer.forget_timer())))}
            {composer.naming.list(move |member| composer.name(&member))}
            <div class="composerow">
                <button class="iconbutton" aria-label=t().emoji title=t().emoji aria-expanded=move || composer.picking.get().to_string()
                    on:click=move |_| composer.pick(composer.picking, composer.timing)>{icon(Icon::Smile)}</button>
                {move || (!editing()).then(|| view! {
                    <button class="iconbutton timerbutton" class:set=move || composer.timer.read().is_some() aria-label=t().timer title=t().timer
                        aria-expanded=move || composer.timing.get().to_string()
                        on:click=move |_| composer.pick(composer.timing, composer.picking)>{icon(Icon::Clock)}</button>
                })}
                <textarea id="composer" node_ref=composer.area rows="1" dir="auto" autocomplete="off" enterkeyhint="send"
                    placeholder=t().write aria-label=t().write maxlength="16000"
                    aria-controls=move || composer.naming.current().map(|_| naming::LIST) aria-activedescendant=move || composer.naming.current()
                    prop:value=move || composer.text.get()
                    on:input=move |event| composer.typed(event_target_value(&event))
                    on:click=move |_| composer.look()
                    on:blur=move |_| composer.left()
                    on:keydown=move |event| composer.key(&event)></textarea>
                <button class="sendbutton" aria-label=move || if editing() { t().save } else { t().send } disabled=move || !can_send.get()
                    on:click=move |_| composer.send()>{move || icon(if editing() { Icon::Check } else { Icon::Send })}</button>
            </div>
        </div>
    }
}

impl Composer {
    /// A key, or something pasted: the others may see that somebody writes.
    fn typed(self, text: String) {
        let is_empty = text.trim().is_empty();
        self.desk.has_typed.set_value(true);
        self.text.set(text);
        self.look();
        if is_empty {
            return self.stopped();
        }
        let now = dom::now();
        if self.told.get_value().is_none_or(|told| now.since(told) >= TELL_EVERY) {
            self.told.set_value(Some(now));
            self.tell(true);
        }
    }

    /// A click on what sends takes the focus, too: it comes first.
    fn left(self) {
        set_timeout(
            move || {
                self.stopped();
                self.naming.close();
            },
            DRAFT_AFTER,
        );
    }

    /// The field was emptied, or left; what was sent says it by itself.
    fn stopped(self) {
        if self.told.try_update_value(Option::take).flatten().is_some() {
            self.tell(false);
        }
    }

    /// Nothing hangs on it, so nobody hears when it fails.
    fn tell(self, typing: bool) {
        let (desk, conversation) = (self.desk, self.id);
        leptos::task::spawn_local(async move {
            let _ = desk.ask(Intent::Typing { conversation, typing }).await;
        });
    }

    /// Above the field: what is answered or edited.
    fn context(self) -> Option<AnyView> {
        let (label, id) = match self.desk.writing.get() {
            Writing::New => return None,
            Writing::Reply(id) => (None, id),
            Writing::Edit(id) => (Some(t().editing.to_owned()), id),
        };
        let message = self.desk.thread.with_untracked(|thread| thread.message(id).cloned())?;
        let by =
            if message.from.is_none() { t().you.to_owned() } else { message.from_name.clone().unwrap_or_default() };
        let label = label.unwrap_or_else(|| fill(t().replying, &[("who", &by)]));
        let text = line(&preview(&message), t());
        Some(
            view! {
                <div class="context">
                    <span class="contexttext"><span class="quoteby">{label}</span><span class="quotetext" dir="auto">{text}</span></span>
                    <button class="iconbutton" aria-label=t().cancel on:click=move |_| self.stop_writing()>{icon(Icon::Close)}</button>
                </div>
            }
            .into_any(),
        )
    }

    /// The draft follows the text, a moment later, and at once when one leaves.
    fn keep_drafts(self) {
        let keep = move || {
            if let Some(text) = self.text.try_get_untracked().map(|text| self.naming.said(&text))
                && !matches!(self.desk.writing.get_untracked(), Writing::Edit(_))
            {
                self.desk.put_draft(self.id, Some(text));
            }
        };
        let round = StoredValue::new(0_u32);
        Effect::new(move |_| {
            self.text.track();
            self.grow();
            round.update_value(|round| *round += 1);
            let mine = round.get_value();
            set_timeout(
                move || {
                    if round.try_get_value() == Some(mine) {
                        keep();
                    }
                },
                DRAFT_AFTER,
            );
        });
        let hidden = window_event_listener(leptos::ev::pagehide, move |_| keep());
        on_cleanup(move || {
            hidden.remove();
            keep();
        });
    }

    /// What another device has written here meanwhile; not what it had written before.
    fn follow_other_devices(self) {
        Effect::new(move |before: Option<()>| {
            let heard = self.desk.heard_draft.get();
            let is_editing = matches!(self.desk.writing.get_untracked(), Writing::Edit(_));
            if let (Some(()), Some((id, text)), false) = (before, heard, is_editing)
                && id == self.id
            {
                self.desk.has_typed.set_value(false);
                self.open(&text);
            }
        });
    }

    /// Editing brings the old text into the field; stopping brings the draft back. A wide window has the focus here.
    fn follow_writing(self) {
        Effect::new(move |before: Option<Writing>| {
            let writing = self.desk.writing.get();
            if let Writing::Edit(id) = writing {
                let text = self
                    .desk
                    .thread
                    .with_untracked(|thread| thread.message(id).map(|m| mention::said(&m.text, &m.mentions)));
                self.open(&text.unwrap_or_default());
            } else if matches!(before, Some(Writing::Edit(_))) {
                self.open(&self.draft());
            }
            writing
        });
        if dom::has_keyboard() {
            dom::focus_soon("composer");
        }
    }

    fn grow(self) {
        request_animation_frame(move || {
            if let Some(area) = self.area.try_get_untracked().flatten() {
                let style = web_sys::HtmlElement::style(&area);
                let _ = style.set_property("height", "auto");
                let _ = style.set_property("height", &format!("{}px", area.scroll_height()));
            }
        });
    }

    fn key(self, event: &web_sys::KeyboardEvent) {
        if self.naming.key(event, move |member| self.name(&member)) {
            return;
        }
        match event.key().as_str() {
            "Enter" if !event.shift_key() && !event.is_composing() && dom::has_keyboard() => {
                event.prevent_default();
                self.send();
            }
            "ArrowUp" if self.text.read_untracked().is_empty() => {
                let last = self.desk.thread.with_untracked(|thread| thread.last_own().map(|message| message.id));
                if let Some(id) = last {
                    event.prevent_default();
                    self.desk.writing.set(Writing::Edit(id));
                }
            }
            "Escape" if self.picking.get_untracked() || self.timing.get_untracked() => {
                event.prevent_default();
                self.stop_picking();
            }
            "Escape" if self.desk.writing.get_untracked() != Writing::New => {
                event.prevent_default();
                self.stop_writing();
            }
            _ => {}
        }
    }

    fn stop_writing(self) {
        self.desk.writing.set(Writing::New);
        dom::focus_soon("composer");
    }

    /// Opens or closes one of the two that open above the field; the other one closes.
    fn pick(self, this: RwSignal<bool>, other: RwSignal<bool>) {
        other.set(false);
        this.update(|open| *open = !*open);
    }

    fn forget_timer(self) {
        self.timer.set(None);
        dom::focus_soon("composer");
    }

    fn stop_picking(self) {
        self.picking.set(false);
        self.timing.set(false);
        dom::focus_soon("composer");
    }

    fn insert(self, emoji: &str) {
        let caret = self.caret();
        self.text.update(|text| text.insert_str(caret, emoji));
        self.stop_picking();
    }

    /// Where the caret is, in bytes.
    fn caret(self) -> usize {
        let at = self.area.get_untracked().and_then(|area| area.selection_start().ok().flatten());
        self.text.with_untracked(|text| {
            // The browser counts in UTF-16.
            let mut left = at.unwrap_or(u32::MAX);
            let byte = text.char_indices().find(|(_, c)| {
                let here = left == 0;
                left = left.saturating_sub(c.len_utf16() as u32);
                here
            });
            byte.map_or(text.len(), |(byte, _)| byte)
        })
    }

    /// Offers people while a name is typed.
    fn look(self) {
        let caret = self.caret();
        self.text.with_untracked(|text| self.naming.look(text, caret));
    }

    /// Puts in who is meant, in the place of what was typed.
    fn name(self, member: &Member) {
        let caret = self.caret();
        let Some((from, label)) = self.text.with_untracked(|text| self.naming.choose(text, caret, member)) else {
            return;
        };
        self.text.update(|text| text.replace_range(from..caret, &format!("{label} ")));
        let after = self.text.with_untracked(|text| text[..from + label.len() + 1].encode_utf16().count() as u32);
        let area = self.area;
        request_animation_frame(move || {
            if let Some(area) = area.try_get_untracked().flatten() {
                let _ = area.focus();
                let _ = area.set_selection_range(after, after);
            }
        });
    }

    /// A text as it was kept.
    fn open(self, said: &str) {
        self.text.set(self.naming.open(said));
    }

    fn draft(self) -> String {
        self.desk.drafts.with_untracked(|drafts| drafts.get(&self.id).cloned()).unwrap_or_default()
    }

    fn send(self) {
        let text = self.text.get_untracked().trim().to_owned();
        if text.is_empty() {
            return;
        }
        let text = self.naming.said(&text);
        let body = match self.desk.writing.get_untracked() {
            Writing::New => self.text_body(text, None),
            Writing::Reply(id) => self.text_body(text, Some(id)),
            Writing::Edit(message) => Body::Edit { message, text },
        };
        self.told.set_value(None);
        self.desk.writing.set(Writing::New);
        self.picking.set(false);
        self.timing.set(false);
        let is_new = !matches!(body, Body::Edit { .. });
        write(self.desk, self.id, body);
        if is_new {
            // After the message: a page that dies in between has both, and not neither.
            self.text.set(String::new());
            self.desk.put_draft(self.id, None);
        }
        dom::focus_soon("composer");
    }

    fn text_body(self, text: String, in_reply_to: Option<MessageId>) -> Body {
        self.desk.thread.update(|thread| thread.forget_unread());
        let timer = self.timer.get_untracked();
        self.timer.set(None);
        Body::Text { text, in_reply_to, timer }
    }
}
