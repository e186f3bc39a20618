//! Which weights of the picture side are needed together.

use super::upload::Selection;
use crate::families::ModelConfig;
use crate::gpu::Purpose;

/// Weights of the picture side that are needed together: see [`crate::families::tower::Tower`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VisionStage {
    index: usize,
    layers: usize,
}

impl VisionStage {
    /// All stages of a model's picture side, in the order of their use; none if it has no picture side.
    pub fn all(config: &ModelConfig) -> impl Iterator<Item = Self> + use<> {
        let layers = config.vision().map(|vision| vision.num_hidden_layers);
        (0..layers.map_or(0, |layers| layers + 2)).map(move |index| Self { index, layers: layers.unwrap_or(0) })
    }

    fn has(self, tensor: &str) -> bool {
        match self.index.checked_sub(1) {
            None => matches!(tensor, "vision.patch_conv" | "vision.ln_pre"),
            Some(index) if index < self.layers => {
                let rest = tensor.strip_prefix("vision.layers.").and_then(|rest| rest.split_once('.'));
                rest.is_some_and(|(number, _)| number.parse() == Ok(index))
            }
            Some(_) => tensor.starts_with("projector."),
        }
    }

    /// Calls `with` with the tensors of the stage.
    pub fn select<T>(self, with: impl FnOnce(&Selection<'_>) -> T) -> T {
        let joins = match self.index.checked_sub(1) {
            Some(index) if index < self.layers => crate::families::mistral3::vision::joins(index),
            _ => Vec::new(),
        };
        let wanted = |name: &str| self.has(name);
        with(&Selection { joins: &joins, wanted: &wanted, purpose: Purpose::VisionWeights })
    }
}
