//! Checkpoints: GGUF and safetensors, from the first byte to the last shard.

use std::ops::ControlFlow;

use ocelli::Result;
use ocelli::families::definition;
use ocelli::import::ImportOptions;
use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::hf::{self, read_settings};
use ocelli::import::layouts::{Layouts, Target};
use ocelli::layout::Layout;
use ocelli::package::manifest::Manifest;
use ocelli::package::writer::{PackageSink, PackageWriter};

use super::memory_files::MemoryFiles;
use super::tiny;

const TEXT: &str = "text.gguf";
const MMPROJ: &str = "mmproj.gguf";
/// Small, so that tensors span several shards.
const SHARD_BYTES: usize = 1024;

/// A sink that discards its input.
struct NullSink;

impl PackageSink for NullSink {
    async fn put(&mut self, _: &str, _: Vec<u8>) -> Result<()> {
        Ok(())
    }

    async fn publish(&mut self) -> Result<()> {
        Ok(())
    }
}

fn writer() -> PackageWriter<NullSink> {
    PackageWriter::with_shard_bytes(NullSink, SHARD_BYTES)
}

fn files<const N: usize>(files: [(&str, &[u8]); N]) -> MemoryFiles {
    MemoryFiles(files.into_iter().map(|(name, bytes)| (name.into(), bytes.into())).collect())
}

/// A layout that the input chooses by its length.
fn layout(bytes: &[u8]) -> Layout {
    let layouts: Vec<Layout> = Layout::from_numbers().collect();
    layouts[bytes.len() % layouts.len()]
}

fn import_gguf(files: &MemoryFiles, mmproj: Option<&str>, layouts: Layouts) -> Result<Manifest> {
    let names = GgufImport { text: TEXT.into(), mmproj: mmproj.map(String::from) };
    let options = ImportOptions { layouts, ..ImportOptions::default() };
    pollster::block_on(gguf::import(files, &names, writer(), options, |_| ControlFlow::Continue(())))
}

/// A GGUF file of a text model: header, configuration, tokenizer, all tensors.
///
/// # Errors
/// Errors of [`gguf::import`].
pub fn gguf_text(bytes: &[u8]) -> Result<()> {
    let layouts = match bytes.len() % 3 {
        0 => Layouts::default(),
        1 => layout(bytes).into(),
        _ => Layouts { text: Target::All(layout(bytes)), vision: Target::Keep },
    };
    import_gguf(&files([(TEXT, bytes)]), None, layouts).map(drop)
}

/// A GGUF file as the vision part of a valid text model.
///
/// # Errors
/// Errors of [`gguf::import`].
pub fn gguf_vision(bytes: &[u8]) -> Result<()> {
    let text = tiny::gguf_floats();
    import_gguf(&files([(TEXT, &text), (MMPROJ, bytes)]), Some(MMPROJ), layout(bytes).into()).map(drop)
}

fn import_hf(files: &MemoryFiles, layout: Layout) -> Result<Manifest> {
    let options = ImportOptions { name: Some("tiny".into()), layouts: layout.into(), ..ImportOptions::default() };
    pollster::block_on(hf::import(files, writer(), options, |_| ControlFlow::Continue(())))
}

/// A safetensors file with the weights of a valid checkpoint.
///
/// # Errors
/// Errors of [`hf::import`].
pub fn safetensors(bytes: &[u8]) -> Result<()> {
    let files = files([("config.json", tiny::HF_CONFIG), ("tokenizer.json", b"{}"), ("model.safetensors", bytes)]);
    import_hf(&files, layout(bytes)).map(drop)
}

/// A checkpoint of another family: `config.json`, a zero byte, `model.safetensors`.
///
/// # Errors
/// Errors of [`hf::import`].
pub fn checkpoint(bytes: &[u8]) -> Result<()> {
    let mut halves = bytes.splitn(2, |&byte| byte == 0);
    let [config, weights] = [halves.next().unwrap_or_default(), halves.next().unwrap_or_default()];
    let files = files([("config.json", config), ("tokenizer.json", b"{}"), ("model.safetensors", weights)]);
    import_hf(&files, layout(bytes)).map(drop)
}

/// Configurations and weights of small models with further layers than plain decoders.
///
/// # Panics
/// If a configuration is refused.
pub fn tiny_checkpoints() -> [[Vec<u8>; 2]; 2] {
    [tiny::MLLAMA_CONFIG, tiny::QWEN3_5_CONFIG].map(|config| [config.to_vec(), zeros(config)])
}

/// A checkpoint of zeros with all tensors that are read.
fn zeros(config: &[u8]) -> Vec<u8> {
    let config = files([("config.json", config), ("tokenizer.json", b"{}")]);
    let config = pollster::block_on(read_settings(&config)).expect("a good file").config;
    let mut tensors: Vec<tiny::Tensor> = Vec::new();
    for spec in definition(&config).tensors() {
        let gates = spec.gate.iter().map(|gate| (&gate.hf[0], vec![1]));
        let shape = spec.checkpoint_shape.as_ref().unwrap_or(&spec.shape).clone();
        for (name, shape) in gates.chain([(&spec.hf[0], shape)]) {
            // Several tensors may be parts of one.
            if tensors.iter().all(|(known, ..)| known != name) {
                tensors.push((name.clone(), "BF16", shape));
            }
        }
    }
    tiny::safetensors(&tensors)
}

/// `model.safetensors.index.json` of a valid checkpoint in two files.
///
/// # Errors
/// Errors of [`hf::import`].
pub fn safetensors_index(bytes: &[u8]) -> Result<()> {
    let [first, second] = tiny::safetensors_halves();
    let files = files([
        ("config.json", tiny::HF_CONFIG),
        ("tokenizer.json", b"{}"),
        ("model.safetensors.index.json", bytes),
        ("first.safetensors", &first),
        ("second.safetensors", &second),
    ]);
    import_hf(&files, layout(bytes)).map(drop)
}

/// The small files of a checkpoint, separated by zero bytes: `config.json`, `tokenizer.json`, `generation_config.json`,
/// `processor_config.json`, `SYSTEM_PROMPT.txt`.
///
/// # Errors
/// Errors of [`read_settings`].
pub fn hf_settings(bytes: &[u8]) -> Result<()> {
    let names =
        ["config.json", "tokenizer.json", "generation_config.json", "processor_config.json", "SYSTEM_PROMPT.txt"];
    let given = names.into_iter().zip(bytes.split(|&byte| byte == 0));
    let files = MemoryFiles(given.map(|(name, bytes)| (name.into(), bytes.into())).collect());
    let settings = pollster::block_on(read_settings(&files))?;
    settings.config.validate("config.json")?;
    super::package::derive(&settings.config);
    Ok(())
}

/// The manifests of a text model and of a vision model.
///
/// # Panics
/// If a valid file is refused.
pub fn tiny_manifests() -> [Vec<u8>; 2] {
    let text = import_gguf(&files([(TEXT, &tiny::gguf_blocks())]), None, Layouts::COMPACT);
    let both = files([(TEXT, &tiny::gguf_k_quants()), (MMPROJ, &tiny::gguf_vision_half())]);
    let vision = import_gguf(&both, Some(MMPROJ), Layout::Q8_0.into());
    [text, vision].map(|manifest| manifest.and_then(|manifest| manifest.to_json()).expect("a good file"))
}
