//! Settings of Llama 3.2 Vision's checkpoints, refused settings, and the published sizes.

use ocelli::Result;
use ocelli::chat::layout::Segment;
use ocelli::chat::{ContentPart, Message, Role};
use ocelli::config::{CrossConfig, LayerKind};
use ocelli::families::mllama::Config;
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::import::hf::{CheckpointSettings, read_settings};
use ocelli_synth::published;
use serde_json::{Value, json};

use crate::common::checkpoint;

/// The fixture's settings with a file changed at a place.
fn settings(file: &str, place: &str, new: &Value) -> Result<CheckpointSettings> {
    let mut files = checkpoint("mllama");
    let mut value: Value = serde_json::from_slice(&files.0[file]).expect("JSON");
    let (parent, key) = place.rsplit_once('/').expect("a place");
    value.pointer_mut(parent).expect("an object")[key] = new.clone();
    files.0.insert(file.into(), value.to_string().into_bytes().into());
    pollster::block_on(read_settings(&files))
}

fn model(settings: CheckpointSettings) -> Config {
    let ModelConfig::Mllama(config) = settings.config else { panic!("another family") };
    config
}

#[test]
fn settings_of_a_checkpoint_are_read() {
    let read = settings("config.json", "/transformers_version", &json!("5.23.0")).expect("settings");
    assert_eq!((read.chat.template.as_str(), read.chat.template_is_assumed), ("llama3_vision", false));
    assert_eq!((read.chat.bos_token_id, &read.chat.eos_token_ids[..]), (Some(320), &[321, 325, 326][..]));
    let Config { text, vision } = model(read);
    assert_eq!(text.cross, Some(CrossConfig { image_token_id: 328, extra_tokens: 8, picture_rows: 68 }));
    let cross = |index: &usize| text.layers[*index] == LayerKind::CrossAttention;
    assert_eq!((0..text.layers.len()).filter(cross).collect::<Vec<_>>(), [1, 3]);
    let vision = vision.expect("a tower");
    assert_eq!((vision.tile_size, vision.max_num_tiles, &vision.intermediate_layers[..]), (56, 4, &[1, 3][..]));
}

#[test]
fn unsupported_settings_are_refused_by_name() {
    let config = [
        ("/text_config/cross_attention_layers", json!([5]), "cross_attention_layers"),
        ("/text_config/cross_attention_layers", json!([0]), "cross-attention"),
        ("/text_config/tie_word_embeddings", json!(true), "tie_word_embeddings"),
        ("/text_config/hidden_size", json!(96), "hidden_size"),
        ("/text_config/rope_parameters/rope_type", json!("yarn"), "rope_type"),
        ("/vision_config/hidden_act", json!("silu"), "hidden_act"),
        ("/vision_config/num_channels", json!(1), "num_channels"),
        ("/vision_config/intermediate_layers_indices", json!([3, 1]), "intermediate_layers_indices"),
        ("/vision_config/intermediate_layers_indices", json!([1, 4]), "intermediate_layers_indices"),
        ("/vision_config/vision_output_dim", json!(640), "vision_output_dim"),
        ("/vision_config/max_num_tiles", json!(5), "max_image_tiles"),
        ("/vision_config/image_size", json!(60), "size"),
        ("/vision_config/patch_size", json!(0), "patch"),
        ("/vision_config/attention_heads", json!(0), "attention_heads"),
        ("/vision_config/num_global_layers", json!(0), "num_global_layers"),
        ("/image_token_index", json!(336), "picture token"),
        ("/image_token_index", json!(null), "image_token_index"),
    ];
    let processor = [
        ("/resample", json!(3), "resample"),
        ("/do_pad", json!(false), "do_pad"),
        ("/size", json!({ "height": 28, "width": 28 }), "size"),
    ];
    let named = |file: &'static str| move |(place, new, named)| (file, place, new, named);
    let all = config.map(named("config.json")).into_iter().chain(processor.map(named("preprocessor_config.json")));
    for (file, place, new, named) in all {
        let error = settings(file, place, &new).expect_err(place);
        assert!(error.to_string().contains(named), "{place} = {new}: {error}");
    }
}

/// The exact number of parameters on the hub; gates are included in their matrices.
#[test]
fn the_11b_has_as_many_weights_as_published() {
    let config = published("llama-3.2-11b-vision").expect("a shape");
    let gates = 8 * 2 + 8 * 2 + 3;
    assert_eq!(definition(&config).tensors().map(|spec| spec.len()).sum::<u64>() + gates, 10_670_220_835);
    let text = |spec: &TensorSpec| spec.role.is_text();
    let text = definition(&config).tensors().filter(text).map(|spec| spec.len()).sum::<u64>();
    assert_eq!(text + 8 * 2, 9_775_192_080);
}

#[test]
fn a_picture_stands_where_it_is_and_text_stays_as_it_is() {
    let config = published("llama-3.2-11b-vision").expect("a shape");
    let layout = definition(&config).chat_layout("llama3_vision").expect("a layout");
    let content = vec![ContentPart::Image(0), ContentPart::Text(" What is this? ".into())];
    let messages = [Message { role: Role::User, content }];
    let header = |role: &'static str| {
        [
            Segment::Control("<|start_header_id|>"),
            Segment::Text(role.into()),
            Segment::Control("<|end_header_id|>"),
            Segment::Text("\n\n".into()),
        ]
    };
    let mut expected = vec![Segment::Start];
    expected.extend(header("user"));
    expected.extend([Segment::Image(0), Segment::Text(" What is this? ".into()), Segment::Control("<|eot_id|>")]);
    expected.extend(header("assistant"));
    assert_eq!((layout.segments)(&messages, None).expect("segments"), expected);
    let said = [Message { role: Role::Assistant, content: vec![ContentPart::Image(0)] }];
    assert!((layout.segments)(&said, None).is_err(), "only users show pictures");
}
