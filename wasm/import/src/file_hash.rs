//! SHA-256 of a file that arrives in pieces, in one page or in several, one after another.

use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest, Sha256};
use wasm_bindgen::prelude::*;

/// The hash of the beginning of a file.
#[wasm_bindgen]
#[derive(Default)]
pub struct FileHash(Sha256);

#[wasm_bindgen]
impl FileHash {
    /// The hash of no bytes.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// The hash that [`Self::state`] has described; `None` for other bytes.
    pub fn resumed(state: &[u8]) -> Option<Self> {
        let state: &SerializedState<Sha256> = state.try_into().ok()?;
        Sha256::deserialize(state).ok().map(Self)
    }

    /// Adds the next bytes of the file.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Bytes from which the hash can be resumed.
    pub fn state(&self) -> Vec<u8> {
        self.0.serialize().to_vec()
    }

    /// The hash so far in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        self.0.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
