//! Settings of Qwen's checkpoints, refused settings, and the layout of Qwen3.5's conversations.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use ocelli::chat::layout::Segment;
use ocelli::chat::{ChatTemplate, ContentPart, Message, Role};
use ocelli::config::{DeltaConfig, LayerKind, RopePairs};
use ocelli::families::qwen3_vl::Config;
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::import::ImportOptions;
use ocelli::import::gguf::{GgufImport, import};
use ocelli::import::hf::{CheckpointSettings, read_settings};
use ocelli::import::layouts::Layouts;
use ocelli::layout::Layout;
use ocelli::package::Package;
use ocelli::package::source::Directory;
use ocelli::package::writer::PackageWriter;
use ocelli::sampling::SamplingDefaults;
use ocelli::{Error, Result};
use ocelli_synth::published;
use ocelli_synth::{FileType, GgufFile};
use serde_json::{Value, json};

use crate::common::{MemoryFiles, MemorySink, checkpoint, checkpoint_dir, read_values};

/// The fixture's settings with a file changed at these places.
fn settings(file: &str, changes: &[(&str, Value)]) -> Result<CheckpointSettings> {
    settings_of("qwen3_vl", file, changes)
}

fn settings_of(name: &str, file: &str, changes: &[(&str, Value)]) -> Result<CheckpointSettings> {
    let mut files = checkpoint(name);
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
fn settings_of_a_checkpoint_are_read() {
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
fn unsupported_settings_are_refused_by_name() {
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

#[test]
fn settings_of_a_recurrent_checkpoint_are_read() {
    let read = pollster::block_on(read_settings(&Directory(checkpoint_dir("qwen3_5")))).expect("settings");
    assert_eq!((read.chat.template.as_str(), read.chat.template_is_assumed), ("qwen3.5", false));
    assert_eq!((read.chat.bos_token_id, &read.chat.eos_token_ids[..]), (None, &[702][..]));
    let card = SamplingDefaults { presence_penalty: Some(1.5), top_k: Some(20), ..read.chat.sampling };
    assert_eq!((read.chat.sampling, card.temperature, card.top_p), (card, Some(0.7), Some(0.8)));
    let text = read.config.text();
    assert_eq!(text.delta, Some(DeltaConfig { key_heads: 2, value_heads: 4, head_dim: 32, tiled: false }));
    assert_eq!(text.layers[..2], [LayerKind::DeltaNet, LayerKind::FullAttention]);
    assert_eq!((text.rope.pairs, text.rope.sections), (RopePairs::First(8), Some([2, 1, 1])));
    assert!(text.output_gate && text.head_norms && text.tie_word_embeddings);
}

#[test]
fn unsupported_settings_of_recurrent_models_are_refused_by_name() {
    for (place, value, word) in [
        ("/text_config/attn_output_gate", json!(false), "attn_output_gate"),
        ("/text_config/linear_conv_kernel_dim", json!(3), "linear_conv_kernel_dim"),
        ("/text_config/linear_value_head_dim", json!(64), "linear_value_head_dim"),
        ("/text_config/linear_num_value_heads", json!(3), "value heads"),
        ("/text_config/linear_key_head_dim", json!(0), "linear"),
        ("/text_config/layer_types", json!(["linear_attention"]), "layer_types"),
        ("/text_config/layer_types", json!(vec!["sliding_attention"; 6]), "sliding_attention"),
        ("/text_config/layer_types", json!(vec!["linear_attention"; 6]), "attends"),
        ("/text_config/rope_parameters/mrope_section", json!([3, 3, 2]), "sections"),
        ("/text_config/rope_parameters/partial_rotary_factor", json!(1.5), "partial_rotary_factor"),
    ] {
        let error = settings_of("qwen3_5", "config.json", &[(place, value.clone())]).map(drop).expect_err(place);
        assert!(matches!(error, Error::UnsupportedArchitecture { .. } | Error::InvalidCheckpoint { .. }), "{error}");
        assert!(error.to_string().contains(word), "{place} = {value}: {error}");
    }
}

fn flat(messages: &[Message]) -> Result<String> {
    let settings = pollster::block_on(read_settings(&Directory(checkpoint_dir("qwen3_5")))).expect("settings");
    let layout = definition(&settings.config).chat_layout(&settings.chat.template)?;
    let one = |segment: &Segment<'_>| match segment {
        Segment::Start => "<start>".to_owned(),
        Segment::Control(name) => (*name).to_owned(),
        Segment::Text(text) => text.to_string(),
        Segment::Image(index) => format!("<picture {index}>"),
        Segment::Branch => "|".to_owned(),
    };
    let template = ChatTemplate { layout, bos: None, default_system: None };
    Ok(template.segments(messages)?.iter().map(one).collect())
}

/// Rendered as by the models' own template, with thinking off; with a branch where a later prompt may continue differently.
#[test]
fn the_layout_is_qwen_3_5s() {
    let ask =
        |text: &str| Message { role: Role::User, content: vec![ContentPart::Image(0), ContentPart::Text(text.into())] };
    let open = "|<think>\n\n</think>\n\n";
    assert_eq!(
        flat(&[ask("What is this?\n")]).expect("segments"),
        format!("<|im_start|>user\n<picture 0>|What is this?<|im_end|>\n<|im_start|>assistant\n{open}")
    );
    let messages = [
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "Hi "),
        Message::text(Role::Assistant, "<think>\nhm\n</think>\n\nHello."),
        ask("And this?"),
    ];
    let rendered = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n\
                    <|im_start|>user\n<picture 0>|And this?<|im_end|>\n<|im_start|>assistant\n";
    assert_eq!(flat(&messages).expect("segments"), format!("{rendered}{open}"));
    let twice = [Message::text(Role::User, "Hi"), Message::text(Role::System, "Be brief.")];
    assert!(flat(&twice).expect_err("a late system message").to_string().contains("messages[1].role"));
}

/// The number of parameters on the hub, without the layer that drafts tokens.
#[test]
fn published_shapes_have_as_many_parameters_as_the_models() {
    for (name, parameters) in [
        ("qwen3-vl-2b", 2_127_532_032),
        ("qwen3-vl-4b", 4_437_815_808),
        ("qwen3-vl-8b", 8_767_123_696),
        ("qwen3.5-0.8b", 852_985_920),
        ("qwen3.5-2b", 2_213_241_664),
        ("qwen3.5-4b", 4_539_265_536),
        ("qwen3.5-9b", 9_409_813_744),
        ("qwen3.5-27b", 27_356_728_560),
    ] {
        let config = published(name).expect("a shape");
        config.validate(name).expect("a model that runs");
        // Both frames of the patches' convolution count.
        let count = |spec: TensorSpec| spec.len() * if spec.frames.is_some() { 2 } else { 1 };
        assert_eq!(definition(&config).tensors().map(count).sum::<u64>(), parameters, "{name}");
    }
}

/// Rows that are selected from a tensor are the same with kept and with decoded blocks.
#[test]
fn quantised_tensors_keep_their_bits() {
    let mut config = published("qwen3.5-4b").expect("a shape");
    ocelli_synth::keep_vision_layers(&mut config, 0);
    let text = config.text_mut();
    text.layers.truncate(4);
    (text.vocab_size, text.hidden_size, text.intermediate_size) = (1700, 256, 512);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (4, 2, 64);
    text.rope.pairs = RopePairs::First(16);
    text.rope.sections = Some([3, 3, 2]);
    text.delta = Some(DeltaConfig { key_heads: 2, value_heads: 4, head_dim: 64, tiled: true });
    for file_type in [FileType::Q4KM, FileType::Q8_0] {
        let mut bytes = Vec::new();
        let file = GgufFile::text("random", &config, file_type).expect("a file");
        file.write("text.gguf", 5, &mut bytes, |_| ()).expect("a file");
        let files = MemoryFiles(BTreeMap::from([("text.gguf".into(), bytes.into())]));
        let pack = |layouts: Layouts| {
            let (sink, options) = (MemorySink::default(), ImportOptions { layouts, ..ImportOptions::default() });
            let names = GgufImport { text: "text.gguf".into(), mmproj: None };
            let writer = PackageWriter::new(sink.clone());
            let manifest = pollster::block_on(import(&files, &names, writer, options, |_| ControlFlow::Continue(())));
            let packed = MemoryFiles(sink.files.lock().expect("no panic").clone());
            (manifest.expect("a package"), pollster::block_on(Package::open(packed)).expect("a package"))
        };
        let ((kept, blocks), (_, floats)) = (pack(Layouts::default()), pack(Layout::F32.into()));
        assert_eq!(kept.config, config);
        assert!(kept.tensor("layers.3.self_attn.gate_proj").expect("gates").layout.is_quantised());
        for tensor in &kept.tensors {
            let (found, read) = (read_values(&blocks, &tensor.name), read_values(&floats, &tensor.name));
            assert!(found == read && found.iter().all(|x| x.is_finite()), "{} as {}", tensor.name, tensor.layout);
        }
        assert!(read_values(&floats, "layers.0.linear_attn.rate").iter().all(|&rate| rate < 0.0));
    }
}

#[test]
fn checkpoints_that_pool_the_last_token_are_embedding_models() {
    let read = |modules: &Value, pooling: Option<Value>| {
        let mut files = checkpoint("qwen3_vl");
        files.0.insert("modules.json".into(), modules.to_string().into_bytes().into());
        if let Some(pooling) = pooling {
            files.0.insert("1_Pooling/config.json".into(), pooling.to_string().into_bytes().into());
        }
        pollster::block_on(read_settings(&files)).map(|settings| settings.chat.embedding)
    };
    let modules = json!([
        {"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]);
    for pooling in [None, Some(json!({"pooling_mode_lasttoken": true})), Some(json!({"pooling_mode": "lasttoken"}))] {
        let embedding = read(&modules, pooling).expect("settings").expect("an embedding model");
        assert_eq!(
            (embedding.instruction.as_str(), embedding.least_dimensions),
            ("Represent the user's input.", Some(64))
        );
    }
    assert_eq!(read(&json!([]), None).expect("settings"), None);
    for other in
        [json!({"pooling_mode_lasttoken": false, "pooling_mode_mean_tokens": true}), json!({"pooling_mode": "mean"})]
    {
        let error = read(&modules, Some(other)).expect_err("another pooling");
        assert!(error.to_string().contains("1_Pooling/config.json"), "{error}");
    }
}
