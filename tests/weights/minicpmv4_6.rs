//! Settings of MiniCPM-V 4.6's checkpoints, refused settings, and the published size.

use ocelli::Result;
use ocelli::families::minicpmv4_6::{Config, VisionConfig};
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::import::hf::{CheckpointSettings, read_settings};
use ocelli_synth::published;
use serde_json::{Value, json};

use crate::common::checkpoint;

/// The fixture's settings with a file changed at a place.
fn settings(file: &str, place: &str, new: &Value) -> Result<CheckpointSettings> {
    let mut files = checkpoint("minicpmv4_6");
    let mut value: Value = serde_json::from_slice(&files.0[file]).expect("JSON");
    let (parent, key) = place.rsplit_once('/').expect("a place");
    value.pointer_mut(parent).expect("an object")[key] = new.clone();
    files.0.insert(file.into(), value.to_string().into_bytes().into());
    pollster::block_on(read_settings(&files))
}

fn vision(settings: &CheckpointSettings) -> &VisionConfig {
    let ModelConfig::MiniCpmV4_6(Config { vision: Some(vision), .. }) = &settings.config else {
        panic!("another family")
    };
    vision
}

#[test]
fn settings_of_checkpoints_are_read() {
    let read = settings("config.json", "/image_size", &json!(1120)).expect("settings");
    assert_eq!((read.chat.template.as_str(), read.chat.template_is_assumed), ("minicpm-v", false));
    assert_eq!((read.chat.bos_token_id, &read.chat.eos_token_ids[..]), (None, &[700, 702][..]));
    let text = read.config.text();
    assert!(text.tie_word_embeddings && text.output_gate && text.delta.is_some());
    assert_eq!(text.rope.sections, None, "positions are places in the prompt");
    let VisionConfig { tower, merged_layer, scale_resolution, max_slices, image_token_id, markers } = vision(&read);
    assert_eq!((*merged_layer, *scale_resolution, *max_slices, *image_token_id), (1, 112, 9, 706));
    assert_eq!((tower.image_size, tower.patch_size, tower.layer_norm_eps), (140, 14, 1e-6));
    assert_eq!((markers.whole.clone(), markers.slice.clone()), ([vec![710], vec![711]], [vec![712], vec![713]]));
    let whole = settings("processor_config.json", "/image_processor/slice_mode", &json!(false)).expect("settings");
    assert_eq!(vision(&whole).max_slices, 1);
}

/// The layer of the configuration itself wins over that of the tower.
#[test]
fn what_files_leave_out_is_as_in_the_classes() {
    let changed = settings("config.json", "/vision_config", &json!({"insert_layer_id": 9, "patch_size": 14}));
    let changed = changed.expect("settings");
    let VisionConfig { tower, merged_layer, .. } = vision(&changed);
    assert_eq!((tower.hidden_size, tower.intermediate_size, tower.num_hidden_layers), (768, 3072, 12));
    assert_eq!((tower.num_attention_heads, tower.image_size, *merged_layer), (12, 224, 1));
}

#[test]
fn unsupported_settings_are_refused_by_name() {
    let config = [
        ("/text_config/attn_output_gate", json!(false), "attn_output_gate"),
        ("/text_config/hidden_act", json!("gelu"), "hidden_act"),
        ("/vision_config/hidden_act", json!("silu"), "hidden_act"),
        ("/vision_config/window_kernel_size", json!([2, 1]), "window_kernel_size"),
        ("/vision_config/window_kernel_size", json!([3, 3]), "window_kernel_size"),
        ("/vision_config/hidden_size", json!(72), "hidden_size"),
        ("/vision_config/patch_size", json!(16), "patch_size"),
        ("/vision_config/num_attention_heads", json!(0), "num_attention_heads"),
        ("/insert_layer_id", json!(4), "merged_layer"),
        ("/merger_times", json!(2), "merger_times"),
        ("/merge_kernel_size", json!([4, 4]), "merge_kernel_size"),
        ("/downsample_mode", json!("4x"), "downsample_mode"),
        ("/image_token_id", json!(9999), "picture token"),
        ("/image_token_id", json!(null), "image_token_id"),
    ];
    let processor = [
        ("/image_processor/resample", json!(1), "resample"),
        ("/image_processor/downsample_mode", json!("4x"), "downsample_mode"),
        ("/image_processor/use_image_id", json!(false), "use_image_id"),
        ("/image_processor/scale_resolution", json!(55), "scale_resolution"),
        ("/image_processor/max_slice_nums", json!(0), "max_slices"),
        ("/image_processor/max_slice_nums", json!(1000), "max_slices"),
    ];
    let named = |file: &'static str| move |(place, new, named)| (file, place, new, named);
    let all = config.map(named("config.json")).into_iter().chain(processor.map(named("processor_config.json")));
    for (file, place, new, named) in all {
        let error = settings(file, place, &new).map(drop).expect_err(place);
        assert!(error.to_string().contains(named), "{place} = {new}: {error}");
    }
}

/// The number of parameters on the hub.
#[test]
fn the_published_shape_has_as_many_parameters_as_the_model() {
    let config = published("minicpm-v-4.6").expect("a shape");
    config.validate("minicpm-v-4.6").expect("a model that runs");
    assert_eq!(definition(&config).tensors().map(|spec: TensorSpec| spec.len()).sum::<u64>(), 1_300_428_016);
}
