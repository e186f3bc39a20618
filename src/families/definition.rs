//! What each family defines, and what the rest of the crate asks of a model without knowing its family.

use super::tensor_spec::TensorSpec;

/// A model of some family.
pub trait Definition {
    /// Every tensor of a model whose configuration was found valid, in the order of use.
    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_>;

    /// Stages of the picture side ([`Role::Vision`](super::Role::Vision)); 0 for a model that reads no pictures.
    fn vision_stages(&self) -> usize;

    /// Names of tensors in GGUF files that repeat a part of others and are not read.
    fn gguf_copies(&self) -> &'static [&'static str] {
        &[]
    }
}
