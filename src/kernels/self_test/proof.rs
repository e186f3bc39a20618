//! Identification of kernels that passed a self-test, so that a later load of the same model on the same device repeats none of it.

use sha2::{Digest, Sha256};

use crate::error::Result;
use crate::gpu::{Gpu, Kernel};

/// The hash of a device with its driver, a configuration and the texts of kernels that were right on it; zeros for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Proof([u32; 4]);

impl Proof {
    /// The proof that these kernels, whose order does not matter, would be right on the present device.
    pub(super) fn of(gpu: &Gpu, kernels: &[&Kernel]) -> Result<Self> {
        let mut texts = kernels.iter().map(|kernel| kernel.source()).collect::<Result<Vec<_>>>()?;
        texts.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(format!("{} {:?}", gpu.report().identity(), gpu.kernel_config()));
        texts.iter().for_each(|text| hash.update(Sha256::digest(text)));
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(hash.finalize().chunks_exact(4)) {
            *word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte));
        }
        Ok(Self(words))
    }
}
