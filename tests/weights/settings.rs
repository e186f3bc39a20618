//! Configurations: fields that are read, defaults, and refusals.

use std::fs;

use ocelli::config::{Activation, LayerKind, RopePairs, TextConfig};
use ocelli::families::mistral3::{Config, VisionConfig};
use ocelli::import::hf::{CheckpointSettings, read_settings};
use ocelli::sampling::SamplingDefaults;
use ocelli::{Error, Result};
use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::common::{CHECKPOINTS, checkpoint, checkpoint_dir, mistral3};
use crate::common::MemoryFiles;

const TOKENIZER: &str = r#"{"added_tokens": [
    {"id": 10, "content": "[IMG]"}, {"id": 12, "content": "[IMG_BREAK]"}, {"id": 13, "content": "[IMG_END]"}]}"#;

fn files(config: &Value) -> MemoryFiles {
    let mut files = MemoryFiles::default();
    files.0.insert("config.json".into(), config.to_string().into_bytes().into());
    files.0.insert("tokenizer.json".into(), TOKENIZER.as_bytes().into());
    files
}

fn read(config: &Value) -> Result<CheckpointSettings> {
    pollster::block_on(read_settings(&files(config)))
}

fn config(value: &Value) -> Config {
    mistral3(&read(value).unwrap_or_else(|e| panic!("{value}: {e}")).config)
}

/// `_compute_yarn_parameters` in f64.
fn inv_freq(text: &TextConfig) -> Vec<f64> {
    let (rope, dim) = (&text.rope, text.head_dim as f64);
    let plain = (0..text.head_dim / 2).map(|i| rope.theta.powf(-2.0 * i as f64 / dim));
    let Some(yarn) = &rope.yarn else { return plain.collect() };
    let turn = |r: f64| {
        dim * (yarn.original_max_position_embeddings / (r * std::f64::consts::TAU)).ln() / (2.0 * rope.theta.ln())
    };
    let (low, high) = (turn(yarn.beta_fast), turn(yarn.beta_slow));
    let (low, high) = if yarn.truncate { (low.floor(), high.ceil()) } else { (low, high) };
    let (low, mut high) = (low.max(0.0), high.min(dim - 1.0));
    if low == high {
        high += 0.001;
    }
    let ramp = |i: usize| ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
    plain.enumerate().map(|(i, f)| f * (1.0 - ramp(i)) + f / yarn.factor * ramp(i)).collect()
}

#[test]
fn rope_of_every_checkpoint_equals_transformers() {
    for name in CHECKPOINTS {
        let settings = pollster::block_on(read_settings(&checkpoint(name))).expect(name);
        let cases: Value =
            serde_json::from_slice(&fs::read(checkpoint_dir(name).join("cases.json")).expect("cases")).expect("JSON");
        let factor = settings.config.text().rope.yarn.as_ref().map_or(1.0, |yarn| yarn.attention_factor);
        assert!((factor - cases["attention_factor"].as_f64().expect("a number")).abs() < 1e-12, "{name}");
        let expected = fs::read(checkpoint_dir(name).join("expected.safetensors")).expect("goldens");
        let expected = SafeTensors::deserialize(&expected).expect("safetensors");
        let golden = expected.tensor("text_inv_freq").expect("frequencies");
        let golden: Vec<f32> = golden.data().as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect();
        let frequencies = inv_freq(settings.config.text());
        assert_eq!(frequencies.len(), golden.len());
        for (own, golden) in frequencies.iter().zip(golden) {
            assert!((own / f64::from(golden) - 1.0).abs() < 1e-5, "{name}: {own} is not {golden}");
        }
    }
}

#[test]
fn fixtures_give_the_numbers_they_were_made_with() {
    let wide = pollster::block_on(read_settings(&checkpoint("wide_heads"))).expect("settings");
    let text = wide.config.text();
    assert_eq!((text.num_attention_heads, text.num_key_value_heads, text.head_dim, text.hidden_size), (5, 1, 128, 160));
    assert_eq!((text.vocab_size, text.max_position_embeddings, text.tie_word_embeddings), (457, 262_144, true));
    assert_eq!(text.layers, [LayerKind::FullAttention; 2]);
    let scaling = text.query_scaling.as_ref().expect("query scaling");
    assert_eq!((scaling.beta, scaling.original_max_position_embeddings), (0.1, 16384.0));
    let vision = wide.config.vision().expect("a tower");
    assert_eq!((vision.image_token_id, vision.image_break_token_id, vision.image_end_token_id), (10, 12, 13));
    assert_eq!(
        (vision.hidden_act, vision.projector_act, vision.rope_pairs),
        (Activation::Silu, Activation::Gelu, RopePairs::Half)
    );
    assert_eq!(
        (wide.chat.bos_token_id, &wide.chat.eos_token_ids[..], wide.chat.pad_token_id),
        (Some(1), &[2][..], Some(11))
    );

    let merge1 = pollster::block_on(read_settings(&checkpoint("merge1")))
        .expect("settings")
        .config
        .vision()
        .cloned()
        .expect("a tower");
    assert_eq!(
        (merge1.spatial_merge_size, merge1.patch_size, merge1.image_size, merge1.rope_theta),
        (1, 16, 64, 500.0)
    );
    assert!(pollster::block_on(read_settings(&checkpoint("text_long"))).expect("settings").config.vision().is_none());
}

#[test]
fn defaults_equal_those_of_transformers() {
    // Each right side was printed by transformers 5.23 for the same left side.
    let ministral = config(&json!({"model_type": "ministral3"})).text;
    assert_eq!((ministral.vocab_size, ministral.hidden_size, ministral.intermediate_size), (131_072, 4096, 14336));
    assert_eq!((ministral.layers.len(), ministral.head_dim, ministral.max_position_embeddings), (34, 128, 262_144));
    assert_eq!((ministral.rms_norm_eps, ministral.tie_word_embeddings, ministral.rope.theta), (1e-5, false, 1e6));
    let yarn = ministral.rope.yarn.expect("yarn");
    assert_eq!((yarn.factor, yarn.original_max_position_embeddings, yarn.attention_factor), (16.0, 16384.0, 1.0));
    assert_eq!(ministral.query_scaling.expect("scaling").beta, 0.1);

    let mistral =
        config(&json!({"model_type": "mistral", "sliding_window": null, "hidden_size": 96, "num_attention_heads": 8}))
            .text;
    assert_eq!(
        (mistral.vocab_size, mistral.layers.len(), mistral.head_dim, mistral.rms_norm_eps),
        (32_000, 32, 12, 1e-6)
    );
    assert_eq!((mistral.rope.theta, mistral.rope.yarn, mistral.query_scaling), (1e4, None, None));

    let whole = config(&json!({"model_type": "mistral3", "vision_config": {"hidden_act": "silu"}}));
    assert_eq!((whole.text.hidden_size, whole.text.intermediate_size, whole.text.layers.len()), (5120, 32768, 40));
    assert_eq!((whole.text.rope.theta, whole.text.head_dim, whole.text.tie_word_embeddings), (1e9, 128, true));
    let vision = whole.vision.expect("a tower");
    assert_eq!(
        (vision.patch_size, vision.image_size, vision.hidden_size, vision.num_hidden_layers),
        (16, 1024, 1024, 24)
    );
    let vision = config(&json!({"model_type": "mistral3"})).vision.expect("a tower");
    assert_eq!((vision.patch_size, vision.image_size, vision.hidden_act), (14, 1540, Activation::Gelu));
    assert_eq!(
        (vision.head_dim, vision.rope_theta, vision.spatial_merge_size, vision.projector_bias),
        (64, 1e4, 2, false)
    );
}

#[test]
fn rope_is_read_in_all_its_spellings() {
    let yarn = |fields: Value| {
        let mut config_json = json!({"model_type": "ministral3"});
        config_json.as_object_mut().expect("an object").append(&mut fields.as_object().expect("an object").clone());
        let text = config(&config_json).text;
        (text.rope.theta, text.rope.yarn.expect("yarn"))
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    // Attention factors printed by transformers 5.23.
    let (theta, old) = yarn(json!({"rope_theta": 5e5,
        "rope_scaling": {"type": "yarn", "factor": 8.0, "original_max_position_embeddings": 4096}}));
    close(old.attention_factor, 1.207_944_154_167_983_6);
    assert_eq!((theta, old.original_max_position_embeddings, old.beta_fast, old.beta_slow), (5e5, 4096.0, 32.0, 1.0));

    let (theta, both) = yarn(json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "mscale": 0.707,
        "mscale_all_dim": 1.2, "beta_fast": 0, "rope_theta": 2e6}}));
    close(both.attention_factor, 0.941_403_523_749_669);
    assert_eq!(
        (theta, both.original_max_position_embeddings, both.beta_fast, both.truncate),
        (2e6, 262_144.0, 32.0, true)
    );

    let (theta, given) = yarn(
        json!({"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.9, "truncate": false}}),
    );
    assert_eq!((theta, given.attention_factor, given.truncate), (1e4, 0.9, false));

    let (_, implied) = yarn(
        json!({"rope_parameters": {"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 65536}}),
    );
    close(implied.attention_factor, 1.138_629_436_111_989);
    assert_eq!(implied.factor, 4.0);

    let plain = config(&json!({"model_type": "ministral3", "rope_parameters": {}})).text.rope;
    assert_eq!((plain.theta, plain.yarn), (1e4, None));
    let beside = config(&json!({"model_type": "ministral3", "rope_theta": 7e5})).text.rope;
    assert_eq!(beside.theta, 1e6, "the class's own parameters hold a base already");
    let mistral =
        config(&json!({"model_type": "mistral", "sliding_window": null, "rope_theta": 3e5, "rope_scaling": null})).text;
    assert_eq!(mistral.rope.theta, 3e5);
}

#[test]
fn picture_files_beside_the_configuration_count() {
    let vision = |file: &str, contents: Value| -> Result<VisionConfig> {
        let mut files = files(&json!({"model_type": "mistral3"}));
        files.0.insert(file.into(), contents.to_string().into_bytes().into());
        Ok(pollster::block_on(read_settings(&files))?.config.vision().cloned().expect("a tower"))
    };
    let new = vision(
        "processor_config.json",
        json!({"patch_size": 14, "image_processor": {
        "size": {"longest_edge": 700}, "image_mean": [0.5, 0.25, 0.125], "image_std": [1, 2, 4]}}),
    )
    .expect("settings");
    assert_eq!((new.image_size, new.image_mean, new.image_std), (700, [0.5, 0.25, 0.125], [1.0, 2.0, 4.0]));
    let old = vision(
        "preprocessor_config.json",
        json!({"size": {"longest_edge": 300}, "patch_size": {"height": 28, "width": 28}}),
    );
    assert_eq!(old.expect("settings").image_size, 300);
    let silent = vision("preprocessor_config.json", json!({}));
    assert_eq!(silent.expect("settings").image_size, 1024, "the processor's own default");

    for (contents, word) in [
        (json!({"patch_size": 16}), "patch_size"),
        (json!({"spatial_merge_size": 3}), "spatial_merge_size"),
        (json!({"image_token": "<image>"}), "<image>"),
        (json!({"image_processor": {"do_resize": false}}), "do_resize"),
        (json!({"image_processor": {"resample": 2}}), "resample"),
        (json!({"image_processor": {"image_mean": [1, 2]}}), "image_mean"),
        (json!({"image_processor": {"image_std": [1, 0, 1]}}), "image_std"),
        (json!({"image_processor": []}), "image_processor"),
    ] {
        let error = vision("processor_config.json", contents.clone()).expect_err(word);
        assert!(error.to_string().contains(word), "{contents}: {error}");
    }
}

#[test]
fn generation_settings_and_system_prompt_are_read() {
    let mut files = files(&json!({"model_type": "ministral3", "eos_token_id": 7, "pad_token_id": null}));
    let chat = pollster::block_on(read_settings(&files)).expect("settings").chat;
    assert_eq!((chat.eos_token_ids, chat.pad_token_id, chat.default_system_prompt), (vec![7], None, None));
    let generation = br#"{"eos_token_id": [2, 9], "do_sample": true, "temperature": 0.15, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.05}"#;
    files.0.insert("generation_config.json".into(), generation[..].into());
    files.0.insert("SYSTEM_PROMPT.txt".into(), b"You see."[..].into());
    let chat = pollster::block_on(read_settings(&files)).expect("settings").chat;
    let sampling = SamplingDefaults {
        temperature: Some(0.15),
        top_p: Some(0.95),
        repetition_penalty: Some(1.05),
        ..SamplingDefaults::default()
    };
    assert_eq!(chat.sampling, sampling, "a top_k of 0 means none");
    assert_eq!((chat.eos_token_ids, chat.default_system_prompt.as_deref()), (vec![2, 9], Some("You see.")));
    let greedy = br#"{"eos_token_id": [2, 9], "do_sample": false, "temperature": 0.7}"#;
    files.0.insert("generation_config.json".into(), greedy[..].into());
    let chat = pollster::block_on(read_settings(&files)).expect("settings").chat;
    assert_eq!(chat.sampling, SamplingDefaults { temperature: Some(0.0), ..SamplingDefaults::default() });
    for (template, assumed) in [("{{ '[SYSTEM_PROMPT]' }}..{{ '[INST]' }}", false), ("<|im_start|>{{ role }}", true)] {
        files.0.insert("chat_template.jinja".into(), template.as_bytes().into());
        let chat = pollster::block_on(read_settings(&files)).expect("settings").chat;
        assert_eq!((chat.template.as_str(), chat.template_is_assumed), ("mistral-v13", assumed), "{template}");
    }
    files.0.insert("generation_config.json".into(), br#"{"eos_token_id": 131072}"#[..].into());
    pollster::block_on(read_settings(&files)).expect_err("a token outside the vocabulary");
}

#[test]
fn unsupported_settings_are_named() {
    let text = |key: &str, value: Value| json!({"model_type": "ministral3", key: value});
    let vision = |key: &str, value: Value| json!({"model_type": "mistral3", "vision_config": {key: value}});
    for (config, word) in [
        (json!({"architectures": ["GemmaForCausalLM"], "model_type": "llama"}), "LlamaForCausalLM"),
        (json!({"model_type": "phi3"}), "phi3"),
        (json!({}), "supported are"),
        (json!({"model_type": "mistral3", "text_config": {"model_type": "llama"}}), "llama"),
        (json!({"model_type": "mistral"}), "sliding_window"),
        (text("sliding_window", json!(1024)), "sliding_window"),
        (text("layer_types", json!(["sliding_attention"])), "sliding_attention"),
        (text("hidden_act", json!("gelu")), "hidden_act"),
        (text("num_hidden_layers", json!(1_000_000_000_000u64)), "num_hidden_layers"),
        (text("num_key_value_heads", json!(7)), "num_key_value_heads"),
        (text("head_dim", json!(1024)), "head_dim"),
        (text("rope_scaling", json!({"type": "llama3", "factor": 8.0})), "llama3"),
        (
            text("rope_parameters", json!({"rope_type": "yarn", "factor": 2.0, "partial_rotary_factor": 0.5})),
            "partial_rotary_factor",
        ),
        (text("rope_parameters", json!({"full_attention": {"rope_type": "default"}})), "full_attention"),
        (vision("model_type", json!("clip_vision_model")), "clip_vision_model"),
        (vision("hidden_act", json!("relu")), "relu"),
        (vision("rope_parameters", json!({"rope_type": "linear"})), "linear"),
        (vision("num_channels", json!(1)), "num_channels"),
        (vision("patch_size", json!(u64::MAX)), "patch_size"),
        (json!({"model_type": "mistral3", "vision_feature_layer": -2}), "vision_feature_layer"),
        (json!({"model_type": "mistral3", "projector_hidden_act": "relu"}), "projector_hidden_act"),
    ] {
        let error = read(&config).expect_err(word);
        assert!(matches!(error, Error::UnsupportedArchitecture { .. }), "{config}: {error}");
        assert!(error.to_string().contains(word) && error.to_string().contains("config.json"), "{config}: {error}");
    }
}

#[test]
fn damaged_settings_are_named() {
    let text = |key: &str, value: Value| json!({"model_type": "ministral3", key: value});
    for (config, word) in [
        (json!([]), "not an object"),
        (json!({"model_type": 7}), "model_type"),
        (text("hidden_size", json!("wide")), "hidden_size"),
        (text("hidden_size", json!(-4)), "hidden_size"),
        (text("hidden_size", json!(12.5)), "hidden_size"),
        (text("rms_norm_eps", json!([])), "rms_norm_eps"),
        (text("rope_parameters", json!(7)), "rope_parameters"),
        (text("rope_parameters", json!({"rope_type": "yarn"})), "factor"),
        (text("rope_parameters", json!({"rope_type": "yarn", "factor": 0})), "factor"),
        (text("rope_parameters", json!({"rope_theta": -1})), "rope_theta"),
        (text("eos_token_id", json!(["x"])), "eos_token_id"),
        (text("eos_token_id", json!(131_072)), "eos_token_id"),
        (json!({"model_type": "mistral3", "text_config": 3}), "text_config"),
        (json!({"model_type": "mistral3", "image_token_index": 11}), "image_token_index"),
        (json!({"model_type": "mistral3", "vision_config": {"num_attention_heads": 0}}), "num_attention_heads"),
        (json!({"model_type": "mistral3", "vision_config": {"num_attention_heads": 3}}), "hidden_size"),
        (json!({"model_type": "mistral3", "vision_config": {"patch_size": [14, 16]}}), "patch_size"),
    ] {
        let error = read(&config).expect_err(word);
        assert!(error.to_string().contains(word), "{config}: {error}");
    }
    for (file, contents, code) in [
        ("config.json", None, "invalid-checkpoint"),
        ("config.json", Some(&b"{"[..]), "invalid-checkpoint"),
        ("config.json", Some(b"\xff\xfe"), "invalid-checkpoint"),
        ("tokenizer.json", None, "invalid-checkpoint"),
        ("tokenizer.json", Some(b"[1"), "tokenizer"),
        ("tokenizer.json", Some(br#"{"added_tokens": []}"#), "tokenizer"),
        ("generation_config.json", Some(b"nonsense"), "invalid-checkpoint"),
        ("processor_config.json", Some(b"7"), "invalid-checkpoint"),
        ("SYSTEM_PROMPT.txt", Some(b"\xff"), "invalid-checkpoint"),
    ] {
        let mut files = files(&json!({"model_type": "mistral3"}));
        match contents {
            Some(contents) => drop(files.0.insert(file.into(), contents.into())),
            None => drop(files.0.remove(file)),
        }
        let error = pollster::block_on(read_settings(&files)).expect_err(file);
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(file), "{error}");
    }
}
