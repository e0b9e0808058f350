//! The screens: one structure for all apps, each app's character in its style.
//!
//! ```text
//! engine's events ─ port ─▶ model (pure: state, rows, text, time) ─▶ signals ─▶ views
//!        ▲                                                                        │
//!        └──────────────────────── calls (bus::Call) ◀────────────────────────────┘
//! ```
//!
//! [`model`] and [`strings`] need no browser and are tested natively. What the screens deliberately do not do: decide
//! anything about messages, keep anything but notes and looks, load anything from elsewhere, or set a style or a script
//! inside a page (the Content-Security-Policy forbids both).

pub mod model;
pub mod strings;

#[cfg(target_arch = "wasm32")]
pub mod port;
#[cfg(target_arch = "wasm32")]
mod views;

#[cfg(target_arch = "wasm32")]
pub use views::mount;
