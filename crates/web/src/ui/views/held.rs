//! What the server holds of the account: every row in words, with its end, and a file of all of it.

use super::desk::Desk;
use super::dom;
use super::frame::bar;
use super::icon::{Icon, icon};
use crate::ui::model::held::json;
use crate::ui::model::when::{Local, day_name};
use crate::ui::strings::{explain, fill, held_besides, held_kind, held_words, t};
use leptos::prelude::*;
use parlour_client::api::{Ends, HeldRow, Holdings, Intent, Reply};

/// The page.
pub(crate) fn held(desk: Desk) -> impl IntoView {
    let known = RwSignal::new(None::<Result<Holdings, String>>);
    leptos::task::spawn_local(async move {
        let answer = match desk.ask(Intent::Holdings).await {
            Ok(Reply::Holdings(held)) => Ok(held),
            Ok(_) => return,
            Err(fault) => Err(explain(&fault)),
        };
        known.try_set(Some(answer));
    });
    view! {
        {bar(desk, t().held, ().into_any())}
        <div class="page" aria-live="polite" aria-busy=move || known.read().is_none().to_string()>
            <p class="lead">{t().held_lead}</p>
            {move || match known.get() {
                None => view! { <div class="loading" role="status"><span class="unseen">{t().loading}</span></div> }.into_any(),
                Some(Err(problem)) => view! { <p class="problem" role="alert">{icon(Icon::Warn)}<span>{problem}</span></p> }.into_any(),
                Some(Ok(held)) => all(desk, held),
            }}
        </div>
    }
}

fn all(desk: Desk, held: Holdings) -> AnyView {
    let kind = |number: u32, name: &str, why: &str, erased: &str| {
        let rows = held.rows.iter().filter(|row| row.kind == number).map(|row| line(desk, row)).collect_view();
        let says = format!("{why}. {}", fill(t().held_erased, &[("by", erased)]));
        section(name, says, view! { <dl class="figures">{rows}</dl> }.into_any())
    };
    let kinds: Vec<AnyView> = held
        .kinds
        .iter()
        .map(|of| {
            let [name, why, erased] = held_kind(of.number).unwrap_or([&of.name, &of.why, &of.erased]);
            kind(of.number, name, why, erased)
        })
        .collect();
    let besides: Vec<AnyView> = held
        .unlisted
        .iter()
        .map(|one| {
            let [name, why] = held_besides(&one.name).unwrap_or([&one.name, &one.why]);
            section(
                name,
                format!("{why}. {}", fill(t().held_most, &[("time", &held_words(&one.at_most))])),
                ().into_any(),
            )
        })
        .collect();
    let save = move |_| dom::save("parlour-held.json", &json(&held));
    view! {
        <button class="button" id="save-held" on:click=save>{icon(Icon::Download)}{t().save_file}</button>
        {kinds}
        <p class="lead">{t().held_besides}</p>
        {besides}
    }
    .into_any()
}

fn section(name: &str, says: String, rows: AnyView) -> AnyView {
    view! { <section class="group held"><h2 class="grouptitle">{name.to_owned()}</h2><p class="grouptext">{says}</p>{rows}</section> }
        .into_any()
}

fn line(desk: Desk, row: &HeldRow) -> AnyView {
    let today = desk.today.get_untracked();
    let day = row.day.map(|day| day_name(i64::from(day), today, t()));
    let size = match row.bytes {
        0..=9_999 => format!("{} B", row.bytes),
        more => format!("{} kB", more / 1000),
    };
    let which = Some(held_words(&row.which)).filter(|which| !which.is_empty());
    let is: Vec<String> = [which, day, Some(size)].into_iter().flatten().collect();
    let ends = match row.ends {
        Ends::WithAccount => t().held_with_account.to_owned(),
        Ends::At(at) => {
            let day = day_name(Local::of(at, dom::offset_min(at)).day, today, t());
            fill(t().group_link_until, &[("day", &day)])
        }
    };
    view! { <div><dt><bdi>{is.join(" · ")}</bdi></dt><dd>{ends}</dd></div> }.into_any()
}
