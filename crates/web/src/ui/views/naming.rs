//! The list that comes up in a group when one writes `@`: who is meant, by mouse, finger or arrow keys.

use super::desk::Desk;
use super::face::face;
use crate::ui::model::naming::{Named, label, meant, open, said, typed};
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_client::api::{ConversationId, Member};

/// The list's id.
pub(super) const LIST: &str = "naming";

/// What is offered, and who was chosen so far.
#[derive(Clone, Copy)]
pub(super) struct Naming {
    desk: Desk,
    id: ConversationId,
    offered: RwSignal<Vec<Member>>,
    /// Which of them the arrow keys are at.
    at: RwSignal<usize>,
    named: StoredValue<Vec<Named>>,
}

impl Naming {
    pub(super) fn new(desk: Desk, id: ConversationId) -> Self {
        Self { desk, id, offered: RwSignal::new(Vec::new()), at: RwSignal::new(0), named: StoredValue::new(Vec::new()) }
    }

    /// Offers who may be meant by what stands before the caret.
    pub(super) fn look(self, text: &str, caret: usize) {
        let members = self.desk.state.with_untracked(|state| {
            let chat = state.chat(self.id).filter(|chat| chat.is_group)?;
            Some(meant(typed(text, caret)?.1, &chat.members).into_iter().cloned().collect())
        });
        let members: Vec<Member> = members.unwrap_or_default();
        if self.offered.with_untracked(|offered| *offered != members) {
            self.offered.set(members);
            self.at.set(0);
        }
    }

    pub(super) fn close(self) {
        if self.offered.try_with_untracked(Vec::is_empty) == Some(false) {
            self.offered.set(Vec::new());
        }
    }

    /// Somebody was chosen: what stands from where to the caret is to be replaced by this.
    pub(super) fn choose(self, text: &str, caret: usize, member: &Member) -> Option<(usize, String)> {
        let (from, label) = (typed(text, caret)?.0, label(member)?);
        self.named.update_value(|named| named.push((label.clone(), member.account.clone())));
        self.close();
        Some((from, label))
    }

    /// Keys that mean the list while it is there; whether it was one.
    pub(super) fn key(self, event: &web_sys::KeyboardEvent, choose: impl Fn(Member)) -> bool {
        let (count, at) = (self.offered.with_untracked(Vec::len), self.at.get_untracked());
        if count == 0 || event.is_composing() {
            return false;
        }
        match event.key().as_str() {
            "ArrowDown" => self.at.set((at + 1) % count),
            "ArrowUp" => self.at.set((at + count - 1) % count),
            "Enter" | "Tab" if !event.shift_key() => {
                if let Some(member) = self.offered.with_untracked(|offered| offered.get(at).cloned()) {
                    choose(member);
                }
            }
            "Escape" => self.close(),
            _ => return false,
        }
        event.prevent_default();
        true
    }

    /// The id of the line that the arrow keys are at.
    pub(super) fn current(self) -> Option<String> {
        (!self.offered.read().is_empty()).then(|| line_id(self.at.get()))
    }

    /// The list, while there is something to offer.
    pub(super) fn list(self, choose: impl Fn(Member) + Copy + Send + 'static) -> impl IntoView {
        let lines = move || {
            let lines = self.offered.get().into_iter().enumerate();
            lines.map(|(n, member)| self.line(n, member, choose)).collect_view()
        };
        move || {
            (!self.offered.read().is_empty()).then(|| {
                view! { <ul id=LIST class="naming plain" role="listbox" aria-label=t().name_whom>{lines}</ul> }
            })
        }
    }

    fn line(self, n: usize, member: Member, choose: impl Fn(Member) + Copy + 'static) -> AnyView {
        let name = member.name.clone().or(member.address.clone()).unwrap_or_default();
        let picture = face(self.desk, &member, &name);
        let is_at = move || self.at.get() == n;
        // Before the field loses the focus.
        let press = move |event: web_sys::MouseEvent| {
            event.prevent_default();
            choose(member.clone());
        };
        let press: Box<dyn Fn(web_sys::MouseEvent)> = Box::new(press);
        view! {
            <li id=line_id(n) class="namingline" role="option" class:at=is_at aria-selected=move || is_at().to_string() on:mousedown=press>
                {picture}<bdi>{name}</bdi>
            </li>
        }
        .into_any()
    }

    /// The text as it is sent and kept.
    pub(super) fn said(self, text: &str) -> String {
        self.named.try_with_value(|named| said(text, named)).unwrap_or_else(|| text.to_owned())
    }

    /// A text that was kept, to go on writing.
    pub(super) fn open(self, said: &str) -> String {
        let (text, named) = open(said);
        self.named.set_value(named);
        self.close();
        text
    }
}

fn line_id(n: usize) -> String {
    format!("{LIST}{n}")
}
