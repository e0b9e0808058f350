//! The safety number of two accounts: 60 digits that both see alike, to compare over another channel.
//!
//! As Signal's: 30 digits per side from 5,200 rounds of SHA-512 over the root key and the account, the smaller first.
//! It changes when, and only when, one of the two starts over with a new root.

use sha2::{Digest, Sha512};

use crate::account::AccountRef;

const ROUNDS: usize = 5200;
const DOMAIN: &[u8] = b"parlour-safety-1\0";

/// 60 digits in groups of five, single spaces between them; the same on both sides. Each side is an account and its
/// pinned root key.
pub fn safety_number(one: (&AccountRef, &[u8; 32]), other: (&AccountRef, &[u8; 32])) -> String {
    let mut sides = [half(one), half(other)];
    sides.sort();
    sides.concat().join(" ")
}

/// Six groups of five digits.
fn half((account, root): (&AccountRef, &[u8; 32])) -> Vec<String> {
    let mut digest: [u8; 64] = Sha512::new()
        .chain_update(DOMAIN)
        .chain_update(root)
        .chain_update(account.id)
        .chain_update(account.app.as_bytes())
        .finalize()
        .into();
    for _ in 1..ROUNDS {
        digest = Sha512::new().chain_update(digest).chain_update(root).finalize().into();
    }
    digest[..30].chunks(5).map(group).collect()
}

fn group(bytes: &[u8]) -> String {
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:05}", number % 100_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: u8) -> AccountRef {
        AccountRef { app: "den.example.org".into(), id: [id; 16] }
    }

    #[test]
    fn both_sides_see_the_same_sixty_digits() {
        let number = safety_number((&account(1), &[1; 32]), (&account(2), &[2; 32]));
        assert_eq!(number, safety_number((&account(2), &[2; 32]), (&account(1), &[1; 32])));
        assert_eq!(number.chars().filter(char::is_ascii_digit).count(), 60);
        assert_eq!(number.split(' ').count(), 12);
    }

    #[test]
    fn a_new_root_or_another_account_changes_it() {
        let number = safety_number((&account(1), &[1; 32]), (&account(2), &[2; 32]));
        assert_ne!(number, safety_number((&account(1), &[9; 32]), (&account(2), &[2; 32])));
        assert_ne!(number, safety_number((&account(3), &[1; 32]), (&account(2), &[2; 32])));
    }

    #[test]
    fn the_digits_of_a_release_never_change() {
        let number = safety_number((&account(1), &[1; 32]), (&account(2), &[2; 32]));
        assert_eq!(number, "57396 95747 05047 14031 08411 07508 59506 19372 91178 97047 15340 29264");
    }
}
