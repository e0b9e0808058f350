//! Where the engine's rows live in a browser: IndexedDB, every value sealed, every key blinded.

pub mod seal;

#[cfg(target_arch = "wasm32")]
mod idb;
#[cfg(target_arch = "wasm32")]
mod key;
#[cfg(target_arch = "wasm32")]
mod store;

#[cfg(target_arch = "wasm32")]
pub use store::{Rows, RowsError};

/// A row: key and value.
pub type Row = (Vec<u8>, Vec<u8>);

/// The first byte of the keys of the screens' own notes (settings, what was seen); the engine's are `e` and `l`.
pub const NOTES: u8 = b'n';

/// The smallest key that is greater than all keys with this prefix; `None` when there is none.
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut after = prefix[..=last].to_vec();
    after[last] += 1;
    Some(after)
}

#[cfg(test)]
mod tests {
    use super::after_prefix;

    #[test]
    fn the_end_of_a_prefix_is_the_next_key_that_lacks_it() {
        assert_eq!(after_prefix(b"ab").unwrap(), b"ac");
        assert_eq!(after_prefix(&[1, 255, 255]).unwrap(), [2]);
        assert_eq!(after_prefix(&[255, 255]), None);
        assert_eq!(after_prefix(b""), None);
    }
}
