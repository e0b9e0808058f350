//! What OpenMLS is given to work with: our rows, the caller's randomness, and no clock.
//!
//! OpenMLS's own provider draws randomness from the system in three places: its random source, key generation (which
//! we do not call) and HPKE encapsulation. All are answered here from one ChaCha20 stream seeded per operation.
//! OpenMLS also stamps message secrets with the system's time; nothing reads the stamps, so they are left alone.

mod hpke;

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Mutex;

use openmls_rust_crypto::RustCrypto;
use openmls_traits::OpenMlsProvider;
use openmls_traits::random::OpenMlsRand;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, RngCore, SeedableRng};

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
        Self { rand: Rand(RefCell::new(unseeded())), crypto: Crypto::default(), store: Store::new(rows) }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Every operation that draws randomness begins with this.
    pub(crate) fn seed(&self, rng: &mut dyn CryptoRngCore) {
        *self.rand.0.borrow_mut() = seeded(rng);
        *self.crypto.rng() = seeded(rng);
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

fn seeded(rng: &mut dyn CryptoRngCore) -> ChaCha20Rng {
    let mut seed = [0; 32];
    rng.fill_bytes(&mut seed);
    ChaCha20Rng::from_seed(seed)
}

/// Before the first [`Provider::seed`]; loading and reading draw nothing.
fn unseeded() -> ChaCha20Rng {
    ChaCha20Rng::from_seed([0; 32])
}

/// The caller's randomness in OpenMLS's trait.
pub(crate) struct Rand(RefCell<ChaCha20Rng>);

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

/// RustCrypto's primitives with our randomness for encapsulation; see [`hpke`].
pub(crate) struct Crypto {
    primitives: RustCrypto,
    rng: Mutex<ChaCha20Rng>,
    /// The sealing to spoil, counted down: for members who cheat.
    #[cfg(test)]
    pub(crate) spoil: std::sync::atomic::AtomicUsize,
}

impl Default for Crypto {
    fn default() -> Self {
        Self {
            primitives: RustCrypto::default(),
            rng: Mutex::new(unseeded()),
            #[cfg(test)]
            spoil: Default::default(),
        }
    }
}
