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
    dom::focus_first("emoji");
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
