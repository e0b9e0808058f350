//! What SQLite leaves behind in the unallocated space of B-tree pages.
//!
//! `secure_delete` overwrites cells that are deleted and pages that are freed. When pages are split or merged, cells move to other
//! pages, and the copies that stay in the space between a page's cell pointers and its cells are not overwritten (SQLite's file
//! format, 1.6: "unallocated space"). A row that is deleted later would stay readable there, for whoever has the keys, until the
//! page is written anew: perhaps never.
//!
//! So each sweep goes through the file and overwrites that space where it is not empty. Nothing else is written, and nothing reads
//! what is overwritten: neither a reader at the same moment nor a crash in between can see a difference. A page whose newest state
//! is in the log only is overwritten when the log is written back. The writing thread does it, so nothing is written back meanwhile;
//! its page cache is emptied before, or the copies would come again with the next change of a page.
//!
//! The file is held open until the store is closed: closing any handle on a file drops the locks that the process has on it, those of
//! SQLite's connections, too (POSIX).

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt as _, path::Path};

use super::schema::PAGE_BYTES;

const PAGE: usize = PAGE_BYTES as usize;
/// Pages that are read at once.
pub(super) const CHUNK: u32 = 256;
/// An overflow page begins with the number of the next one; below this number that cannot be taken for the kind of a B-tree page.
const MOST_PAGES: u64 = 0x0200_0000;

/// The database file, beside SQLite.
pub(super) struct Gaps(File);

impl Gaps {
    pub(super) fn open(database: &Path) -> io::Result<Self> {
        File::options().read(true).write(true).open(database).map(Self)
    }

    /// Overwrites what is left in the gaps of the [`CHUNK`] pages from `first` on (counted from 0). Gives where to go on, if there is
    /// more, and how many pages were changed.
    pub(super) fn overwrite(&self, first: u32) -> io::Result<(Option<u32>, usize)> {
        let pages = self.0.metadata()?.len() / PAGE_BYTES;
        let count = pages.saturating_sub(u64::from(first)).min(u64::from(CHUNK));
        if count == 0 || pages > MOST_PAGES {
            return Ok((None, 0));
        }
        let start = u64::from(first) * PAGE_BYTES;
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(0) * PAGE];
        self.0.read_exact_at(&mut bytes, start)?;
        let mut changed = 0;
        for (number, page) in bytes.chunks_exact(PAGE).enumerate() {
            let Some(gap) = gap_of(page, first == 0 && number == 0) else { continue };
            if page[gap.clone()].iter().any(|byte| *byte != 0) {
                let at = start + (number * PAGE + gap.start) as u64;
                self.0.write_all_at(&vec![0; gap.len()], at)?;
                changed += 1;
            }
        }
        let next = first + CHUNK;
        Ok(((u64::from(next) < pages).then_some(next), changed))
    }

    /// Makes what was overwritten durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// The unallocated space of a B-tree page; `None` for any other page, and for one that is not as it should be.
fn gap_of(page: &[u8], is_first: bool) -> Option<Range<usize>> {
    let head = if is_first { 100 } else { 0 };
    let pointers = match page[head] {
        2 | 5 => head + 12,
        10 | 13 => head + 8,
        _ => return None,
    };
    let word = |at: usize| usize::from(u16::from_be_bytes([page[at], page[at + 1]]));
    let (freed, cells, content) = (word(head + 1), word(head + 3), word(head + 5));
    let from = pointers + 2 * cells;
    let is_sound = from <= content && content <= PAGE && (freed == 0 || freed >= content);
    let in_content = |pointer| (content..PAGE).contains(&word(pointer));
    (is_sound && (0..cells).all(|cell| in_content(pointers + 2 * cell))).then_some(from..content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A leaf with one cell of four bytes at the end.
    fn leaf(at: usize) -> Vec<u8> {
        let mut page = vec![0xee; PAGE];
        let head = [13, 0, 0, 0, 1, 0x0f, 0xfc, 0, 0x0f, 0xfc];
        page[at..at + head.len()].copy_from_slice(&head);
        page
    }

    #[test]
    fn the_space_between_pointers_and_cells_is_found() {
        assert_eq!(gap_of(&leaf(0), false), Some(10..4092));
        assert_eq!(gap_of(&leaf(100), true), Some(110..4092));
        let mut inner = leaf(0);
        inner[0] = 5;
        inner[12..14].copy_from_slice(&[0x0f, 0xfc]);
        assert_eq!(gap_of(&inner, false), Some(14..4092));
    }

    #[test]
    fn what_is_no_sound_tree_page_is_left_alone() {
        for (at, byte) in [(0, 0), (0, 1), (0, 0xee), (3, 0xff), (5, 0x10), (8, 0x00), (1, 0x01)] {
            let mut page = leaf(0);
            page[at] = byte;
            assert_eq!(gap_of(&page, false), None, "byte {at} is {byte:#x}");
        }
    }
}
