//! Parlour in the browser.
