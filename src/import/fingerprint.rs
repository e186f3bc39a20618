//! The identity of an import: whether an unfinished package can be continued.

use sha2::{Digest, Sha256};

use crate::package::hash::hex;

/// A hash of everything that determines the bytes of a package, except the weights themselves.
#[derive(Debug)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// The fingerprint of an import by the importer of that name.
    pub(super) fn new(importer: &str) -> Self {
        let mut fingerprint = Self(Sha256::new());
        fingerprint.add(importer);
        fingerprint.add(env!("CARGO_PKG_VERSION"));
        fingerprint
    }

    /// Adds the `Debug` text of a value, separated from the previous values.
    pub(super) fn add(&mut self, value: impl std::fmt::Debug) {
        let text = format!("{value:?}");
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
    }

    pub(super) fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}
