//! Pictures that people chose: asked of the engine when somebody is drawn, kept as object URLs, drawn over their initials.

use super::desk::Desk;
use super::dom;
use super::icon::{Icon, icon};
use super::mark::avatar;
use crate::ui::model::text::hue;
use crate::ui::strings::t;
use js_sys::{Array, Uint8Array};
use leptos::prelude::*;
use parlour_client::api::{Conversation, ConversationId, IdentityId, Intent, Member, Picture, Reply};
use parlour_proto::frames::AccountRef;
use parlour_proto::ids::{AccountId, Digest};
use std::collections::HashMap;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, BlobPropertyBag, CanvasRenderingContext2d, HtmlCanvasElement, HtmlImageElement, Url};

/// Side of the picture that is sent, in pixels.
const SIDE: u32 = 256;
/// Qualities to try, best first, until the picture is small enough to be sent.
const QUALITIES: [f64; 5] = [0.86, 0.74, 0.6, 0.45, 0.3];

/// Whom a picture is of.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Whom {
    Me(Own),
    Somebody(AccountRef),
    Group(ConversationId),
}

/// One of the own accounts. (Its number alone may be another one's later.)
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Own {
    pub(super) id: IdentityId,
    pub(super) account: AccountId,
}

/// Pictures in memory, by whom they show: which one, and its URL once it was read.
#[derive(Clone, Copy)]
pub(crate) struct Faces(RwSignal<HashMap<Whom, Face>>);

#[derive(Clone)]
struct Face {
    digest: Option<Digest>,
    url: Option<String>,
}

impl Faces {
    pub(crate) fn new() -> Self {
        Self(RwSignal::new(HashMap::new()))
    }

    fn url(self, whom: &Whom) -> Option<String> {
        self.0.with(|faces| faces.get(whom)?.url.clone())
    }

    /// Reads a picture unless this very one was read.
    fn want(self, desk: Desk, whom: Whom, digest: Option<Digest>) {
        if self.0.with_untracked(|faces| faces.get(&whom).is_some_and(|face| face.digest == digest)) {
            return;
        }
        self.put(whom.clone(), Face { digest, url: None });
        leptos::task::spawn_local(async move {
            let intent = match &whom {
                Whom::Me(own) => desk.as_account(own.id, Intent::Picture { of: None }),
                Whom::Somebody(account) => Intent::Picture { of: Some(account.clone()) },
                Whom::Group(conversation) => Intent::GroupPicture { conversation: *conversation },
            };
            if let Ok(Reply::Picture(Some(picture))) = desk.ask(intent).await {
                self.put(whom, Face { digest, url: url_of(&picture) });
            }
        });
    }

    fn put(self, whom: Whom, face: Face) {
        let old = self.0.try_update(|faces| faces.insert(whom, face)).flatten();
        if let Some(url) = old.and_then(|old| old.url) {
            let _ = Url::revoke_object_url(&url);
        }
    }

    /// Whether an own account has a picture.
    pub(super) fn has_own(self, own: Own) -> bool {
        self.url(&Whom::Me(own)).is_some()
    }

    /// Its picture, just chosen (or taken away).
    pub(super) fn put_own(self, own: Own, picture: Option<&Picture>) {
        self.put(Whom::Me(own), Face { digest: None, url: picture.and_then(url_of) });
    }
}

/// Somebody's picture, or the initials of `name`.
pub(crate) fn face(desk: Desk, member: &Member, name: &str) -> AnyView {
    let seed = member.account.account.0;
    match member.picture {
        None => avatar(&seed, name, false),
        Some(digest) => photo(desk, Whom::Somebody(member.account.clone()), Some(digest), &seed, name),
    }
}

/// The picture of an own account, or its initials.
pub(super) fn own_face(desk: Desk, own: Own, name: &str) -> AnyView {
    photo(desk, Whom::Me(own), None, &own.account.0, name)
}

/// A group's picture.
pub(super) fn group_face(desk: Desk, chat: &Conversation) -> AnyView {
    photo(desk, Whom::Group(chat.id), chat.picture, &chat.id.0, &chat.title)
}

/// A picture that can be pressed to choose another one, and taken away.
pub(super) fn chooser(
    desk: Desk,
    title: &'static str,
    face: impl Fn() -> AnyView + Send + 'static,
    has_one: impl Fn() -> bool + Send + 'static,
    give: impl Fn(Option<Picture>) + Copy + Send + 'static,
) -> impl IntoView {
    let chosen = move |event: web_sys::Event| {
        let input: web_sys::HtmlInputElement = event_target(&event);
        let Some(file) = input.files().and_then(|files| files.get(0)) else { return };
        input.set_value("");
        leptos::task::spawn_local(async move {
            match shrink(&file).await {
                Ok(picture) => give(Some(picture)),
                Err(_) => desk.complain_text(t().picture_failed),
            }
        });
    };
    view! {
        <div class="mepicture">
            <label class="mechoose" title=title>
                {face}
                <span class="mepen" aria-hidden="true">{icon(Icon::Camera)}</span>
                <input id="picture" type="file" class="unseen" accept="image/*" aria-label=title on:change=chosen />
            </label>
            {move || has_one().then(|| view! { <button type="button" class="linkbutton" on:click=move |_| give(None)>{t().picture_remove}</button> })}
        </div>
    }
}

fn photo(desk: Desk, whom: Whom, digest: Option<Digest>, seed: &[u8], name: &str) -> AnyView {
    desk.faces.want(desk, whom.clone(), digest);
    let (seed, name) = (seed.to_vec(), name.to_owned());
    let url = Memo::new(move |_| desk.faces.url(&whom));
    let class = format!("avatar photo hue{}", hue(&seed));
    let inside = move || match url.get() {
        Some(url) => {
            view! { <span class=class.clone() aria-hidden="true"><img src=url alt="" decoding="async" /></span> }
                .into_any()
        }
        None => avatar(&seed, &name, false),
    };
    inside.into_any()
}

fn url_of(picture: &Picture) -> Option<String> {
    let bytes = Uint8Array::from(picture.image().as_ref());
    let kind = BlobPropertyBag::new();
    kind.set_type(picture.media_type());
    let blob = Blob::new_with_u8_array_sequence_and_options(&Array::of1(&bytes), &kind).ok()?;
    Url::create_object_url_with_blob(&blob).ok()
}

/// Makes the picture that is sent of a file that was chosen: a square, small, drawn anew, so that nothing of what a camera
/// writes beside a picture (place, time, make) goes with it.
///
/// # Errors
/// When the file is no picture that this browser can read.
async fn shrink(file: &Blob) -> Result<Picture, JsValue> {
    let url = Url::create_object_url_with_blob(file)?;
    let image = HtmlImageElement::new()?;
    image.set_src(&url);
    let decoded = JsFuture::from(image.decode()).await;
    let drawn = decoded.and_then(|_| draw(&image));
    Url::revoke_object_url(&url)?;
    encode(&drawn?).await
}

/// The middle of the picture, on a square canvas.
fn draw(image: &HtmlImageElement) -> Result<HtmlCanvasElement, JsValue> {
    let document = dom::try_window().and_then(|window| window.document()).ok_or(JsValue::NULL)?;
    let canvas: HtmlCanvasElement = document.create_element("canvas")?.dyn_into()?;
    canvas.set_width(SIDE);
    canvas.set_height(SIDE);
    let context: CanvasRenderingContext2d = canvas.get_context("2d")?.ok_or(JsValue::NULL)?.dyn_into()?;
    let (width, height) = (f64::from(image.natural_width()), f64::from(image.natural_height()));
    let side = width.min(height);
    let (left, top, to) = ((width - side) / 2.0, (height - side) / 2.0, f64::from(SIDE));
    context.draw_image_with_html_image_element_and_sw_and_sh_and_dx_and_dy_and_dw_and_dh(
        image, left, top, side, side, 0.0, 0.0, to, to,
    )?;
    Ok(canvas)
}

async fn encode(canvas: &HtmlCanvasElement) -> Result<Picture, JsValue> {
    for quality in QUALITIES {
        let url = canvas.to_data_url_with_type_and_encoder_options("image/jpeg", &JsValue::from_f64(quality))?;
        let window = dom::try_window().ok_or(JsValue::NULL)?;
        let base64 = url.split_once(',').map(|(_, base64)| base64).ok_or(JsValue::NULL)?;
        let bytes: Vec<u8> = window.atob(base64)?.chars().map(|one| one as u8).collect();
        if let Some(picture) = Picture::new("image/jpeg", bytes.into()) {
            return Ok(picture);
        }
    }
    Err(JsValue::NULL)
}
