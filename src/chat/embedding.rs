//! Prompts of embedding models.

use serde::{Deserialize, Serialize};

/// The form of an embedding model's inputs and outputs. An embedding is the last hidden state of the last token, after the final norm, of unit
/// length.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingSettings {
    /// System message of inputs that come without an instruction.
    pub instruction: String,
    /// Fewest dimensions to which an embedding may be shortened (Matryoshka representation learning, <https://arxiv.org/abs/2205.13147>); absent if it
    /// must stay whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub least_dimensions: Option<usize>,
}

impl EmbeddingSettings {
    /// The settings of a model that was not trained for embeddings.
    pub fn untrained() -> Self {
        Self { instruction: "Represent the user's input.".into(), least_dimensions: None }
    }
}

/// The embedding of a hidden state, shortened to so many dimensions; of unit length, unless the state is zero.
pub fn embedding_of(hidden: &[f32], dimensions: usize) -> Vec<f32> {
    let kept = &hidden[..dimensions.min(hidden.len())];
    let length = kept.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt().max(f64::MIN_POSITIVE);
    kept.iter().map(|x| (f64::from(*x) / length) as f32).collect()
}
