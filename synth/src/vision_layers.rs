//! Models with fewer layers in their vision tower than published ones.

use ocelli::families::{ModelConfig, gemma4, idefics3, minicpmv4_6, mistral3, mllama, qwen3_5, qwen3_vl};

/// Cuts the vision tower to `layers` layers; 0 removes it.
pub fn keep_vision_layers(config: &mut ModelConfig, layers: usize) {
    match config {
        ModelConfig::Mistral3(mistral3::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 0);
            if let Some(vision) = vision {
                vision.num_hidden_layers = vision.num_hidden_layers.min(layers);
            }
        }
        ModelConfig::Qwen3_5(qwen3_5::Config { vision, .. })
        | ModelConfig::Qwen3Vl(qwen3_vl::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 0);
            if let Some(vision) = vision {
                vision.num_hidden_layers = vision.num_hidden_layers.min(layers);
                vision.deepstack.retain(|&layer| layer < layers);
            }
        }
        ModelConfig::Mllama(mllama::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 1);
            if let Some(vision) = vision {
                // At least one global layer remains.
                vision.num_hidden_layers = vision.num_hidden_layers.min(layers - 1);
                vision.num_global_layers = vision.num_global_layers.min(layers - vision.num_hidden_layers);
                vision.intermediate_layers.retain(|&layer| layer < vision.num_hidden_layers);
                if vision.intermediate_layers.is_empty() {
                    vision.intermediate_layers.push(0);
                }
            }
        }
        ModelConfig::Idefics3(idefics3::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 0);
            if let Some(vision) = vision {
                vision.tower.num_hidden_layers = vision.tower.num_hidden_layers.min(layers);
            }
        }
        ModelConfig::MiniCpmV4_6(minicpmv4_6::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 0);
            if let Some(vision) = vision {
                vision.tower.num_hidden_layers = vision.tower.num_hidden_layers.min(layers);
                vision.merged_layer = vision.merged_layer.min(vision.tower.num_hidden_layers - 1);
            }
        }
        ModelConfig::Gemma4(gemma4::Config { vision, .. }) => {
            *vision = vision.take().filter(|_| layers > 0);
            if let Some(vision) = vision {
                vision.num_hidden_layers = vision.num_hidden_layers.min(layers);
            }
        }
        ModelConfig::Llama(_) => {}
    }
}
