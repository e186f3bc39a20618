//! The decoder (`transformers` `modeling_ministral3.py`, `modeling_mistral.py`): pre-norm layers of causal grouped-query attention and
//! a gated feed-forward with silu.

use crate::config::TextConfig;
use crate::error::Result;
use crate::layers::{Decoder, Layer};
use crate::weights::upload::WeightStore;

/// Takes the decoder's weights.
pub(super) fn decoder(config: &TextConfig, weights: &mut WeightStore) -> Result<Decoder> {
    Decoder::new(config, weights, Layer::attention)
}
