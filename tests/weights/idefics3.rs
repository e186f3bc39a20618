//! Settings of SmolVLM's and Granite-Docling's checkpoints, refused settings, and the published sizes.

use ocelli::Result;
use ocelli::families::idefics3::{Config, Markers};
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

fn read(name: &str) -> CheckpointSettings {
    settings(name, "config.json", "/transformers_version", &json!("5.23.0")).expect("settings")
}

fn model(settings: &CheckpointSettings) -> &Config {
    let ModelConfig::Idefics3(config) = &settings.config else { panic!("another family") };
    config
}

#[test]
fn settings_of_checkpoints_are_read() {
    let read_one = read("smolvlm");
    assert_eq!((read_one.chat.template.as_str(), read_one.chat.template_is_assumed), ("smolvlm", false));
    assert_eq!((read_one.chat.bos_token_id, &read_one.chat.eos_token_ids[..]), (None, &[362][..]));
    let Config { text, vision } = model(&read_one);
    assert!(!text.tie_word_embeddings && text.rope.theta == 1e5);
    let vision = vision.as_ref().expect("a tower");
    assert_eq!((vision.scale_factor, vision.longest_edge, vision.splits, vision.image_token_id), (4, 192, true, 361));
    assert_eq!((vision.tower.layer_norm_eps, vision.tower.intermediate_size), (1e-6, 88));
    // Rows of tiles follow each other in steps of six, although pictures have at most three.
    let tiles = [324, 325, 326, 330, 331, 332, 336, 337, 338].map(|id| vec![id]);
    let Markers { edge, whole, row_end, last_row_end, .. } = &vision.markers;
    assert_eq!((&vision.markers.tiles[..], edge, whole), (&tiles[..], &vec![360], &vec![323]));
    assert_eq!([row_end.clone(), row_end.clone()].concat(), *last_row_end, "there is no token for two line ends");

    let read_one = read("granite_docling");
    assert_eq!((read_one.chat.template.as_str(), read_one.chat.template_is_assumed), ("granite-docling", false));
    let Config { text, vision } = model(&read_one);
    let vision = vision.as_ref().expect("a tower");
    assert!(text.tie_word_embeddings && vision.markers.last_row_end == [320] && vision.markers.tiles.len() == 4);

    let read_one = read("smolvlm_whole");
    let vision = model(&read_one).vision.as_ref().expect("a tower");
    assert!(!vision.splits && vision.markers.tiles.len() == 1);
    assert!(vision.markers.whole.len() > 3 && vision.markers.edge.len() == 1, "a marker that is text");
}

/// The published files name little of the tower.
#[test]
fn what_files_leave_out_is_as_in_the_classes() {
    let changed = settings("smolvlm", "config.json", "/vision_config", &json!({"image_size": 64, "patch_size": 8}));
    let changed = changed.expect("settings");
    let tower = &model(&changed).vision.as_ref().expect("a tower").tower;
    assert_eq!((tower.hidden_size, tower.intermediate_size, tower.num_hidden_layers), (1152, 3072, 12));
    assert_eq!((tower.num_attention_heads, tower.layer_norm_eps), (16, 1e-6));
}

#[test]
fn unsupported_settings_are_refused_by_name() {
    let config = [
        ("/text_config/attention_bias", json!(true), "attention_bias"),
        ("/text_config/mlp_bias", json!(true), "mlp_bias"),
        ("/text_config/hidden_act", json!("gelu"), "hidden_act"),
        ("/vision_config/hidden_act", json!("silu"), "hidden_act"),
        ("/vision_config/num_channels", json!(1), "num_channels"),
        ("/vision_config/image_size", json!(96), "longest_edge"),
        ("/vision_config/patch_size", json!(0), "patch_size"),
        ("/vision_config/num_attention_heads", json!(0), "num_attention_heads"),
        ("/scale_factor", json!(3), "scale_factor"),
        ("/scale_factor", json!(0), "scale_factor"),
        ("/image_token_id", json!(9999), "picture token"),
        ("/image_token_id", json!(null), "image_token_id"),
    ];
    let processor = [
        ("/resample", json!(3), "resample"),
        ("/do_resize", json!(false), "do_resize"),
        ("/max_image_size", json!({ "longest_edge": 32 }), "longest_edge"),
        ("/size", json!({ "longest_edge": 100 }), "longest_edge is 100"),
        ("/size", json!({ "longest_edge": 64_000 }), "longest_edge"),
        ("/size", json!({ "longest_edge": 0 }), "longest_edge"),
    ];
    let named = |file: &'static str| move |(place, new, named)| (file, place, new, named);
    let all = config.map(named("config.json")).into_iter().chain(processor.map(named("preprocessor_config.json")));
    for (file, place, new, named) in all {
        let error = settings("smolvlm", file, place, &new).map(drop).expect_err(place);
        assert!(error.to_string().contains(named), "{place} = {new}: {error}");
    }
}

/// The exact numbers of parameters: on the hub, and for Granite-Docling in the bytes of its file.
#[test]
fn published_shapes_have_as_many_parameters_as_the_models() {
    for (name, parameters) in [
        ("smolvlm2-256m", 256_484_928),
        ("smolvlm2-500m", 507_482_304),
        ("smolvlm2-2.2b", 2_246_784_880),
        ("granite-docling-258m", 257_517_120),
    ] {
        let config = published(name).expect("a shape");
        config.validate(name).expect("a model that runs");
        assert_eq!(definition(&config).tensors().map(|spec: TensorSpec| spec.len()).sum::<u64>(), parameters, "{name}");
    }
}
