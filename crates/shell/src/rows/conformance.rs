//! What every [`Rows`] must do. An adapter's test calls [`suite`].

use super::{Row, Rows};
use parlour_client::api::Changes;

/// Runs all checks; panics at the first that fails. `open` gives the same rows again each time, as after a restart; the
/// rows must be empty at the start, and are empty at the end.
///
/// # Panics
/// When the adapter does not conform.
pub fn suite(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    what_was_committed_is_read_in_key_order(open);
    a_prefix_reads_its_rows_and_no_others(open);
    the_last_write_of_a_key_wins(open);
    rows_are_there_after_opening_again(open);
    any_bytes_are_keys_and_values(open);
    an_empty_batch_changes_nothing(open);
}

fn what_was_committed_is_read_in_key_order(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    let mut rows = open();
    commit(&mut *rows, &[(b"b", Some(b"2")), (b"a", Some(b"1")), (b"c", Some(b"3"))]);
    assert_eq!(load(&mut *rows, b""), [row(b"a", b"1"), row(b"b", b"2"), row(b"c", b"3")]);
    clear(&mut *rows);
}

fn a_prefix_reads_its_rows_and_no_others(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    let mut rows = open();
    commit(&mut *rows, &[(b"a/1", Some(b"1")), (b"a/2", Some(b"2")), (b"a", Some(b"0")), (b"b/1", Some(b"3"))]);
    assert_eq!(load(&mut *rows, b"a/"), [row(b"a/1", b"1"), row(b"a/2", b"2")]);
    assert_eq!(load(&mut *rows, b"a"), [row(b"a", b"0"), row(b"a/1", b"1"), row(b"a/2", b"2")]);
    assert_eq!(load(&mut *rows, b"a/1"), [row(b"a/1", b"1")]);
    assert_eq!(load(&mut *rows, b"c"), []);
    clear(&mut *rows);
}

fn the_last_write_of_a_key_wins(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    let mut rows = open();
    commit(&mut *rows, &[(b"k", Some(b"1")), (b"k", Some(b"2")), (b"gone", Some(b"x")), (b"gone", None)]);
    assert_eq!(load(&mut *rows, b""), [row(b"k", b"2")]);
    commit(&mut *rows, &[(b"k", None), (b"never", None), (b"k", Some(b"3"))]);
    assert_eq!(load(&mut *rows, b""), [row(b"k", b"3")]);
    clear(&mut *rows);
}

fn rows_are_there_after_opening_again(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    commit(&mut *open(), &[(b"kept", Some(b"1"))]);
    let mut rows = open();
    assert_eq!(load(&mut *rows, b""), [row(b"kept", b"1")]);
    clear(&mut *rows);
    drop(rows);
    assert_eq!(load(&mut *open(), b""), []);
}

fn any_bytes_are_keys_and_values(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    let mut rows = open();
    let big = vec![7; 300_000];
    commit(&mut *rows, &[(&[255, 255], Some(&[])), (&[0], Some(&big)), (&[255], Some(&[0])), (&[0, 0], Some(&[255]))]);
    assert_eq!(load(&mut *rows, &[255]), [row(&[255], &[0]), row(&[255, 255], &[])]);
    assert_eq!(load(&mut *rows, &[0]), [row(&[0], &big), row(&[0, 0], &[255])]);
    clear(&mut *rows);
}

fn an_empty_batch_changes_nothing(open: &mut dyn FnMut() -> Box<dyn Rows>) {
    let mut rows = open();
    commit(&mut *rows, &[]);
    assert_eq!(load(&mut *rows, b""), []);
}

fn row(key: &[u8], value: &[u8]) -> Row {
    (key.to_vec(), value.to_vec())
}

fn load(rows: &mut dyn Rows, prefix: &[u8]) -> Vec<Row> {
    rows.load(prefix).expect("load")
}

fn commit(rows: &mut dyn Rows, changes: &[(&[u8], Option<&[u8]>)]) {
    let changes = changes.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
    rows.commit(&Changes(changes)).expect("commit");
}

fn clear(rows: &mut dyn Rows) {
    let all = load(rows, b"").into_iter().map(|(key, _)| (key, None)).collect();
    rows.commit(&Changes(all)).expect("commit");
}
