//! Llama as the rest of the crate sees it.

use super::Config;
use super::chat;
use crate::config::{LayerKind, RopeConfig, RopePairs, TextConfig, llama_3_divisors};
use crate::error::Result;
use crate::families::config::ModelConfig;
use crate::families::decoder_tensors::{self, HfPrefixes};
use crate::families::definition::Definition;
use crate::families::readers::{Family, Readers};
use crate::families::tensor_spec::TensorSpec;
use crate::layers::{Decoder, Layer};
use crate::weights::gguf::decoder::describe_text;
use crate::weights::gguf::write::GgufHeader;
use crate::weights::upload::WeightStore;

/// What the family knows.
pub(in crate::families) static LLAMA: Family = Family {
    name: "llama",
    chat: chat::TOKENS,
    chat_layouts: &[&chat::LLAMA_3],
    split_pattern: None,
    pre_tokenizer: None,
    published: &[
        ("llama-3.2-1b", || llama_3((2048, 8192, 16, 64), true, 32.0)),
        ("llama-3.2-3b", || llama_3((3072, 8192, 28, 128), true, 32.0)),
        ("llama-3.1-8b", || llama_3((4096, 14_336, 32, 128), false, 8.0)),
    ],
};

/// How the family's checkpoints are read.
pub(in crate::families) static READERS: Readers =
    Readers { family: &LLAMA, hf: super::hf::READER, gguf: Some(super::gguf::READER) };

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
            divisors: Some(llama_3_divisors(5e5, head_dim, factor, (1.0, 4.0), 8192.0)),
            ..RopeConfig::plain(5e5, RopePairs::Interleaved)
        },
        head_norms: false,
        output_gate: false,
        delta: None,
        cross: None,
        query_scaling: None,
    };
    ModelConfig::Llama(Config { text })
}

/// How `transformers` names the tensors.
const PREFIXES: HfPrefixes = HfPrefixes { decoder: &["model."], head: &[""] };

impl Definition for Config {
    fn family(&self) -> &'static Family {
        &LLAMA
    }

    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_> {
        Box::new(decoder_tensors::tensors(&self.text, PREFIXES))
    }

    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder> {
        Decoder::new(&self.text, weights, Layer::attention)
    }

    fn gguf_copies(&self) -> &'static [&'static str] {
        // Read as the rope's divisors.
        if self.text.rope.divisors.is_some() { &["rope_freqs.weight"] } else { &[] }
    }

    fn describe_gguf(&self, header: &mut GgufHeader, vision: bool) {
        if !vision {
            describe_text(header, "llama", &self.text);
        }
    }
}
