//! Parlour in the browser: the engine in a Web Worker, its rows in IndexedDB, and what the page says to it.
//!
//! ```text
//! screens ── Backend ── bus ──┬── postMessage ────── worker: engine, sockets, rows   (the tab that owns the engine)
//!                             └── BroadcastChannel ──┘                               (all other tabs)
//! ```
//!
//! What needs no browser ([`bus`], [`rows::seal`], [`tabs`]) compiles and is tested natively; all else exists for
//! `wasm32` only. What it deliberately does not do: decide anything about messages (the engine), or draw (the screens).

pub mod bus;
pub mod rows;
pub mod tabs;
pub mod ui;

#[cfg(target_arch = "wasm32")]
pub mod app;
#[cfg(target_arch = "wasm32")]
pub mod backend;
#[cfg(target_arch = "wasm32")]
pub mod js;
#[cfg(target_arch = "wasm32")]
pub mod page;
#[cfg(target_arch = "wasm32")]
pub mod worker;
