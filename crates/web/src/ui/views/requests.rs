//! The requests: people who ask. Nothing of theirs is drawn before the choice, neither name nor text.

use super::accounts::badge;
use super::desk::Desk;
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use crate::ui::model::route::Route;
use crate::ui::model::state::OWN;
use crate::ui::model::when::{Local, short};
use crate::ui::strings::{fill, t};
use leptos::prelude::*;
use parlour_client::api::{ConversationId, IdentityId, Intent, Joining, Reply, Request};

/// The page.
pub(crate) fn requests(desk: Desk) -> impl IntoView {
    let waiting = Memo::new(move |_| desk.state.with(|state| state.requests().cloned().collect::<Vec<_>>()));
    view! {
        {bar(desk, t().requests, ().into_any())}
        <div class="page">
            <p class="lead">{t().requests_lead}</p>
            {move || waiting.with(Vec::is_empty).then(|| view! {
                <div class="blank">{icon(Icon::Tray)}<p>{t().requests_none}</p>
                <a class="button" href=Route::Reach(OWN).hash()>{t().requests_reach}</a></div>
            })}
            {joining(desk)}
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
                let opens = conversation.id;
                desk.state.update(|state| {
                    state.forget(id);
                    state.put_conversation(conversation);
                });
                desk.go(Route::Chat(opens));
            }
        })
    };
    let group =
        request.joins.and_then(|group| desk.state.with_untracked(|state| Some(state.chat(group)?.title.clone())));
    let heading = match (&group, &request.group) {
        (Some(title), _) => fill(t().request_joins, &[("app", &app), ("group", title)]),
        (None, Some(_)) => fill(t().request_invites, &[("app", &app)]),
        (None, None) => fill(t().request_from, &[("app", &app)]),
    };
    view! {
        <li class="card request">
            <span class="avatar neutral" aria-hidden="true">{icon(Icon::Person)}</span>
            <div class="cardtext">
                <h2>{heading}" "{badge(desk, asked)}</h2>
                <p>{short(at, desk.today.get_untracked(), t())}" · "{t().request_hidden}</p>
                {reveal(request)}
            </div>
            <div class="choices">
                <button class="button primary" on:click=accept>{t().accept}</button>
                <button class="button" on:click=move |_| answer(desk, id, Intent::Decline { request: id }, t().declined)>{t().decline}</button>
                <button class="button quiet bad" on:click=move |_| answer(desk, id, Intent::Block { conversation: id }, t().blocked)>{t().block}</button>
            </div>
        </li>
    }
}

/// Who wants into a group, on demand: otherwise nobody could tell whom to let in.
fn reveal(request: &Request) -> Option<impl IntoView + use<>> {
    let says = [request.claimed_name.clone(), request.claimed_address.clone()];
    let says = says.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let open = RwSignal::new(false);
    let inside = move || match open.get() {
        true => view! { <p>{t().request_claims}" "<bdi>{says.clone()}</bdi></p> }.into_any(),
        false => {
            view! { <button class="linkbutton" on:click=move |_| open.set(true)>{t().request_who}</button> }.into_any()
        }
    };
    let has_any = request.claimed_name.is_some() || request.claimed_address.is_some();
    (request.joins.is_some() && has_any).then_some(inside)
}

/// Groups that one asked to join, and is not in yet.
fn joining(desk: Desk) -> impl IntoView {
    let waiting = RwSignal::new(Vec::<Joining>::new());
    let read = move || {
        desk.then(Intent::Joining, move |reply| {
            if let Reply::Joining(all) = reply {
                waiting.set(all);
            }
        });
    };
    read();
    Effect::new(move |before: Option<u32>| {
        let now = desk.joins.get();
        if before.is_some_and(|before| before != now) {
            read();
        }
        now
    });
    let line = move |one: Joining| {
        let id = one.id;
        let stop = move |_| {
            desk.then(Intent::StopJoining { join: id }, move |_| waiting.update(|all| all.retain(|one| one.id != id)))
        };
        let at = Local::of(one.since, dom::offset_min(one.since));
        view! {
            <li class="item">{icon(Icon::Group)}
                <span>{t().joining}<small>{short(at, desk.today.get_untracked(), t())}</small></span>
                <button class="button small quiet" on:click=stop>{t().joining_stop}</button>
            </li>
        }
    };
    move || {
        (!waiting.read().is_empty())
            .then(|| view! { <ul class="group plain">{waiting.get().into_iter().map(line).collect_view()}</ul> })
    }
}

fn answer(desk: Desk, id: ConversationId, intent: Intent, done: &'static str) {
    desk.then(intent, move |_| {
        desk.state.update(|state| state.forget(id));
        desk.tell(done);
    });
}
