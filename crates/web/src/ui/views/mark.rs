//! Wordmarks and pictures: each app's name drawn by line, the round picture of a person, a QR code.

use super::icon::{Icon, icon};
use crate::ui::model::text::{hue, initials};
use leptos::prelude::*;
use qrcode::{EcLevel, QrCode};

/// An app's small mark.
pub(crate) fn glyph(app: &str) -> AnyView {
    let path = match app {
        // a bell, its clapper a little off: it has just rung
        "bell" => {
            "M24 6v3M11 33c3-3 3.500-6.500 3.500-12.500C14.500 14 18.500 9 24 9s9.500 5 9.500 11.500c0 6 .5 9.500 3.500 12.500zM26 33.500a3.800 3.800 0 1 1-6.600 3.600"
        }
        // a round house with a fire in it
        "den" => {
            "M7 40V23.500C7 14 14.600 7 24 7s17 7 17 16.500V40zM24 19c1 4.500 6.500 6.500 6.500 12.500a6.500 6.500 0 0 1-13 0c0-3 1.700-4.800 3-7 .8 1.200 1.300 2 2 2.500.8-2.500.3-5.500 1.500-8z"
        }
        // an arch on two pillars, and the step
        "porch" => "M5 41h38M11 41V22a13 13 0 0 1 26 0v19M18 41V25a6 6 0 0 1 12 0v16M5 12L24 4l19 8",
        _ => "M24 7a17 17 0 1 0 0 34a17 17 0 1 0 0-34z",
    };
    view! {
        <svg class="glyph" viewBox="0 0 48 48" aria-hidden="true" focusable="false"><path d=path /></svg>
    }
    .into_any()
}

/// An app's name, drawn; letters for an app that has no drawing.
pub(crate) fn wordmark(app: &str, name: String) -> AnyView {
    let (width, path) = match app {
        "bell" => (
            92,
            "M6 6v36h12.500a10 10 0 0 0 0-20H6M6 6h11a8 8 0 0 1 0 16M36 30.500h21a10.500 10.500 0 1 0-3.500 7.800M69 4v38M82 4v38",
        ),
        "den" => (
            98,
            "M7 7v34h9.500a17 17 0 0 0 0-34zM45 30h19.500a10 10 0 1 0-3.200 7.300M76 41V20M76 30a9 9 0 0 1 18 0v11",
        ),
        "porch" => (
            136,
            "M6 43V6h10.500a11 11 0 0 1 0 22H6M46 19.500a11.700 11.700 0 1 0 0 23.400a11.700 11.700 0 1 0 0-23.400M70 43V20M70 31c0-7 4-11 10.500-11M106 24.500a11.700 11.700 0 1 0 0 13.500M116 43V4M116 31a8.500 8.500 0 0 1 17 0v12",
        ),
        _ => return view! { <span class="wordmark letters">{name}</span> }.into_any(),
    };
    view! {
        <svg class="wordmark" viewBox=format!("0 0 {width} 48") role="img" aria-label=name><path d=path /></svg>
    }
    .into_any()
}

/// The picture of somebody who sent none: initials on a colour of their own.
pub(crate) fn avatar(seed: &[u8], name: &str, is_group: bool) -> AnyView {
    let class = format!("avatar hue{}", hue(seed));
    let letters = initials(name);
    let inside = if is_group {
        icon(Icon::Group).into_any()
    } else if letters.chars().all(char::is_alphabetic) {
        view! { <span>{letters}</span> }.into_any()
    } else {
        icon(Icon::Person).into_any()
    };
    view! { <span class=class aria-hidden="true">{inside}</span> }.into_any()
}

/// A QR code as one path, dark on light in every theme, so that every camera reads it.
pub(crate) fn qr(text: &str, said: &'static str) -> AnyView {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return ().into_any() };
    let width = code.width();
    let mut path = String::new();
    for (index, color) in code.to_colors().into_iter().enumerate() {
        if color == qrcode::Color::Dark {
            path.push_str(&format!("M{} {}h1v1h-1z", index % width + 4, index / width + 4));
        }
    }
    let side = width + 8;
    view! {
        <svg class="qr" viewBox=format!("0 0 {side} {side}") role="img" aria-label=said shape-rendering="crispEdges">
            <path d=path />
        </svg>
    }
    .into_any()
}
