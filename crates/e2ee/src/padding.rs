//! Padding of content to size buckets before encryption, so that a ciphertext's length tells little.
//!
//! Padmé (PURBs, PETS 2019, §4): at most 12 % longer, and only O(log log n) bits of the length remain. Short texts all
//! look alike: nothing is padded to less than [`FLOOR`] bytes.

/// Everything up to this many bytes, length prefix included, has the same padded length.
pub(crate) const FLOOR: usize = 128;

/// Bytes of the length in front of the content.
const PREFIX: usize = 4;

/// The padded length for `len` bytes: at least `len`, at most 12 % more, never falling as `len` grows.
pub fn padme(len: usize) -> usize {
    if len < 2 {
        return len;
    }
    let exponent = len.ilog2();
    let mantissa_bits = exponent.ilog2() + 1;
    let mask = (1_usize << exponent.saturating_sub(mantissa_bits)) - 1;
    // At the very top of the range there is no room to round up.
    len.checked_add(mask).map_or(len, |sum| sum & !mask)
}

/// Length, content, zeros.
pub(crate) fn pad(content: &[u8]) -> Option<Vec<u8>> {
    let len = u32::try_from(content.len()).ok()?;
    let target = padme(PREFIX + content.len()).max(FLOOR);
    let mut padded = Vec::with_capacity(target);
    padded.extend_from_slice(&len.to_be_bytes());
    padded.extend_from_slice(content);
    padded.resize(target, 0);
    Some(padded)
}

/// `None` unless it is just what [`pad`] makes of some content.
pub(crate) fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (len, rest) = padded.split_first_chunk::<PREFIX>()?;
    let len = usize::try_from(u32::from_be_bytes(*len)).ok()?;
    let (content, zeros) = rest.split_at_checked(len)?;
    let canonical = padded.len() == padme(PREFIX + len).max(FLOOR) && zeros.iter().all(|byte| *byte == 0);
    canonical.then_some(content)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_lengths() {
        let known = [(0, 0), (1, 1), (2, 2), (9, 10), (100, 104), (1000, 1024), (1025, 1088), (1_000_000, 1_015_808)];
        for (len, padded) in known {
            assert_eq!(padme(len), padded, "{len}");
        }
        assert_eq!(padme(usize::MAX), usize::MAX);
    }

    #[test]
    fn short_contents_look_alike() {
        assert_eq!(pad(b"").unwrap().len(), pad(&[7; 100]).unwrap().len());
    }

    #[test]
    fn padding_that_is_not_ours_is_refused() {
        let good = pad(b"hello").unwrap();
        let mut dirty = good.clone();
        dirty[100] = 1;
        let mut long = good.clone();
        long.push(0);
        let mut lying = good.clone();
        lying[0] = 255;
        for bad in [&dirty[..], &long, &lying, &good[..64], &[], &[0; 3]] {
            assert_eq!(unpad(bad), None);
        }
    }

    proptest! {
        #[test]
        fn padme_costs_at_most_12_percent_and_never_falls(len in 1_usize..1 << 40) {
            let padded = padme(len);
            prop_assert!(padded >= len);
            prop_assert!((padded - len) as f64 <= 0.12 * len as f64, "{len} -> {padded}");
            prop_assert!(padme(len - 1) <= padded);
            prop_assert_eq!(padme(padded), padded);
        }

        #[test]
        fn content_comes_back(content in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let padded = pad(&content).unwrap();
            prop_assert_eq!(unpad(&padded), Some(&content[..]));
        }
    }
}
