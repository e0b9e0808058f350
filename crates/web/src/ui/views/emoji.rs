//! A few emoji to choose from; all others come from the keyboard.

use super::dom;
use crate::ui::strings::t;
use leptos::prelude::*;

/// The reactions at hand.
pub(super) const QUICK: [&str; 6] = ["❤️", "👍", "😂", "😮", "😢", "🙏"];

const MANY: &str = "😀 😄 😂 🤣 😊 😍 🥰 😘 😉 😎 🤩 🥳 🤔 🙄 😴 😅 😇 🙃 😋 🤗 😏 😬 😌 🥺 😢 😭 😤 😡 🤯 😱 🤒 🤧 \
    👍 👎 👏 🙌 🙏 💪 👋 🤝 ✌️ 🤞 👌 🫶 ❤️ 🧡 💛 💚 💙 💜 🖤 💔 ✨ 🔥 🎉 🎂 🎁 ☕ 🍕 🍷 🌞 🌧️ 🌈 🌸 🐶 🐱 ⚽ 🎵 🚲 🚆 ✈️ 🏠 ⏰ 📷 ✅ ❌";

/// The grid; `pick` gets what was chosen, `close` is called for Escape.
pub(super) fn emoji(pick: impl Fn(&'static str) + Copy + 'static, close: impl Fn() + Copy + 'static) -> impl IntoView {
    let one = move |emoji: &'static str| view! { <button class="quick" on:click=move |_| pick(emoji)>{emoji}</button> };
    request_animation_frame(|| {
        let first = dom::by_id("emoji").and_then(|grid| grid.query_selector("button").ok()?);
        if let Some(first) = first.and_then(|first| wasm_bindgen::JsCast::dyn_into::<web_sys::HtmlElement>(first).ok())
        {
            let _ = first.focus();
        }
    });
    let key = move |event: web_sys::KeyboardEvent| {
        if event.key() == "Escape" {
            event.prevent_default();
            close();
        }
        dom::rove(&event, 8);
    };
    view! {
        <div class="emoji popup" id="emoji" role="group" aria-label=t().emoji on:keydown=key>
            {MANY.split_whitespace().map(one).collect_view()}
        </div>
    }
}
