//! Random models of the published shapes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;

use ocelli::chat::Tokenizer;
use ocelli::config::LayerKind;
use ocelli::families::mistral3::{Config, VisionConfig};
use ocelli::families::{ModelConfig, definition};
use ocelli::import::ImportOptions;
use ocelli::import::gguf::{GgufImport, import};
use ocelli::import::layouts::{Layouts, Target};
use ocelli::layout::Layout;
use ocelli::package::Package;
use ocelli::package::manifest::Manifest;
use ocelli::package::writer::PackageWriter;
use ocelli_synth::{FileType, GgufFile, package};
use ocelli_synth::{published, published_names};
use serde_json::Value;

use super::command::{ocelli, text};
use super::common::{MemorySink, Scratch, read_values};
use crate::common::MemoryFiles;

/// A published model with its full sizes but a small vocabulary.
fn small(shape: &str, vocab_size: usize) -> ModelConfig {
    let mut config = published(shape).expect("a shape");
    let text = config.text_mut();
    (text.vocab_size, text.hidden_size, text.intermediate_size) = (vocab_size, 256, 512);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (4, 2, 64);
    text.layers = vec![LayerKind::FullAttention; 9];
    let vision = tower(&mut config);
    (vision.hidden_size, vision.intermediate_size, vision.num_hidden_layers) = (128, 256, 2);
    (vision.num_attention_heads, vision.head_dim) = (2, 64);
    config
}

fn tower(config: &mut ModelConfig) -> &mut VisionConfig {
    let ModelConfig::Mistral3(Config { vision: Some(vision), .. }) = config else { panic!("no tower") };
    vision
}

fn random_package(config: ModelConfig, layouts: Layouts, seed: u64) -> (Manifest, MemoryFiles) {
    let sink = MemorySink::default();
    let writer = PackageWriter::with_shard_bytes(sink.clone(), 1 << 20);
    let progress = |_| ControlFlow::Continue(());
    let manifest = pollster::block_on(package("random", config, layouts, seed, writer, progress)).expect("a package");
    let files = sink.files.lock().expect("no panic").clone();
    (manifest, MemoryFiles(files))
}

/// Every matrix keeps outputs as large as inputs, every vector is about 1, all numbers are finite.
fn assert_sane(manifest: &Manifest, files: MemoryFiles) {
    let package = pollster::block_on(Package::open(files)).expect("a package");
    for tensor in &manifest.tensors {
        let values = read_values(&package, &tensor.name);
        let count = values.len() as f64;
        let mean = values.iter().map(|&x| f64::from(x)).sum::<f64>() / count;
        let size = (values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / count).sqrt();
        let (expected, center) = match tensor.shape.as_slice() {
            &[_, cols] => ((cols as f64).powf(-0.5), 0.0),
            _ => (1.0, 1.0),
        };
        assert!((size / expected - 1.0).abs() < 0.1, "{} {}: {size}, not {expected}", tensor.name, tensor.layout);
        assert!((mean - center).abs() < 0.05, "{} {}: mean {mean}", tensor.name, tensor.layout);
    }
}

#[test]
fn published_files_have_their_size_to_the_byte() {
    use FileType::{Bf16, Q4KM, Q5KM, Q8_0};
    // Listed sizes of the published files, less the bytes outside tensors, which are the same in every file of a model.
    let text = [
        ("ministral-3-3b", Q4KM, 2_147_023_008 - 8_407_200),
        ("ministral-3-3b", Q8_0, 3_652_204_704 - 8_407_200),
        ("ministral-3-8b", Q5KM, 6_059_268_512 - 8_411_552),
        ("ministral-3-8b", Bf16, 16_988_084_640 - 8_411_552),
        ("ministral-3-14b", Q4KM, 8_239_593_024 - 8_414_784),
    ];
    for (shape, file_type, bytes) in text {
        let file = GgufFile::text("random", &published(shape).expect("a shape"), file_type).expect("a file");
        assert_eq!(file.data_bytes(), bytes, "{} {}", shape, file_type.name());
    }
    let mmproj = [("ministral-3-3b", 841_501_856), ("ministral-3-8b", 858_283_168), ("ministral-3-14b", 879_258_784)];
    for (shape, bytes) in mmproj {
        let file =
            GgufFile::mmproj("random", &published(shape).expect("a shape")).expect("a file").expect("mmproj_file");
        assert_eq!(file.data_bytes(), bytes - 15_520, "{}", shape);
    }
    // Numbers of weights on the hub; computed for the 24B.
    let weights = [3_849_090_048, 8_918_026_240, 13_945_031_680, 24_011_361_280];
    for (shape, count) in published_names().zip(weights) {
        let sum: u64 = definition(&published(shape).expect("a shape")).tensors().map(|spec| spec.len()).sum();
        assert_eq!(sum, count, "{}", shape);
    }
}

#[test]
fn packages_are_sane_and_equal_for_equal_seeds() {
    let config = small("ministral-3-8b", 2000);
    let plain = Layout::from_numbers().map(Layouts::from);
    let tower = Layouts { vision: Target::Floats(Layout::Q8_0), ..Layouts::COMPACT };
    for layouts in plain.chain([Layouts::COMPACT, tower]) {
        let (manifest, files) = random_package(config.clone(), layouts, 3);
        assert_eq!(manifest.config, config);
        assert_eq!(files.0, random_package(config.clone(), layouts, 3).1.0);
        assert_ne!(files.0["shard-0000.bin"], random_package(config.clone(), layouts, 4).1.0["shard-0000.bin"]);
        assert_sane(&manifest, files);
    }
}

#[test]
fn gguf_files_keep_their_layouts() {
    for (shape, file_type) in [
        ("ministral-3-3b", FileType::Q4KM),
        ("ministral-3-14b", FileType::Q5KM),
        ("mistral-small-3.1-24b", FileType::Q8_0),
        ("ministral-3-8b", FileType::Q4_0),
        ("ministral-3-8b", FileType::Bf16),
    ] {
        let config = small(shape, 1700);
        let (mut text, mut mmproj) = (Vec::new(), Vec::new());
        let file = GgufFile::text("random", &config, file_type).expect("a file");
        file.write("text.gguf", 1, &mut text, |_| ()).expect("a file");
        let mmproj_file = GgufFile::mmproj("random", &config).expect("a file").expect("mmproj_file");
        mmproj_file.write("mmproj.gguf", 2, &mut mmproj, |_| ()).expect("a file");
        let files = [("text.gguf", text), ("mmproj.gguf", mmproj)].map(|(name, bytes)| (name.into(), bytes.into()));
        let names = GgufImport { text: "text.gguf".into(), mmproj: Some("mmproj.gguf".into()) };
        let sink = MemorySink::default();
        let writer = PackageWriter::new(sink.clone());
        let files = MemoryFiles(BTreeMap::from(files));
        let progress = |_| ControlFlow::Continue(());
        let manifest = pollster::block_on(import(&files, &names, writer, ImportOptions::default(), progress));
        let manifest = manifest.expect("a package");

        let mut expected = config.clone();
        if let Some(scaling) = &mut expected.text_mut().query_scaling {
            scaling.beta = f64::from(scaling.beta as f32);
        }
        tower(&mut expected).rms_norm_eps = 1e-5;
        assert_eq!(manifest.config, expected);
        let stored = |name: &str| manifest.tensor(name).expect(name).layout;
        let (most, finer) = match file_type {
            FileType::Q4KM => (Layout::Q4K, Layout::Q6K),
            FileType::Q5KM => (Layout::Q5K, Layout::Q6K),
            FileType::Q4_0 => (Layout::Q4_0, Layout::Q4_0),
            FileType::Q8_0 => (Layout::Q8_0, Layout::Q8_0),
            FileType::Bf16 => (Layout::F16, Layout::F16),
        };
        assert_eq!((stored("layers.0.self_attn.v_proj"), stored("layers.1.self_attn.v_proj")), (finer, most));
        assert_eq!((stored("layers.0.self_attn.q_proj"), manifest.quantization), (most, most));
        let head = if config.text().tie_word_embeddings { "embed_tokens" } else { "lm_head" };
        assert_eq!(stored(head), finer);

        let packed = sink.files.lock().expect("no panic").clone();
        let (_, made) = random_package(config, Layout::Q8_0.into(), 1);
        assert_eq!(packed["tokenizer.json"], made.0["tokenizer.json"], "one vocabulary");
        assert_sane(&manifest, MemoryFiles(packed));
    }
}

#[test]
fn the_tokenizer_has_the_real_size_and_works() {
    let mut config = small("ministral-3-3b", 131_072);
    config.text_mut().hidden_size = 32;
    ocelli_synth::keep_vision_layers(&mut config, 0);
    let (_, files) = random_package(config, Layout::Q8_0.into(), 0);
    let tokenizer = Tokenizer::from_json(&files.0["tokenizer.json"]).expect("a tokenizer");
    assert_eq!(tokenizer.vocab_size(), 131_072);
    for (name, id) in [
        ("<s>", 1),
        ("</s>", 2),
        ("[INST]", 3),
        ("[IMG]", 10),
        ("<pad>", 11),
        ("[IMG_END]", 13),
        ("[SYSTEM_PROMPT]", 17),
    ] {
        assert_eq!(tokenizer.control(name), Some(id), "{name}");
    }
    assert!(tokenizer.is_control(999) && !tokenizer.is_control(1000));
    assert_eq!(tokenizer.token_bytes(1010), Some(&b"\n"[..]));
    for text in ["Describe this image.", " kanota milu besi", "Grüße, 你好 🙂\n\tx", ""] {
        let ids = tokenizer.encode_text(text).expect("ids");
        assert_eq!(tokenizer.decode(&ids), text);
        assert!(ids.iter().all(|&id| id >= 1000), "{ids:?}");
    }
    let last = tokenizer.decode(&[131_071]);
    assert!(last.len() == 7 && last.starts_with(' '), "{last:?}");
    assert_eq!(tokenizer.encode_text(&last).expect("ids"), [131_071], "made-up words are tokens");
}

/// `ocelli synth` and `ocelli bench` as a user runs them.
#[test]
fn the_largest_vocabulary_is_filled() {
    let largest = published_names().filter_map(published).map(|config| config.text().vocab_size).max().expect("shapes");
    assert!(largest > 200_000, "{largest}");
    let mut config = small("ministral-3-3b", largest);
    config.text_mut().hidden_size = 32;
    ocelli_synth::keep_vision_layers(&mut config, 0);
    let (_, files) = random_package(config, Layout::Q4_0.into(), 0);
    let tokenizer = Tokenizer::from_json(&files.0["tokenizer.json"]).expect("a tokenizer");
    assert_eq!(tokenizer.vocab_size(), largest);
}

#[test]
fn a_shape_from_a_file_is_made_and_timed() {
    let scratch = Scratch::new();
    let [shape, package, figures] = ["small.json", "package", "figures.json"].map(|name| scratch.0.join(name));
    let config = small("ministral-3-3b", 1400);
    std::fs::write(&shape, serde_json::to_vec(&config).expect("JSON")).expect("a file");
    let made = ocelli(&[&"synth", &"--shape", &shape, &"--out", &package]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let manifest = Manifest::parse(&std::fs::read(package.join("model.json")).expect("a file")).expect("a manifest");
    assert_eq!((manifest.name.as_str(), manifest.config), ("synth-small", config));

    let sizes: [&dyn AsRef<Path>; 10] =
        [&"--decode", &"8,40", &"--prefill", &"20", &"--pictures", &"56", &"--tokens", &"3", &"--rounds", &"2"];
    let bench: [&dyn AsRef<Path>; 4] = [&"bench", &package, &"--json", &figures];
    let timed = ocelli(&[bench.as_slice(), sizes.as_slice()].concat());
    assert!(timed.status.success(), "{}", text(&timed.stderr));
    let report: Value = serde_json::from_slice(&std::fs::read(&figures).expect("a file")).expect("JSON");
    let measures = report["measures"].as_array().expect("measures");
    let rows: Vec<(&str, u64)> =
        measures.iter().filter_map(|row| Some((row["what"].as_str()?, row["size"].as_u64()?))).collect();
    let picture = ("picture_to_first_token", rows.last().map_or(0, |row| row.1));
    let (start, end) = ([("first_token", 64), ("prompt", 64), ("prompt", 20)], [("picture", 56), picture]);
    let decode = |size| ["decode", "drafts_of3", "drafts_of7"].map(|what| (what, size));
    assert_eq!(rows, [start.as_slice(), &decode(8), &decode(40), &end].concat());
    assert!(picture.1 > 4, "2 x 2 picture tokens and what is around them: {rows:?}");
    for row in measures {
        assert!(row["medianMs"].as_f64().is_some_and(|ms| ms > 0.0), "{row}");
    }
    let lines = text(&timed.stdout);
    assert!(lines.contains("| decode | 40 |") && lines.contains("tokens/s"), "{lines}");
}

/// Passes over drafts are timed after the deepest context; no picture needs more room than that.
#[test]
fn drafts_fit_after_the_deepest_context() {
    let scratch = Scratch::new();
    let [shape, package] = ["small.json", "package"].map(|name| scratch.0.join(name));
    std::fs::write(&shape, serde_json::to_vec(&small("ministral-3-3b", 1400)).expect("JSON")).expect("a file");
    let made = ocelli(&[&"synth", &"--shape", &shape, &"--out", &package]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let sizes = ["--decode", "128", "--prefill", "64", "--pictures", "28", "--tokens", "8", "--rounds", "1"];
    let bench: [&dyn AsRef<Path>; 2] = [&"bench", &package];
    let sizes = sizes.each_ref().map(|size| size as &dyn AsRef<Path>);
    let timed = ocelli(&[bench.as_slice(), sizes.as_slice()].concat());
    assert!(timed.status.success(), "{}", text(&timed.stderr));
    assert!(text(&timed.stdout).contains("drafts of 7 right | 128 |"), "{}", text(&timed.stdout));
}

#[test]
fn shapes_that_are_none_are_refused() {
    let scratch = Scratch::new();
    let file = scratch.0.join("shape.json");
    let out = scratch.0.join("package");
    let mut odd = small("ministral-3-3b", 1400);
    odd.text_mut().head_dim = 6;
    let odd = serde_json::to_string(&odd).expect("JSON");
    for (contents, code, exit) in [("{", "invalid-request", 2), (odd.as_str(), "unsupported-architecture", 1)] {
        std::fs::write(&file, contents).expect("a file");
        let refused = ocelli(&[&"synth", &"--shape", &file, &"--out", &out]);
        assert_eq!(refused.status.code(), Some(exit));
        assert!(text(&refused.stderr).starts_with(&format!("error[{code}]")), "{}", text(&refused.stderr));
    }
    let unknown = ocelli(&[&"synth", &"--shape", &"ministral", &"--out", &out]);
    assert!(text(&unknown.stderr).contains("or ministral-3-3b,"), "{}", text(&unknown.stderr));
    assert!(!out.exists());
}

/// The shape for the comparison with other engines.
#[test]
fn the_mid_size_shape_is_sound() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/shapes/mid.json");
    let config: ModelConfig = serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("a shape");
    config.validate(file).expect("a shape");
    let weights: u64 = definition(&config).tensors().map(|spec| spec.len()).sum();
    assert_eq!(weights, 211_837_952 + 36_486_144);
}

/// Regression: Llama 3's synthetic vocabulary had no `<|end_header_id|>`, so no conversation could be asked of such a model.
#[test]
fn made_up_vocabularies_have_all_tokens_of_their_conversations() {
    for shape in published_names() {
        let config = published(shape).expect("a shape");
        let layout = definition(&config).family().chat_layouts[0];
        let names = layout.control_tokens();
        for name in layout.marks.iter().filter(|mark| mark.starts_with(['<', '['])) {
            assert!(names.contains(name), "{shape}: {name}");
        }
        if shape.starts_with("llama") {
            assert!(names.contains(&"<|end_header_id|>"), "{names:?}");
        }
        if shape.starts_with("minicpm") {
            assert!(names.contains(&"<image_id>"), "{names:?}");
        }
    }
    let (_, MemoryFiles(files)) = random_package(tiny("llama-3.2-1b"), Layout::Q4_0.into(), 3);
    let tokenizer = Tokenizer::from_json(&files["tokenizer.json"]).expect("a tokenizer");
    for name in ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"] {
        assert!(tokenizer.control(name).is_some(), "{name}");
    }
}

/// A published model without vision, with all its sizes reduced.
fn tiny(shape: &str) -> ModelConfig {
    let mut config = published(shape).expect("a shape");
    let text = config.text_mut();
    (text.vocab_size, text.hidden_size, text.intermediate_size) = (5000, 256, 512);
    (text.num_attention_heads, text.num_key_value_heads) = (4, 2);
    text.layers.truncate(1);
    config
}
