//! Mistral3 as the rest of the crate sees it.

use super::config::Config;
use super::tensors;
use crate::families::definition::Definition;
use crate::families::tensor_spec::TensorSpec;

impl Definition for Config {
    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(tensors::tensors(self))
    }

    fn vision_stages(&self) -> usize {
        self.vision.as_ref().map_or(0, |vision| vision.num_hidden_layers + 2)
    }

    fn gguf_copies(&self) -> &'static [&'static str] {
        // The embedding's row of the token that ends a row of a picture.
        &["v.token_embd.img_break"]
    }
}
