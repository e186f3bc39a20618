//! The published models, number for number.

use ocelli::config::{LayerKind, Llama3Rope, RopeConfig, RopePairs, TextConfig};
use ocelli::families::ModelConfig;
use ocelli::families::llama::Config;

use super::Published;

/// Published models, smallest first.
pub(super) static PUBLISHED: [Published; 3] = [
    ("llama-3.2-1b", || llama_3((2048, 8192, 16, 64), true, 32.0)),
    ("llama-3.2-3b", || llama_3((3072, 8192, 28, 128), true, 32.0)),
    ("llama-3.1-8b", || llama_3((4096, 14_336, 32, 128), false, 8.0)),
];

/// Width, feed-forward, layers and width of a head; whether the head is tied; how much longer the context was made.
fn llama_3(
    (hidden_size, intermediate_size, layers, head_dim): (usize, usize, usize, usize),
    tied: bool,
    factor: f64,
) -> ModelConfig {
    let text = TextConfig {
        vocab_size: 128_256,
        hidden_size,
        intermediate_size,
        layers: vec![LayerKind::FullAttention; layers],
        num_attention_heads: hidden_size / head_dim,
        num_key_value_heads: 8,
        head_dim,
        rms_norm_eps: 1e-5,
        tie_word_embeddings: tied,
        max_position_embeddings: 131_072,
        rope: RopeConfig {
            divisors: Some(Llama3Rope::published(head_dim, factor).divisors()),
            ..RopeConfig::plain(5e5, RopePairs::Interleaved)
        },
        ..TextConfig::default()
    };
    ModelConfig::Llama(Config { text })
}
