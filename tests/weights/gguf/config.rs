//! Configuration of models from GGUF keys.

use ocelli::config::{Activation, RopePairs};
use ocelli::families::mistral3::Config;
use ocelli::import::gguf::GgufImport;
use serde_json::Value;

use super::super::common::mistral3;
use super::parts::Parts;
use super::{TEXT, assert_says, files, pack, pack_as, read, refused, text_files};
use crate::common::MemoryFiles;

fn config(change: impl FnOnce(&mut Parts)) -> Config {
    mistral3(&pack(&text_files("q4_0", change)).expect("a package").0.config)
}

#[test]
fn fixtures_have_their_numbers() {
    let (manifest, _) = pack(&text_files("q4_k", |_| ())).expect("a package");
    assert_eq!((manifest.name.as_str(), manifest.license.as_deref()), ("Tiny GGUF", Some("CC0-1.0")));
    assert_eq!(
        (manifest.chat.bos_token_id, &manifest.chat.eos_token_ids[..], manifest.chat.pad_token_id),
        (Some(1), &[2][..], Some(11))
    );
    let text = manifest.config.text();
    assert_eq!((text.vocab_size, text.hidden_size, text.intermediate_size, text.layers.len()), (304, 256, 256, 1));
    assert_eq!((text.num_attention_heads, text.num_key_value_heads, text.head_dim), (4, 2, 32));
    assert_eq!((text.rms_norm_eps, text.tie_word_embeddings, text.max_position_embeddings), (1e-5, true, 512));
    assert_eq!((text.rope.theta, text.rope.pairs), (1e4, RopePairs::Interleaved));
    let yarn = text.rope.yarn.as_ref().expect("yarn");
    assert_eq!((yarn.factor, yarn.original_max_position_embeddings), (16.0, 32.0));
    assert_eq!((yarn.beta_fast, yarn.beta_slow, yarn.truncate), (4.0, 0.25, true));
    // The value that transformers computes from mscale 1 and mscale_all_dim 0.8; the key is a 32-bit float.
    let cases: Value = serde_json::from_slice(&read("cases.json")).expect("JSON");
    let expected = cases["attention_factor"].as_f64().expect("a number");
    assert!((yarn.attention_factor - expected).abs() < 1e-7, "{} {expected}", yarn.attention_factor);
    let scaling = text.query_scaling.as_ref().expect("query scaling");
    assert_eq!((scaling.beta as f32, scaling.original_max_position_embeddings), (0.1, 32.0));

    let vision = manifest.config.vision().expect("a tower");
    assert_eq!((vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers), (48, 80, 2));
    assert_eq!((vision.num_attention_heads, vision.head_dim, vision.patch_size, vision.image_size), (2, 24, 14, 140));
    assert_eq!((vision.spatial_merge_size, vision.rope_theta, vision.rope_pairs), (2, 1e4, RopePairs::Interleaved));
    assert_eq!(
        (vision.hidden_act, vision.projector_act, vision.projector_bias),
        (Activation::Silu, Activation::Gelu, false)
    );
    assert_eq!((vision.image_token_id, vision.image_break_token_id, vision.image_end_token_id), (10, 12, 13));
    assert_eq!(vision.image_mean, [0.481_454_66, 0.457_827_5, 0.408_210_73]);

    let blind = GgufImport { text: TEXT.into(), mmproj: None };
    let (manifest, _) = pack_as(&text_files("q4_k", |_| ()), &blind, None).expect("a package");
    assert!(manifest.config.vision().is_none());
}

/// Regression: the file names one token that ends an answer; the publisher's `generation_config.json` has three.
#[test]
fn a_gemma_file_has_all_ends_of_answers() {
    let mut files = MemoryFiles::default();
    files.0.insert(TEXT.into(), read("gemma4/text.gguf").into());
    let text = GgufImport { text: TEXT.into(), mmproj: None };
    let (manifest, _) = pack_as(&files, &text, None).expect("a package");
    assert_eq!(manifest.chat.eos_token_ids, [11, 1, 5]);
}

#[test]
fn other_spellings_and_absent_keys() {
    let renamed = config(|parts| {
        for (key, new) in [
            ("rope.scaling.yarn_beta_fast", "rope.scaling.beta_fast"),
            ("rope.scaling.yarn_beta_slow", "rope.scaling.beta_slow"),
            ("attention.temperature_scale", "rope.scaling_beta"),
            ("rope.scaling.yarn_log_multiplier", "rope.scaling.mscale_all_dim"),
        ] {
            parts.rename(&format!("mistral3.{key}"), &format!("mistral3.{new}"));
        }
    });
    let plain = config(|_| ());
    assert_eq!(renamed, plain);

    let llama = config(|parts| {
        for (key, ..) in &mut parts.pairs {
            *key = key.replace("mistral3.", "llama.");
        }
        parts.set_text("general.architecture", "llama");
    });
    assert_eq!(llama, plain);

    let factor = |change: &dyn Fn(&mut Parts)| config(change).text.rope.yarn.expect("yarn").attention_factor;
    let paper = 0.1 * 16f64.ln() + 1.0;
    assert!((factor(&|parts| parts.remove("mistral3.rope.scaling.yarn_log_multiplier")) - paper).abs() < 1e-12);
    assert!((factor(&|parts| parts.set_f32("mistral3.rope.scaling.yarn_log_multiplier", 0.0)) - paper).abs() < 1e-12);
    assert_eq!(factor(&|parts| parts.set_f32("mistral3.rope.scaling.yarn_log_multiplier", 1.0)), 1.0);
    let halved = factor(&|parts| parts.set_f32("mistral3.rope.scaling.attn_factor", 0.5));
    assert!((halved * 2.0 - factor(&|_| ())).abs() < 1e-12);

    let bare = config(|parts| {
        for key in ["attention.temperature_scale", "rope.scaling.type", "rope.scaling.factor", "rope.freq_base"] {
            parts.remove(&format!("mistral3.{key}"));
        }
        parts.remove("tokenizer.ggml.padding_token_id");
    });
    assert_eq!((bare.text.rope.theta, bare.text.rope.yarn, bare.text.query_scaling), (1e4, None, None));
    let none = config(|parts| parts.set_text("mistral3.rope.scaling.type", "none"));
    assert_eq!(none.text.rope.yarn, None);
    let mut untied = config(|parts| {
        let mut head = parts.tensor("token_embd.weight").clone();
        head.name = "output.weight".into();
        parts.tensors.push(head);
    });
    assert!(!std::mem::replace(&mut untied.text.tie_word_embeddings, true));
    assert_eq!(untied, plain);
    // 4 heads of 64 in a file without the head width: a shape implies it.
    let error = refused(&text_files("q4_0", |parts| {
        for key in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
            parts.remove(&format!("mistral3.{key}"));
        }
    }));
    assert_says(&error, "invalid-checkpoint", &["attn_q.weight", "[128, 256]", "[256, 256]"]);
    let error = refused(&files("q4_0", |_| (), |parts| parts.remove("clip.vision.spatial_merge_size")));
    assert_says(&error, "invalid-checkpoint", &["mm.patch_merger.weight", "[48, 192]", "[48, 48]"]);
}

#[test]
fn a_copied_picture_token_and_odd_converters() {
    let with_copy = files(
        "q4_0",
        |_| (),
        |parts| {
            let mut copy = parts.tensor("mm.input_norm.weight").clone();
            copy.name = "v.token_embd.img_break".into();
            parts.tensors.push(copy);
            parts.rename("clip.projector_type", "clip.vision.projector_type");
        },
    );
    let plain = pack(&text_files("q4_0", |_| ())).expect("a package");
    assert_eq!(pack(&with_copy).expect("a package").1.0, plain.1.0);

    // A vision part of another spelling in the text file: only that of the named file is read, and without one nothing.
    let inside = text_files("q4_0", |parts| {
        let mut vision = parts.tensor("output_norm.weight").clone();
        vision.name = "v.patch_conv.weight".into();
        parts.tensors.push(vision);
    });
    assert_eq!(pack(&inside).expect("a package").0.tensors, plain.0.tensors);
    let blind = GgufImport { text: TEXT.into(), mmproj: None };
    let error = pack_as(&inside, &blind, None).map(drop).expect_err("a refusal");
    assert_says(&error, "invalid-checkpoint", &["v.patch_conv.weight", "mmproj"]);
}

/// A file's own template is recognised, not run.
#[test]
fn templates_are_told_apart() {
    for (template, assumed) in [
        (None, false),
        (Some("{{ bos_token }}[SYSTEM_PROMPT]{{ x }}[/SYSTEM_PROMPT][INST]{{ y }}[/INST]"), false),
        (Some("{{ bos_token }}[INST]{{ y }}[/INST]"), true),
        (Some("<|im_start|>{{ role }}"), true),
    ] {
        let files = text_files("q4_0", |parts| {
            if let Some(template) = template {
                parts.set_text("tokenizer.chat_template", template);
            }
        });
        let chat = pack(&files).expect("a package").0.chat;
        assert_eq!((chat.template.as_str(), chat.template_is_assumed), ("mistral-v13", assumed), "{template:?}");
    }
}

#[test]
fn unsupported_settings_are_named() {
    let text = |change: &dyn Fn(&mut Parts)| refused(&text_files("q4_0", change));
    let set = |key: &'static str, value: u32| text(&move |parts| parts.set_u32(&format!("mistral3.{key}"), value));
    let says = |error, parts: &[&str]| assert_says(&error, "unsupported-architecture", parts);
    says(text(&|parts| parts.set_text("general.architecture", "phi3")), &["phi3", "text.gguf"]);
    says(text(&|parts| parts.set_text("general.architecture", "clip")), &["mmproj"]);
    says(text(&|parts| parts.remove("general.architecture")), &["supported are"]);
    says(set("attention.sliding_window", 64), &["sliding_window", "64"]);
    says(set("expert_count", 8), &["expert_count"]);
    says(set("attention.value_length", 64), &["value_length"]);
    says(set("rope.dimension_count", 16), &["dimension_count"]);
    says(set("block_count", u32::MAX), &["block_count"]);
    says(set("attention.head_count_kv", 3), &["num_key_value_heads"]);
    says(set("attention.head_count", 0), &["num_attention_heads"]);
    says(set("embedding_length", 1 << 30), &["hidden_size"]);
    says(text(&|parts| parts.set_text("mistral3.rope.scaling.type", "linear")), &["rope.scaling.type", "linear"]);
    says(text(&|parts| parts.set_text("mistral3.rope.scaling.type", "longrope")), &["longrope"]);

    let vision = |change: &dyn Fn(&mut Parts)| refused(&files("q4_0", |_| (), change));
    says(vision(&|parts| parts.set_text("clip.projector_type", "gemma3")), &["gemma3", "mmproj.gguf"]);
    says(vision(&|parts| parts.remove("clip.use_silu")), &["use_silu"]);
    says(vision(&|parts| parts.set_u32("clip.vision.attention.head_count", 0)), &["heads"]);
    says(vision(&|parts| parts.set_u32("clip.vision.attention.head_count", 7)), &["heads"]);
    says(vision(&|parts| parts.set_u32("clip.vision.patch_size", 0)), &["patch_size"]);
    says(vision(&|parts| parts.set_f32("clip.vision.attention.layer_norm_epsilon", f32::NAN)), &["eps"]);
    let not_clip = vision(&|parts| parts.set_text("general.architecture", "mistral3"));
    assert_says(&not_clip, "invalid-checkpoint", &["mmproj.gguf", "no vision half"]);
}

#[test]
fn missing_and_nonsensical_keys_are_named() {
    for key in ["embedding_length", "block_count", "feed_forward_length", "attention.head_count", "context_length"] {
        let key = format!("mistral3.{key}");
        let error = refused(&text_files("q4_0", |parts| parts.remove(&key)));
        assert_says(&error, "invalid-checkpoint", &["text.gguf", &key, "missing"]);
        let error = refused(&text_files("q4_0", |parts| parts.set_text(&key, "many")));
        assert_says(&error, "invalid-checkpoint", &["text.gguf", &key, "not a whole number"]);
    }
    for key in ["rope.scaling.factor", "attention.layer_norm_rms_epsilon"] {
        let error = refused(&text_files("q4_0", |parts| parts.remove(&format!("mistral3.{key}"))));
        assert_says(&error, "invalid-checkpoint", &[key, "missing"]);
    }
    for key in ["embedding_length", "block_count", "patch_size", "image_size", "image_mean", "image_std"] {
        let key = format!("clip.vision.{key}");
        let error = refused(&files("q4_0", |_| (), |parts| parts.remove(&key)));
        assert_says(&error, "invalid-checkpoint", &["mmproj.gguf", &key, "missing"]);
    }
    for key in ["bos", "eos", "padding"] {
        let key = format!("tokenizer.ggml.{key}_token_id");
        let error = refused(&text_files("q4_0", |parts| parts.set_u32(&key, 304)));
        assert_says(&error, "invalid-checkpoint", &[&key, "304"]);
    }
}
