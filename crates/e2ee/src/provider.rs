//! What OpenMLS is given to work with: our rows, the caller's randomness, and no clock.
//!
//! OpenMLS draws randomness in two places: its random source and HPKE encapsulation. Both are answered here from seeds
//! drawn per operation. The cryptography is that of one suite and nothing else (docs/decisions/0011-own-provider.md).
//! OpenMLS also stamps message secrets with the system's time; nothing reads the stamps, so they are left alone.

mod aead;
#[cfg(test)]
mod conformance;
mod crypto;
mod hpke;
pub(crate) mod kem;

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Mutex;

use openmls_traits::OpenMlsProvider;
use openmls_traits::random::OpenMlsRand;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, RngCore, SeedableRng};
use zeroize::Zeroizing;

use crate::rows::Rows;
use crate::store::Store;

/// Randomness, cryptography and rows of one group.
pub(crate) struct Provider {
    rand: Rand,
    crypto: Crypto,
    store: Store,
}

impl Provider {
    pub(crate) fn new(rows: Rows) -> Self {
        Self { rand: Rand::default(), crypto: Crypto::default(), store: Store::new(rows) }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Every operation that draws randomness begins with this.
    pub(crate) fn seed(&self, rng: &mut dyn CryptoRngCore) {
        *self.rand.0.borrow_mut() = ChaCha20Rng::from_seed(*seed(rng));
        self.crypto.set_seed(seed(rng));
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Rand;
    type StorageProvider = Store;

    fn storage(&self) -> &Store {
        &self.store
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Rand {
        &self.rand
    }
}

fn seed(rng: &mut dyn CryptoRngCore) -> Zeroizing<[u8; 32]> {
    let mut seed = Zeroizing::new([0; 32]);
    rng.fill_bytes(seed.as_mut_slice());
    seed
}

/// The caller's randomness in OpenMLS's trait.
pub(crate) struct Rand(RefCell<ChaCha20Rng>);

impl Default for Rand {
    /// Before the first [`Provider::seed`]; loading and reading draw nothing.
    fn default() -> Self {
        Self(RefCell::new(ChaCha20Rng::from_seed([0; 32])))
    }
}

impl OpenMlsRand for Rand {
    type Error = Infallible;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], Infallible> {
        let mut bytes = [0; N];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, Infallible> {
        let mut bytes = vec![0; len];
        self.0.borrow_mut().fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

/// The suite's primitives with our randomness for encapsulation; see [`crypto`].
#[derive(Default)]
pub(crate) struct Crypto {
    seed: Mutex<Zeroizing<[u8; 32]>>,
    /// The sealing to spoil, counted down: for members who cheat.
    #[cfg(test)]
    pub(crate) spoil: std::sync::atomic::AtomicUsize,
}
