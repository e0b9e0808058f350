//! The requests: people who ask. Nothing of theirs is drawn before the choice, neither name nor text.

use super::accounts::badge;
use super::desk::Desk;
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use crate::ui::model::route::Route;
use crate::ui::model::when::{Local, short};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{ConversationId, IdentityId, Intent, Reply, Request};

/// The page.
pub(crate) fn requests(desk: Desk) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.state.with(|state| state.requests().cloned().collect::<Vec<_>>()));
    view! {
        {bar(desk, t().requests, ().into_any())}
        <div class="page">
            <p class="lead">{t().requests_lead}</p>
            {move || waiting.with(Vec::is_empty).then(|| view! {
                <div class="blank">{icon(Icon::Tray)}<p>{t().requests_none}</p>
                <a class="button" href=Route::Reach.hash()>{t().requests_reach}</a></div>
            })}
            <ul class="cards" aria-label=t().requests>
                <For each=move || waiting.get() key=|(_, request)| request.id children=move |(asked, request)| card(desk, asked, &request) />
            </ul>
        </div>
    }
}

fn card(desk: Desk, asked: IdentityId, request: &Request) -> impl IntoView + use<> {
    let id = request.id;
    let app = desk.state.with_untracked(|state| state.app_name(&request.from.app));
    let at = Local::of(request.time, dom::offset_min(request.time));
    let accept = move |_| {
        desk.then(Intent::Accept { request: id }, move |reply| {
            if let Reply::Conversation(conversation) = reply {
                let id = conversation.id;
                desk.state.update(|state| {
                    state.forget(id);
                    state.put_conversation(conversation);
                });
                desk.go(Route::Chat(id));
            }
        })
    };
    view! {
        <li class="card request">
            <span class="avatar neutral" aria-hidden="true">{icon(Icon::Person)}</span>
            <div class="cardtext">
                <h2>{fill(t().request_from, &[("app", &app)])}" "{badge(desk, asked)}</h2>
                <p>{short(at, desk.today.get_untracked(), t())}" · "{t().request_hidden}</p>
            </div>
            <div class="choices">
                <button class="button primary" on:click=accept>{t().accept}</button>
                <button class="button" on:click=move |_| answer(desk, id, Intent::Decline { request: id }, t().declined)>{t().decline}</button>
                <button class="button quiet bad" on:click=move |_| answer(desk, id, Intent::Block { conversation: id }, t().blocked)>{t().block}</button>
            </div>
        </li>
    }
}

fn answer(desk: Desk, id: ConversationId, intent: Intent, done: &'static str) {
    desk.then(intent, move |_| {
        desk.state.update(|state| state.forget(id));
        desk.tell(done);
    });
}
