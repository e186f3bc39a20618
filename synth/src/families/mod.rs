//! Shapes of published models, and the keys of their GGUF files.

mod decoder_keys;
mod gemma4;
mod idefics3;
mod llama;
mod minicpmv4_6;
mod mistral3;
mod mllama;
mod qwen3_5;
mod qwen3_vl;

use ocelli::families::ModelConfig;
use ocelli::families::gemma4::Config as Gemma4;
use ocelli::families::idefics3::Config as Idefics3;
use ocelli::families::minicpmv4_6::Config as MiniCpmV4_6;
use ocelli::families::mistral3::Config as Mistral3;
use ocelli::families::qwen3_5::Config as Qwen3_5;
use ocelli::families::qwen3_vl::Config as Qwen3Vl;

use crate::gguf_header::GgufHeader;
use decoder_keys::describe_text;

/// The name of a published model, and its configuration with rope in the lane order of GGUF files.
type Published = (&'static str, fn() -> ModelConfig);

/// The models of all families.
const PUBLISHED: [&[Published]; 8] = [
    &mistral3::PUBLISHED,
    &llama::PUBLISHED,
    &qwen3_5::PUBLISHED,
    &qwen3_vl::PUBLISHED,
    &mllama::PUBLISHED,
    &idefics3::PUBLISHED,
    &gemma4::PUBLISHED,
    &minicpmv4_6::PUBLISHED,
];

/// Names of the published models whose shapes are known.
pub fn published_names() -> impl Iterator<Item = &'static str> {
    PUBLISHED.into_iter().flatten().map(|(name, _)| *name)
}

/// The shape of a published model.
pub fn published(name: &str) -> Option<ModelConfig> {
    PUBLISHED.into_iter().flatten().find(|(known, _)| *known == name).map(|(_, config)| config())
}

/// Writes the keys of the text half, as llama.cpp's converter does, and names the architecture. The tokenizer's keys are written by the
/// caller.
pub(crate) fn describe_text_half(config: &ModelConfig, header: &mut GgufHeader) {
    let text = config.text();
    match config {
        ModelConfig::Llama(_) | ModelConfig::Idefics3(_) => describe_text(header, "llama", text),
        ModelConfig::Mistral3(_) => {
            describe_text(header, if text.query_scaling.is_some() { "mistral3" } else { "llama" }, text);
        }
        ModelConfig::Qwen3Vl(config) => {
            describe_text(header, "qwen3vl", text);
            let stacked = config.vision.as_ref().map_or(0, |vision| vision.deepstack.len());
            header.set("qwen3vl.n_deepstack_layers", stacked as u32);
        }
        ModelConfig::Qwen3_5(_) => qwen3_5::describe_text(header, text),
        ModelConfig::MiniCpmV4_6(_) => minicpmv4_6::describe_text(header, text),
        ModelConfig::Gemma4(_) => gemma4::describe_text(header, text),
        // Not imported from GGUF files.
        ModelConfig::Mllama(_) => {}
    }
}

/// Writes the keys of the vision half, if the model has one.
pub(crate) fn describe_vision_half(config: &ModelConfig, header: &mut GgufHeader) {
    let hidden_size = config.text().hidden_size;
    match config {
        ModelConfig::Mistral3(Mistral3 { vision: Some(vision), .. }) => {
            mistral3::describe_vision(header, vision, hidden_size);
        }
        ModelConfig::Qwen3Vl(Qwen3Vl { vision: Some(vision), .. })
        | ModelConfig::Qwen3_5(Qwen3_5 { vision: Some(vision), .. }) => {
            qwen3_vl::describe_vision(header, vision, hidden_size);
        }
        ModelConfig::Idefics3(Idefics3 { vision: Some(vision), .. }) => {
            idefics3::describe_vision(header, vision, hidden_size);
        }
        ModelConfig::MiniCpmV4_6(MiniCpmV4_6 { vision: Some(vision), .. }) => {
            minicpmv4_6::describe_vision(header, vision, hidden_size);
        }
        ModelConfig::Gemma4(Gemma4 { vision: Some(vision), .. }) => {
            gemma4::describe_vision(header, vision, hidden_size);
        }
        _ => {}
    }
}
