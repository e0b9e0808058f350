//! The messages of a conversation, scrolled: only what is on screen is in the page, and what one looks at does not move
//! when something is read, measured or written above it.

use super::bubble::bubble;
use super::desk::Desk;
use super::dom;
use super::icon::{Icon, icon};
use super::menu::Menu;
use crate::ui::model::heights::Heights;
use crate::ui::model::lasting::line;
use crate::ui::model::route::Route;
use crate::ui::model::rows::{Row, RowKey, Rows};
use crate::ui::model::state::preview;
use crate::ui::model::when::day_name;
use crate::ui::strings::{fill, plural, t};
use leptos::html;
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, Message};
use parlour_proto::ids::UnixMillis;
use std::collections::HashMap;
use std::sync::Arc;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use web_sys::HtmlElement;

/// Drawn beyond each edge, in CSS pixels.
const MARGIN: f64 = 500.0;
/// So close to the end counts as being there.
const NEAR: f64 = 60.0;
/// So close to the beginning of what has been read, more is read.
const NEAR_START: f64 = 1500.0;

/// What the scrolling needs to know; plain values, changed between two paints.
#[derive(Clone, Copy)]
pub(super) struct Stream {
    desk: Desk,
    rows: RwSignal<Arc<Rows>>,
    scroller: NodeRef<html::Div>,
    /// As high as all rows together.
    tall: NodeRef<html::Div>,
    block: NodeRef<html::Ol>,
    heights: StoredValue<Heights>,
    measured: StoredValue<HashMap<RowKey, f64>>,
    /// Keep to the end.
    sticks: StoredValue<bool>,
    window: RwSignal<(usize, usize)>,
    pub(super) at_end: RwSignal<bool>,
    pub(super) below: RwSignal<u32>,
    pub(super) focused: RwSignal<Option<RowKey>>,
    /// The row that the Tab key finds: the one that had the focus, else the last one in the page.
    pub(super) stop: Memo<Option<RowKey>>,
    pub(super) flash: RwSignal<Option<RowKey>>,
    pub(super) menu: RwSignal<Option<Menu>>,
    /// What can be seen once, while it is.
    pub(super) once: RwSignal<Option<Message>>,
    /// The time, to the second, for what is left of messages.
    pub(super) now: RwSignal<UnixMillis>,
    placed: StoredValue<bool>,
}

/// What stays where it is in the window when heights change.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The end.
    End,
    /// A row, so far below the upper edge.
    Row(RowKey, f64),
    /// So far from the beginning: there is no message yet.
    At(f64),
}

/// The messages of a conversation.
pub(crate) fn stream(desk: Desk, id: ConversationId) -> impl IntoView {
    let rows = RwSignal::new(Arc::new(Rows::default()));
    let window = RwSignal::new((0, 0));
    let focused = RwSignal::new(None);
    let stream = Stream {
        desk,
        rows,
        scroller: NodeRef::new(),
        tall: NodeRef::new(),
        block: NodeRef::new(),
        heights: StoredValue::new(Heights::default()),
        measured: StoredValue::new(HashMap::new()),
        sticks: StoredValue::new(true),
        window,
        at_end: RwSignal::new(true),
        below: RwSignal::new(0),
        focused,
        stop: Memo::new(move |_| rows.with(|rows| tab_stop(rows, window.get(), focused.get()))),
        flash: RwSignal::new(None),
        menu: RwSignal::new(None),
        once: RwSignal::new(None),
        now: RwSignal::new(dom::now()),
        placed: StoredValue::new(false),
    };
    Effect::new(move |_| {
        let rows = desk.thread.with(|thread| (thread.id() == Some(id)).then(|| Rows::of(thread, dom::offset_min)));
        if let Some(rows) = rows {
            stream.take(Arc::new(rows));
        }
    });
    stream.watch_size();
    stream.watch_time();
    let shown = move || {
        let (first, last) = stream.window.get();
        stream.rows.with(|rows| {
            rows.rows.get(first..last.min(rows.rows.len())).unwrap_or_default().iter().map(Row::key).collect::<Vec<_>>()
        })
    };
    view! {
        <div class="streambox">
            <div class="stream" node_ref=stream.scroller on:scroll=move |_| stream.scrolled()>
                <div class="tall" node_ref=stream.tall>
                    <ol class="rows" node_ref=stream.block aria-label=t().messages
                        on:keydown=move |event| stream.key(&event)>
                        <For each=shown key=|key| *key children=move |key| row(stream, key) />
                    </ol>
                </div>
            </div>
            {jump(stream)}
            {super::menu::menu(stream, desk)}
            {super::once::shown(stream, desk)}
        </div>
    }
}

fn tab_stop(rows: &Rows, (first, last): (usize, usize), focused: Option<RowKey>) -> Option<RowKey> {
    let drawn = rows.rows.get(first..last.min(rows.rows.len()))?;
    let is_there = focused.filter(|key| drawn.iter().any(|row| row.key() == *key));
    is_there.or_else(|| drawn.iter().rev().find(|row| matches!(row, Row::Bubble(_))).map(Row::key))
}

fn jump(stream: Stream) -> impl IntoView {
    move || {
        (!stream.at_end.get()).then(|| view! {
            <button class="jump" aria-label=t().jump_newest title=t().jump_newest on:click=move |_| stream.to_end()>
                {icon(Icon::Down)}
                {move || (stream.below.get() > 0).then(|| view! { <span class="count">{stream.below.get()}</span> })}
            </button>
        })
    }
}

fn row(stream: Stream, key: RowKey) -> impl IntoView {
    let desk = stream.desk;
    let row = Memo::new(move |_| stream.rows.with(|rows| rows.get(key).cloned()));
    let is_message = matches!(key, RowKey::Message(_));
    let is_focused = move || stream.stop.get() == Some(key);
    view! {
        <li class="row" id=is_message.then(|| row_id(key)) tabindex=move || is_message.then(|| if is_focused() { "0" } else { "-1" })
            class:flash=move || stream.flash.get() == Some(key)
            on:focus=move |_| stream.focused.set(Some(key))>
            {move || match row.get() {
                None => ().into_any(),
                Some(Row::Start) => start(desk).into_any(),
                Some(Row::Loading) => view! { <div class="loading" role="status"><span class="unseen">{t().loading}</span></div> }.into_any(),
                Some(Row::Day(day)) => view! { <div class="day"><span>{move || day_name(day, desk.today.get(), t())}</span></div> }.into_any(),
                Some(Row::Unread(count)) => view! { <div class="unreadline"><span>{plural(t().unread_line, count as usize)}</span></div> }.into_any(),
                Some(Row::Keys(at)) => keys_note(desk, at.time()).into_any(),
                Some(Row::Bubble(of)) => bubble(stream, desk, of).into_any(),
                Some(Row::Notice(message, at)) => view! { <div class="told"><p>{line(&preview(&message), t())}" "<time>{at.time()}</time></p></div> }.into_any(),
            }}
        </li>
    }
}

fn row_id(key: RowKey) -> String {
    match key {
        RowKey::Message(id) => id.0.iter().fold("m".to_owned(), |id, byte| format!("{id}{byte:02x}")),
        _ => String::new(),
    }
}

fn start(desk: Desk) -> impl IntoView {
    let open = desk.thread.with_untracked(|thread| thread.id());
    // Names and pictures come later than the first message; what was said meanwhile does not draw this anew.
    let chat = Memo::new(move |_| {
        let chat = open.and_then(|id| desk.state.with(|state| state.chat(id).cloned()))?;
        Some(Conversation { last: None, unread: 0, last_activity: UnixMillis(0), ..Conversation::clone(&chat) })
    });
    move || {
        chat.get().map(|chat| {
            view! {
                <div class="start">
                    {super::chats::portrait(desk, &chat)}
                    <p class="startname"><bdi>{chat.title.clone()}</bdi></p>
                    <p>{icon(Icon::Key)}{t().encrypted}</p>
                </div>
            }
        })
    }
}

fn keys_note(desk: Desk, time: String) -> impl IntoView {
    let chat = desk
        .thread
        .with_untracked(|thread| thread.id())
        .and_then(|id| desk.state.with_untracked(|state| state.chat(id).cloned()));
    chat.map(|chat| {
        view! {
            <div class="keysnote" role="note">
                {icon(Icon::Key)}
                <p><strong>{fill(t().keys_changed, &[("who", &chat.title)])}</strong>" "{t().keys_changed_text}" "<time>{time}</time></p>
                <a class="button small" href=Route::Safety(chat.id).hash()>{t().compare}</a>
            </div>
        }
    })
}

impl Stream {
    /// Other rows: what one looks at stays where it is.
    fn take(self, rows: Arc<Rows>) {
        if self.scroller.get_untracked().is_none() {
            return self.soon(move || self.take(rows));
        }
        let mut place = self.place(&rows);
        if let Some((own, others)) = self.count_new(&rows) {
            if own {
                place = Place::End;
            } else if !matches!(place, Place::End) {
                self.below.update(|below| *below += others);
            }
        }
        if !self.placed.get_value() && self.desk.thread.with_untracked(|thread| thread.ready) {
            self.placed.set_value(true);
            if rows.index(RowKey::Unread).is_some() {
                place = Place::Row(RowKey::Unread, 72.0);
            }
        }
        self.sticks.set_value(matches!(place, Place::End));
        let known = self.measured.with_value(|measured| {
            rows.rows.iter().map(|row| measured.get(&row.key()).copied().unwrap_or_else(|| row.guess())).collect()
        });
        self.heights.set_value(Heights::new(known));
        self.rows.set(rows);
        self.lay_out(place);
        self.soon(move || self.measure());
    }

    /// Messages that are new at the end: whether one's own is among them, and how many are others'.
    fn count_new(self, rows: &Rows) -> Option<(bool, u32)> {
        let last = self.rows.with_untracked(|old| old.rows.last().map(Row::key))?;
        let from = rows.index(last)? + 1;
        let (mut own, mut others) = (false, 0);
        for row in rows.rows.get(from..)? {
            if let Row::Bubble(bubble) = row {
                own |= bubble.message.from.is_none();
                others += u32::from(bubble.message.from.is_some());
            }
        }
        Some((own, others))
    }

    /// What is to stay where it is: the end, or the first message in sight that will be there. (Only a message: what stands
    /// above all messages is above the older ones, too, once they have been read.)
    fn place(self, next: &Rows) -> Place {
        if self.sticks.get_value() {
            return Place::End;
        }
        let top = self.scroller.get_untracked().map_or(0.0, |scroller| f64::from(scroller.scroll_top()));
        let first = self.heights.with_value(|heights| heights.at(top));
        let message = self.rows.with_untracked(|rows| {
            let below = rows.rows.get(first..)?;
            let stays = |row: &Row| matches!(row, Row::Bubble(_)) && next.index(row.key()).is_some();
            let at = below.iter().position(stays)?;
            Some((first + at, below.get(at)?.key()))
        });
        match message {
            Some((row, key)) => Place::Row(key, self.heights.with_value(|heights| heights.top(row)) - top),
            None => Place::At(top),
        }
    }

    /// Puts the page in step with the heights, at a place. All at once, without waiting for a frame: between two steps
    /// somebody could scroll, and the second one would take that back.
    fn lay_out(self, place: Place) {
        let total = self.heights.with_value(Heights::total);
        if let Some(tall) = self.tall.get_untracked() {
            let _ = HtmlElement::style(&tall).set_property("height", &format!("{total}px"));
        }
        match place {
            Place::End => self.scroll_to(f64::MAX),
            Place::At(top) => self.scroll_to(top),
            Place::Row(key, gap) => {
                if let Some(row) = self.rows.with_untracked(|rows| rows.index(key)) {
                    self.scroll_to(self.heights.with_value(|heights| heights.top(row)) - gap);
                }
            }
        }
        self.draw();
        // A place that is given back before the next paint is no scrolling for the browser: it would not be told again.
        self.want_older();
    }

    fn scroll_to(self, y: f64) {
        if let Some(scroller) = self.scroller.get_untracked() {
            let y = y.min(f64::from(scroller.scroll_height())).round() as i32;
            if scroller.scroll_top() != y {
                scroller.set_scroll_top(y);
            }
        }
    }

    fn scrolled(self) {
        let Some(scroller) = self.scroller.get_untracked() else { return };
        let (top, height) = (f64::from(scroller.scroll_top()), f64::from(scroller.client_height()));
        let at_end = top + height >= f64::from(scroller.scroll_height()) - NEAR;
        self.sticks.set_value(at_end);
        if self.at_end.get_untracked() != at_end {
            self.at_end.set(at_end);
        }
        if at_end {
            self.below.set(0);
        }
        self.want_older();
        self.draw();
        self.soon(move || self.measure());
    }

    /// Reads what comes before when its place comes near.
    fn want_older(self) {
        let top = self.scroller.get_untracked().map(|scroller| scroller.scroll_top());
        if top.is_some_and(|top| f64::from(top) < NEAR_START) {
            self.desk.read_older();
        }
    }

    /// Before the next paint, unless the conversation was left meanwhile.
    fn soon(self, then: impl FnOnce() + 'static) {
        request_animation_frame(move || {
            if !self.rows.is_disposed() {
                then();
            }
        });
    }

    /// Puts into the page what is in sight.
    fn draw(self) {
        let Some(scroller) = self.scroller.get_untracked() else { return };
        let (top, height) = (f64::from(scroller.scroll_top()), f64::from(scroller.client_height()));
        let (window, offset) = self.heights.with_value(|heights| {
            let window = heights.window(top - MARGIN, top + height + MARGIN);
            (window, heights.top(window.0))
        });
        if self.window.get_untracked() != window {
            self.window.set(window);
        }
        if let Some(block) = self.block.get_untracked() {
            let _ = HtmlElement::style(&block).set_property("transform", &format!("translateY({offset}px)"));
        }
    }

    /// Looks how high the rows in the page really are.
    fn measure(self) {
        let Some(block) = self.block.get_untracked() else { return };
        let place = self.place(&self.rows.get_untracked());
        let (first, last) = self.window.get_untracked();
        let keys: Vec<RowKey> = self.rows.with_untracked(|rows| {
            rows.rows.get(first..last.min(rows.rows.len())).unwrap_or_default().iter().map(Row::key).collect()
        });
        let children = block.children();
        if children.length() as usize != keys.len() {
            return;
        }
        let mut changed = false;
        for (at, key) in keys.into_iter().enumerate() {
            let Some(child) = children.item(at as u32) else { continue };
            let height = child.get_bounding_client_rect().height();
            if (self.heights.with_value(|heights| heights.height(first + at)) - height).abs() > 0.5 {
                self.heights.update_value(|heights| heights.set(first + at, height));
                changed = true;
            }
            self.measured.update_value(|measured| {
                measured.insert(key, height);
            });
        }
        if changed {
            self.lay_out(place);
            self.soon(move || self.measure());
        }
    }

    /// Nobody looks at a clock in a tab that is hidden.
    fn watch_time(self) {
        let tick = move || {
            if dom::is_visible() {
                self.now.set(dom::now());
            }
        };
        if let Ok(ticking) = set_interval_with_handle(tick, std::time::Duration::from_secs(1)) {
            on_cleanup(move || ticking.clear());
        }
    }

    /// Rows are measured anew when the pane or a row in it changes its size.
    fn watch_size(self) {
        let width = StoredValue::new(0);
        let look = Closure::<dyn FnMut()>::new(move || {
            let Some(scroller) = self.scroller.try_get_untracked().flatten() else { return };
            if width.get_value() != scroller.client_width() {
                width.set_value(scroller.client_width());
                self.measured.update_value(HashMap::clear);
            }
            if self.sticks.get_value() {
                self.scroll_to(f64::MAX);
            }
            self.draw();
            self.measure();
        });
        let Ok(observer) = web_sys::ResizeObserver::new(look.as_ref().unchecked_ref()) else { return };
        let kept = StoredValue::new_local((observer, look));
        Effect::new(move |_| {
            if let (Some(scroller), Some(block)) = (self.scroller.get(), self.block.get()) {
                kept.with_value(|(observer, _)| {
                    observer.observe(&scroller);
                    observer.observe(&block);
                });
            }
        });
        on_cleanup(move || {
            kept.try_with_value(|(observer, _)| observer.disconnect());
        });
    }

    /// To the newest message.
    pub(super) fn to_end(self) {
        self.sticks.set_value(true);
        self.scroll_to(f64::MAX);
        self.scrolled();
    }

    /// To a message, which then stands out for a moment.
    pub(super) fn to_message(self, key: RowKey) {
        let Some(row) = self.rows.with_untracked(|rows| rows.index(key)) else { return };
        self.sticks.set_value(false);
        self.scroll_to(self.heights.with_value(|heights| heights.top(row)) - 120.0);
        self.scrolled();
        self.flash.set(Some(key));
        set_timeout(move || self.flash.set(None), std::time::Duration::from_millis(1400));
    }

    /// Arrow keys walk through the messages; Enter opens what can be done with one.
    fn key(self, event: &web_sys::KeyboardEvent) {
        let Some(RowKey::Message(id)) = self.focused.get_untracked() else { return };
        let is_row = event
            .target()
            .and_then(|target| target.dyn_into::<HtmlElement>().ok())
            .is_some_and(|target| target.tag_name() == "LI");
        if !is_row {
            return;
        }
        match event.key().as_str() {
            "ArrowUp" => self.walk(event, -1),
            "ArrowDown" => self.walk(event, 1),
            "End" => {
                event.prevent_default();
                self.to_end();
            }
            "Enter" | " " => {
                event.prevent_default();
                self.open_menu(id, None);
            }
            "r" | "R" => {
                event.prevent_default();
                self.desk.writing.set(super::desk::Writing::Reply(id));
                dom::focus_soon("composer");
            }
            _ => {}
        }
    }

    fn walk(self, event: &web_sys::KeyboardEvent, step: i64) {
        event.prevent_default();
        let next = self.rows.with_untracked(|rows| {
            let mut at = rows.index(self.focused.get_untracked()?)? as i64;
            loop {
                at += step;
                let row = rows.rows.get(usize::try_from(at).ok()?)?;
                if matches!(row, Row::Bubble(_)) {
                    return Some((at as usize, row.key()));
                }
            }
        });
        let Some((row, key)) = next else { return };
        self.focused.set(Some(key));
        let (top, height) = self.heights.with_value(|heights| (heights.top(row), heights.height(row)));
        if let Some(scroller) = self.scroller.get_untracked() {
            let (from, seen) = (f64::from(scroller.scroll_top()), f64::from(scroller.client_height()));
            if top < from + 8.0 {
                self.scroll_to(top - 8.0);
            } else if top + height > from + seen - 8.0 {
                self.scroll_to(top + height - seen + 8.0);
            }
        }
        self.draw();
        request_animation_frame(move || {
            if let Some(row) = dom::by_id(&row_id(key)) {
                let _ = row.focus();
            }
        });
    }

    /// Opens what can be done with a message, near a point or near the message.
    pub(super) fn open_menu(self, id: parlour_proto::ids::MessageId, at: Option<(f64, f64)>) {
        let at = at.or_else(|| {
            let area = dom::by_id(&row_id(RowKey::Message(id)))?.get_bounding_client_rect();
            Some((area.left() + area.width() / 2.0, area.top() + 24.0))
        });
        self.menu.set(Some(Menu { message: id, at: at.unwrap_or_default() }));
    }

    /// Gives the focus back to a message.
    pub(super) fn focus(self, id: parlour_proto::ids::MessageId) {
        request_animation_frame(move || {
            if let Some(row) = dom::by_id(&row_id(RowKey::Message(id))) {
                let _ = row.focus();
            }
        });
    }
}
