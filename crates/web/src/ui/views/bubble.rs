//! A message.

use super::desk::{Desk, Writing};
use super::dom;
use super::icon::{Icon, icon, ticks};
use super::once;
use super::stream::Stream;
use crate::ui::model::lasting::{clock, ending};
use crate::ui::model::naming::{label, piece};
use crate::ui::model::rows::{Bubble, Quote, RowKey, tally};
use crate::ui::model::text::{Piece, hue, is_jumbo, pieces};
use crate::ui::model::when::Local;
use crate::ui::strings::t;
use leptos::prelude::*;
use parlour_client::api::{Body, ConversationId, Intent, Member, Message, Target, Timer};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::MessageId;

/// Draws it.
pub(super) fn bubble(stream: Stream, desk: Desk, bubble: Bubble) -> impl IntoView {
    let Bubble { message, first, last, at, quote } = bubble;
    let id = message.id;
    let own = message.from.is_none();
    let in_group = desk
        .thread
        .with_untracked(|thread| thread.id())
        .is_some_and(|id| desk.state.with_untracked(|state| state.chat(id).is_some_and(|chat| chat.is_group)));
    let once = message.timer == Some(Timer::Once) && !message.deleted;
    let jumbo = !message.deleted && !once && quote.is_none() && is_jumbo(&message.text);
    let left = clock_of(stream, &message);
    let timed = move || left.is_some_and(|left| left.read().is_some());
    let kept = message.kept;
    let mut class = format!("said {}", if own { "own" } else { "theirs" });
    for (is, name) in [(first, " first"), (last, " last"), (jumbo, " jumbo"), (message.deleted, " deleted")] {
        class.push_str(if is { name } else { "" });
    }
    let author = (in_group && !own && first).then(|| author(&message));
    let picture = (in_group && !own && last).then(|| {
        let name = message.from_name.as_deref().unwrap_or_default();
        match message.from.as_ref().and_then(|from| member(desk, from)) {
            Some(member) => super::face::face(desk, &member, name),
            None => super::mark::avatar(&message.from.as_ref().map_or([0; 16], |from| from.account.0), name, false),
        }
    });
    let name = message.from_name.clone().unwrap_or_default();
    let press = Press(StoredValue::new(None));
    let failed = message.state == parlour_client::api::MessageState::Failed;
    view! {
        <div class=class class:ingroup=in_group && !own>
            {picture}
            <div class="bubble" on:touchstart=move |_| press.begin(stream, id) on:touchmove=move |_| press.end() on:touchend=move |_| press.end()
                on:contextmenu=move |event| {
                    event.prevent_default();
                    press.end();
                    stream.open_menu(id, Some((f64::from(event.client_x()), f64::from(event.client_y()))));
                }>
                <span class="unseen">{if own { t().you.to_owned() } else { name }}": "</span>
                {author}
                {quote.filter(|_| !message.deleted).map(|quote| quoted(stream, id, quote))}
                {if message.deleted {
                    view! { <p class="text"><em>{t().deleted}</em><span class="room"></span>{meta(desk, &message, left, at.time())}</p> }.into_any()
                } else {
                    let words = if once { once::once(stream, desk, &message) } else { said(desk, &message).into_any() };
                    view! { <p class="text" dir="auto">{words}<span class="room" class:edited=message.edited class:own=own class:timed=timed class:kept=kept></span>{meta(desk, &message, left, at.time())}</p> }.into_any()
                }}
                {failed.then(|| view! { <p class="failed">{t().failed_text}</p> })}
            </div>
            {(!message.deleted).then(|| tools(stream, desk, id))}
            {reactions(stream, desk, &message)}
        </div>
    }
}

/// Somebody in the open conversation.
fn member(desk: Desk, account: &AccountRef) -> Option<Member> {
    let open = desk.thread.with_untracked(|thread| thread.id())?;
    desk.state
        .with_untracked(|state| state.chat(open)?.members.iter().find(|member| member.account == *account).cloned())
}

/// A finger that stays on a bubble opens its menu (not every browser makes a `contextmenu` of it).
#[derive(Clone, Copy)]
struct Press(StoredValue<Option<leptos::leptos_dom::helpers::TimeoutHandle>>);

impl Press {
    fn begin(self, stream: Stream, id: MessageId) {
        self.end();
        let open = move || {
            if stream.menu.try_with_untracked(Option::is_none) == Some(true) {
                stream.open_menu(id, None);
            }
        };
        let timer = set_timeout_with_handle(open, std::time::Duration::from_millis(450)).ok();
        self.0.set_value(timer);
    }

    fn end(self) {
        if let Some(timer) = self.0.try_update_value(Option::take).flatten() {
            timer.clear();
        }
    }
}

/// What is in the row that has the focus can be reached with Tab, the rest cannot: one would never get through.
pub(super) fn tab_index(stream: Stream, id: MessageId) -> &'static str {
    if stream.stop.get() == Some(RowKey::Message(id)) { "0" } else { "-1" }
}

fn author(message: &Message) -> impl IntoView + use<> {
    let tint = message.from.as_ref().map_or(0, |from| hue(&from.account.0));
    view! { <p class=format!("author hue{tint}")><bdi>{message.from_name.clone()}</bdi></p> }
}

fn quoted(stream: Stream, own_id: MessageId, quote: Quote) -> impl IntoView {
    let by = if quote.own { t().you.to_owned() } else { quote.by.unwrap_or_default() };
    let id = quote.id;
    view! {
        <button class="quote" tabindex=move || tab_index(stream, own_id) aria-label=t().jump_quoted on:click=move |_| stream.to_message(RowKey::Message(id))>
            <span class="quoteby"><bdi>{by}</bdi></span>
            <span class="quotetext" dir="auto">{quote.text.unwrap_or_else(|| t().quote_gone.to_owned())}</span>
        </button>
    }
}

/// A text with its links and whom it names: as they are known here, not as the author calls them.
pub(super) fn said(desk: Desk, message: &Message) -> Vec<AnyView> {
    let me = my_account(desk);
    let mut views = Vec::new();
    let mut from = 0;
    for mention in &message.mentions {
        views.extend(linked(message.text.get(from..mention.start as usize).unwrap_or_default()));
        let known = member(desk, &mention.account).and_then(|member| label(&member));
        let name = known.unwrap_or_else(|| piece(&message.text, mention).to_owned());
        let is_me = Some(&mention.account) == me.as_ref();
        views.push(view! { <b class="mention" class:mine=is_me><bdi>{name}</bdi></b> }.into_any());
        from = mention.end as usize;
    }
    views.extend(linked(message.text.get(from..).unwrap_or_default()));
    views
}

/// A text with its links; they tell nobody where they were clicked.
fn linked(text: &str) -> Vec<AnyView> {
    let one = |piece| match piece {
        Piece::Plain(text) => text.into_any(),
        Piece::Link { shown, href } => {
            view! { <a href=href target="_blank" rel="noreferrer noopener nofollow">{shown}</a> }.into_any()
        }
    };
    pieces(text).into_iter().map(one).collect()
}

/// What is left of a message, as its clock shows it; `None` where there will never be one.
fn clock_of(stream: Stream, message: &Message) -> Option<Memo<Option<String>>> {
    if message.expires.is_none() && message.timer.is_none() {
        return None;
    }
    // Its words are not wanted for that.
    let timed = Message { text: String::new(), mentions: Vec::new(), reactions: Vec::new(), ..message.clone() };
    Some(Memo::new(move |_| clock(&timed, stream.now.get(), t())))
}

/// The clock: only its own text changes while it runs.
fn ticking(desk: Desk, message: &Message, left: Memo<Option<String>>) -> impl IntoView + use<> {
    let at = message.expires.map(|at| Local::of(at, dom::offset_min(at)));
    let says = StoredValue::new(ending(message, at, desk.today.get_untracked(), t()));
    let is_there = Memo::new(move |_| left.read().is_some());
    move || {
        is_there.get().then(|| {
            let says = says.get_value();
            view! { <span class="clock" role="img" aria-label=says.clone() title=says>{icon(Icon::Clock)}<b>{move || left.get()}</b></span> }
        })
    }
}

fn meta(desk: Desk, message: &Message, left: Option<Memo<Option<String>>>, time: String) -> impl IntoView + use<> {
    view! {
        <span class="meta">
            {left.map(|left| ticking(desk, message, left))}
            {message.kept.then(|| view! { <span class="keptmark" role="img" aria-label=t().kept title=t().kept>{icon(Icon::Keep)}</span> })}
            {message.edited.then(|| view! { <span>{t().edited}" "</span> })}
            <time>{time}</time>
            {(!message.deleted).then(|| ticks(message.state))}
        </span>
    }
}

/// What a pointer finds beside a message.
fn tools(stream: Stream, desk: Desk, id: MessageId) -> impl IntoView {
    let reply = move |_| {
        desk.writing.set(Writing::Reply(id));
        dom::focus_soon("composer");
    };
    let more = move |event: web_sys::MouseEvent| {
        stream.open_menu(id, Some((f64::from(event.client_x()), f64::from(event.client_y()))));
    };
    view! {
        <span class="tools">
            <button class="tool" tabindex=move || tab_index(stream, id) aria-label=t().more title=t().more on:click=more>{icon(Icon::Smile)}</button>
            <button class="tool" tabindex=move || tab_index(stream, id) aria-label=t().reply title=t().reply on:click=reply>{icon(Icon::Reply)}</button>
        </span>
    }
}

fn reactions(stream: Stream, desk: Desk, message: &Message) -> impl IntoView + use<> {
    let me = my_account(desk);
    let counted = tally(&message.reactions, me.as_ref());
    let id = message.id;
    (!counted.is_empty() && !message.deleted).then(|| {
        let chip = move |(emoji, count, own): (String, usize, bool)| {
            let given = emoji.clone();
            let toggle = move |_| react(desk, id, if own { String::new() } else { given.clone() });
            view! {
                <button class="reaction" class:own=own tabindex=move || tab_index(stream, id) aria-pressed=own.to_string() on:click=toggle>
                    <span>{emoji}</span>{(count > 1).then_some(count)}
                </button>
            }
        };
        view! { <div class="reactions">{counted.into_iter().map(chip).collect_view()}</div> }
    })
}

/// Who one is in the open conversation.
pub(super) fn my_account(desk: Desk) -> Option<AccountRef> {
    let open = desk.thread.with_untracked(|thread| thread.id())?;
    desk.state.with_untracked(|state| state.account_in(open).map(|me| me.account.clone()))
}

/// Gives a reaction, or takes it back with an empty one.
pub(super) fn react(desk: Desk, message: MessageId, emoji: String) {
    if let Some(id) = desk.thread.with_untracked(|thread| thread.id()) {
        write(desk, id, Body::Reaction { message, emoji });
    }
}

/// Writes into a conversation.
pub(super) fn write(desk: Desk, id: ConversationId, body: Body) {
    desk.please(Intent::Send { to: Target::Conversation(id), body });
}
