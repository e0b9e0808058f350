//! What the server must never see: marks in everything that people write, their recovery keys, their passwords.

use memchr::memmem;

/// Stands in every text, name, title and password.
pub(crate) const MARK: &str = "CANARY";

/// All secrets of a run.
#[derive(Default)]
pub(crate) struct Secrets(Vec<(String, Vec<u8>)>);

impl Secrets {
    /// One more.
    pub(crate) fn add(&mut self, name: String, bytes: &[u8]) {
        self.0.push((name, bytes.to_vec()));
    }

    /// What is in these bytes.
    #[must_use]
    pub(crate) fn find(&self, bytes: &[u8]) -> Option<String> {
        if memmem::find(bytes, MARK.as_bytes()).is_some() {
            return Some("what somebody wrote".to_owned());
        }
        let found = self.0.iter().find(|(_, secret)| memmem::find(bytes, secret).is_some());
        found.map(|(name, _)| name.clone())
    }
}
