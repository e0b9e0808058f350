//! Changes of good inputs, the same for the same seed: what a test can run without a coverage-guided fuzzer.

use rand_core::RngCore;

/// Makes inputs out of inputs.
pub struct Changer<'a> {
    from: &'a [Vec<u8>],
    rng: rand_chacha::ChaCha20Rng,
}

/// Longer inputs are not made.
const MOST: usize = 16 * 1024;

impl<'a> Changer<'a> {
    /// Changes of these.
    pub fn new(from: &'a [Vec<u8>]) -> Self {
        Self { from, rng: crate::rng() }
    }

    fn below(&mut self, n: usize) -> usize {
        self.rng.next_u32() as usize % n.max(1)
    }

    /// The next input.
    pub fn make(&mut self) -> Vec<u8> {
        let at = self.below(self.from.len());
        let mut bytes = self.from.get(at).cloned().unwrap_or_default();
        for _ in 0..=self.below(4) {
            self.change(&mut bytes);
        }
        bytes.truncate(MOST);
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let at = self.below(bytes.len());
        let byte = self.rng.next_u32() as u8;
        match self.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << (byte & 7),
            1 if !bytes.is_empty() => bytes[at] = byte,
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'@', b'['][usize::from(byte) % 7],
            3 if !bytes.is_empty() => drop(bytes.remove(at)),
            4 => bytes.insert(at, byte),
            5 => {
                let to = (at + self.below(32)).min(bytes.len());
                let piece = bytes[at.min(to)..to].to_vec();
                let place = self.below(bytes.len());
                bytes.splice(place..place, piece);
            }
            6 => {
                let other = self.below(self.from.len());
                let other = self.from.get(other).cloned().unwrap_or_default();
                let from = self.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from.min(other.len())..]);
            }
            _ => bytes.truncate(at),
        }
    }
}
