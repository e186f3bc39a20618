//! Settings of Qwen3-VL checkpoints, and what is refused of them.

use ocelli::families::ModelConfig;
use ocelli::families::qwen3_vl::Config;
use ocelli::weights::hf::{CheckpointSettings, read_settings};
use ocelli::weights::source::Directory;
use ocelli::{Error, Result};
use serde_json::{Value, json};

use crate::common::{checkpoint, checkpoint_dir};

/// The fixture's settings with a file changed at these places.
fn settings(file: &str, changes: &[(&str, Value)]) -> Result<CheckpointSettings> {
    let mut files = checkpoint("qwen3_vl");
    let mut value: Value = serde_json::from_slice(&files.0[file]).expect("JSON");
    for (place, new) in changes {
        let (parent, key) = place.rsplit_once('/').expect("a place");
        value.pointer_mut(parent).expect("an object")[key] = new.clone();
    }
    files.0.insert(file.into(), value.to_string().into_bytes().into());
    pollster::block_on(read_settings(&files))
}

fn model(settings: CheckpointSettings) -> Config {
    let ModelConfig::Qwen3Vl(config) = settings.config else { panic!("another family") };
    config
}

#[test]
fn a_checkpoint_says_what_it_was_made_with() {
    let read = pollster::block_on(read_settings(&Directory(checkpoint_dir("qwen3_vl")))).expect("settings");
    assert_eq!((read.chat.template.as_str(), read.chat.template_is_assumed), ("chatml", false));
    assert_eq!(read.chat.bos_token_id, None, "whatever the files name, nothing is put before a prompt");
    assert_eq!(read.chat.eos_token_ids, [702]);
    let Config { text, vision } = model(read);
    assert_eq!((text.head_norms, text.rope.sections, text.rope.theta), (true, Some([3, 3, 2]), 1e4));
    assert!(text.tie_word_embeddings);
    let vision = vision.expect("a tower");
    assert_eq!((vision.position_side, &vision.deepstack[..], vision.patch_size), (6, &[0, 2][..], 16));
    assert_eq!((vision.min_pixels, vision.max_pixels), (4096, 20_480));
}

#[test]
fn older_names_of_the_bounds_of_pictures_count_first() {
    let changes = [("/min_pixels", json!(1000)), ("/max_pixels", json!(50_000))];
    let vision = model(settings("preprocessor_config.json", &changes).expect("settings")).vision.expect("a tower");
    assert_eq!((vision.min_pixels, vision.max_pixels), (1000, 50_000));
    let silent = [("/size", json!(null))];
    let vision = model(settings("preprocessor_config.json", &silent).expect("settings")).vision.expect("a tower");
    assert_eq!((vision.min_pixels, vision.max_pixels), (65_536, 16_777_216));
}

#[test]
fn what_this_crate_does_not_run_is_refused_by_name() {
    let config = [
        ("/text_config/attention_bias", json!(true), "attention_bias"),
        ("/text_config/rope_parameters/mrope_interleaved", json!(false), "mrope_interleaved"),
        ("/text_config/rope_parameters/mrope_section", json!([3, 3]), "mrope_section"),
        ("/text_config/rope_parameters/mrope_section", json!([3, 3, 3]), "sections"),
        ("/vision_config/hidden_act", json!("silu"), "hidden_act"),
        ("/vision_config/temporal_patch_size", json!(1), "temporal_patch_size"),
        ("/vision_config/out_hidden_size", json!(128), "out_hidden_size"),
        ("/vision_config/num_position_embeddings", json!(35), "num_position_embeddings"),
        ("/vision_config/num_heads", json!(0), "num_attention_heads"),
        ("/vision_config/num_heads", json!(5), "vision.hidden_size"),
        ("/vision_config/spatial_merge_size", json!(0), "merge_size"),
        ("/vision_config/deepstack_visual_indexes", json!([2, 0]), "deepstack"),
        ("/vision_config/deepstack_visual_indexes", json!([3]), "deepstack"),
        ("/image_token_id", json!(720), "vocabulary"),
        ("/image_token_id", json!(null), "image_token_id"),
    ];
    let processor = [
        ("/patch_size", json!(14), "patch_size"),
        ("/merge_size", json!(1), "merge_size"),
        ("/do_resize", json!(false), "do_resize"),
        ("/size", json!(7), "size"),
        ("/image_std", json!([1, 0, 1]), "image_std"),
        ("/size/longest_edge", json!(0), "max_pixels"),
    ];
    let of = |file: &'static str| move |(place, value, word)| (file, place, value, word);
    for (file, place, value, word) in
        config.into_iter().map(of("config.json")).chain(processor.into_iter().map(of("preprocessor_config.json")))
    {
        let error = settings(file, &[(place, value.clone())]).map(drop).expect_err(place);
        assert!(matches!(error, Error::UnsupportedArchitecture { .. } | Error::InvalidCheckpoint { .. }), "{error}");
        assert!(error.to_string().contains(word), "{place} = {value}: {error}");
    }
}
