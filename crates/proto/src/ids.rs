//! Fixed-size identifiers. All are random (never derived from a person), all are `Redacted` in logs: their `Debug`
//! prints a short tag salted per process, so that two lines can be compared and nothing can be looked up.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

/// The bytes given do not have the length of the identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("identifier of {found} bytes, {expected} wanted")]
pub struct WrongLength {
    /// Length that was given, bytes.
    pub found: usize,
    /// Length of this kind of identifier, bytes.
    pub expected: usize,
}

/// A tag for logs: the same within one process, meaningless outside it.
pub fn log_tag(bytes: &[u8]) -> u32 {
    static SALT: OnceLock<RandomState> = OnceLock::new();
    SALT.get_or_init(RandomState::new).hash_one(bytes) as u32
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// The raw bytes.
            pub fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Draws a new random identifier.
            pub fn random(rng: &mut (impl rand_core::RngCore + ?Sized)) -> Self {
                let mut bytes = [0; $len];
                rng.fill_bytes(&mut bytes);
                Self(bytes)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = WrongLength;

            fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
                bytes.try_into().map(Self).map_err(|_| WrongLength { found: bytes.len(), expected: $len })
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "(~{:08x})"), log_tag(&self.0))
            }
        }
    };
}

identifier!(
    /// One user on one app.
    AccountId, 16
);
identifier!(
    /// One installation that answers for an account.
    DeviceId, 16
);
identifier!(
    /// The blind thing that the server sees of a conversation; also the MLS group id.
    RoomId, 16
);
identifier!(
    /// Chosen by the sender of a message or commit; makes sending idempotent.
    MessageId, 16
);
identifier!(
    /// The queue of ciphertext waiting for one device. Known to the server only.
    MailboxId, 16
);
identifier!(
    /// Ed25519 public key of one entry: what the server knows of a member.
    MemberKey, 32
);
identifier!(
    /// SHA-256 of a secret token (send key, door token, invite).
    Digest, 32
);

impl Digest {
    /// The digest of a secret.
    pub fn of(secret: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self(Sha256::digest(secret).into())
    }
}

/// A random 32-byte bearer secret (door token, invite token, send key, ticket). Never printed, wiped when dropped,
/// compared in constant time.
#[derive(Clone, zeroize::Zeroize, zeroize::ZeroizeOnDrop)]
pub struct Secret(pub [u8; 32]);

impl Secret {
    /// Draws a new secret.
    pub fn random(rng: &mut (impl rand_core::RngCore + ?Sized)) -> Self {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// What the server may store of it.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq as _;
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl TryFrom<&[u8]> for Secret {
    type Error = WrongLength;

    fn try_from(bytes: &[u8]) -> Result<Self, WrongLength> {
        bytes.try_into().map(Self).map_err(|_| WrongLength { found: bytes.len(), expected: 32 })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// Milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// This instant plus `ms` milliseconds, saturating.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0 / 1000
    }
}
