//! Settings of Gemma 4's checkpoints, refused settings, and the published sizes.

use ocelli::Result;
use ocelli::config::{KvHeads, LayerKind, Values};
use ocelli::families::gemma4::Config;
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::import::hf::{CheckpointSettings, read_settings};
use ocelli_synth::published;
use serde_json::{Value, json};

use crate::common::checkpoint;

/// A fixture's settings with a file changed at a place.
fn settings(name: &str, file: &str, place: &str, new: &Value) -> Result<CheckpointSettings> {
    let mut files = checkpoint(name);
    let mut value: Value = serde_json::from_slice(&files.0[file]).expect("JSON");
    let (parent, key) = place.rsplit_once('/').expect("a place");
    value.pointer_mut(parent).expect("an object")[key] = new.clone();
    files.0.insert(file.into(), value.to_string().into_bytes().into());
    pollster::block_on(read_settings(&files))
}

fn read(name: &str) -> (CheckpointSettings, Config) {
    let settings = settings(name, "config.json", "/transformers_version", &json!("5.24.0")).expect("settings");
    let ModelConfig::Gemma4(config) = settings.config.clone() else { panic!("another family") };
    (settings, config)
}

#[test]
fn settings_of_checkpoints_are_read() {
    let (settings, config) = read("gemma4");
    assert_eq!((settings.chat.template.as_str(), settings.chat.template_is_assumed), ("gemma4", false));
    assert_eq!((settings.chat.bos_token_id, &settings.chat.eos_token_ids[..]), (Some(2), &[1, 11, 5][..]));
    let (text, options) = (&config.text, &config.text.layer_options);
    assert_eq!(text.kv_heads(LayerKind::SlidingAttention), KvHeads { count: 1, dim: 16 });
    assert_eq!(text.kv_heads(LayerKind::FullAttention), KvHeads { count: 1, dim: 32 });
    assert_eq!((options.shared_kv_layers, options.shared_intermediate_size), (3, Some(192)));
    assert_eq!((text.own_layers(), text.kv_layers().count()), (4, 4));
    // The sliding and the full layers read the last layer of their kind that has keys.
    assert_eq!([4, 5, 6].map(|layer| text.kv_source(layer)), [3, 2, 2]);
    // A quarter of 16 pairs turns.
    let divisors = text.rope.divisors.as_ref().expect("divisors");
    assert_eq!((divisors.len(), divisors.iter().filter(|divisor| **divisor == 1.0).count()), (16, 4));
    let vision = config.vision.as_ref().expect("a tower");
    assert_eq!((vision.max_soft_tokens, vision.clips, vision.position_embedding_size), (70, true, 64));

    let (_, config) = read("gemma4_wide");
    assert_eq!(config.text.kv_heads(LayerKind::FullAttention), KvHeads { count: 2, dim: 32 });
    assert_eq!(config.text.layer_options.shared_intermediate_size, None);
}

/// The larger models show pictures whole to layers with a window: without their towers, they are text models.
#[test]
fn a_model_that_sees_pictures_whole_is_read_as_a_text_model() {
    let place = "/text_config/use_bidirectional_attention";
    let settings = settings("gemma4", "config.json", place, &json!("vision")).expect("settings");
    assert!(matches!(settings.config, ModelConfig::Gemma4(Config { vision: None, .. })));
}

#[test]
fn settings_that_cannot_be_run_are_refused() {
    let config = [
        ("/text_config/enable_moe_block", json!(true), "enable_moe_block"),
        ("/text_config/hidden_activation", json!("silu"), "hidden_activation"),
        ("/text_config/num_kv_shared_layers", json!(5), "shares no keys"),
        ("/text_config/num_kv_shared_layers", json!(7), "no layer attends"),
        ("/text_config/layer_types", json!(["full_attention"]), "layer_types"),
        ("/text_config/layer_types", json!(vec!["linear_attention"; 7]), "layer_types"),
        ("/text_config/global_head_dim", json!(1028), "head_dim"),
        ("/text_config/sliding_window", json!(0), "sliding_window"),
        ("/vision_config/standardize", json!(true), "standardize"),
        ("/vision_config/pooling_kernel_size", json!(0), "pooling"),
        ("/image_token_id", json!(448), "448"),
    ];
    for (place, new, named) in config {
        let error = settings("gemma4", "config.json", place, &new).map(drop).expect_err(place);
        assert!(error.to_string().contains(named), "{place} = {new}: {error}");
    }
    let error =
        settings("gemma4", "processor_config.json", "/image_processor/resample", &json!(2)).expect_err("bilinear");
    assert!(error.to_string().contains("resample"), "{error}");
}

/// The exact numbers of parameters of the decoders on the hub, without keys and values that no layer reads.
#[test]
fn published_shapes_have_as_many_parameters_as_the_models() {
    for (name, parameters) in [
        ("gemma-4-e2b", 4_628_569_379),
        ("gemma-4-e4b", 7_463_013_418),
        ("gemma-4-12b-text", 11_907_350_320),
        ("gemma-4-31b-text", 30_697_345_340),
    ] {
        let config = published(name).expect("a shape");
        config.validate(name).expect("a model that runs");
        let text = definition(&config).tensors().filter(|spec| spec.role.is_text());
        assert_eq!(text.map(|spec: TensorSpec| spec.len()).sum::<u64>(), parameters, "{name}");
    }
    let config = published("gemma-4-e2b").expect("a shape");
    let ModelConfig::Gemma4(Config { text, vision: Some(vision) }) = &config else { panic!("no tower") };
    let tower = definition(&config).tensors().filter(|spec| !spec.role.is_text());
    // Without rows of positions that no picture reaches; with four bounds of each product.
    let unreached = 2 * (vision.position_embedding_size - 3 * 280) * vision.hidden_size;
    assert_eq!(tower.map(|spec| spec.len()).sum::<u64>() + unreached as u64, 168_544_704);
    assert_eq!((text.kv_source(20), text.kv_source(34), text.layer_options.values), (13, 14, Values::Normed));
}
