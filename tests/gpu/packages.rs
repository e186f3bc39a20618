//! Fixture checkpoints as loaded engines, all in memory.

use crate::device;
use crate::memory_files::MemoryFiles;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ocelli::Result;
use ocelli::config::KvPrecision;
use ocelli::engine::{Engine, LoadEvent, LoadOptions};
use ocelli::families::{ModelConfig, TensorSpec, definition};
use ocelli::gpu::Gpu;
use ocelli::import::ImportOptions;
use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::hf::import;
use ocelli::import::layouts::Layouts;
use ocelli::layers::TextRows;
use ocelli::layout::Layout;
use ocelli::layout::quant::encode_rows;
use ocelli::model::Model;
use ocelli::package::Package;
use ocelli::package::manifest::{MANIFEST_FILE, Manifest, TOKENIZER_FILE};
use ocelli::package::source::Directory;
use ocelli::package::upload::{Selection, Uploader};
use ocelli::package::writer::{PackageSink, PackageWriter};

/// The folder of the GGUF files, next to those of the checkpoints.
pub(crate) const GGUF: &str = "../gguf";

/// The files of a package by name.
pub(crate) type Contents = BTreeMap<String, Vec<u8>>;
/// The files of a package that is being written.
pub(crate) type Files = Arc<Mutex<Contents>>;

struct MemorySink(Files);

impl PackageSink for MemorySink {
    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        self.0.lock().unwrap().insert(file.to_owned(), bytes);
        Ok(())
    }

    async fn publish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The folder of a fixture checkpoint.
pub(crate) fn folder(checkpoint: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/checkpoints").join(checkpoint)
}

/// Packs a fixture checkpoint, once in this process.
pub(crate) async fn pack(checkpoint: &str, layout: Layout) -> Contents {
    static PACKED: Mutex<BTreeMap<(String, Layout), Contents>> = Mutex::new(BTreeMap::new());
    let key = (checkpoint.to_owned(), layout);
    let known = PACKED.lock().unwrap().get(&key).cloned();
    match known {
        Some(contents) => contents,
        None => {
            let contents = pack_directory(&folder(checkpoint), layout).await;
            PACKED.lock().unwrap().entry(key).or_insert(contents).clone()
        }
    }
}

/// Packs a checkpoint into shards small enough that planes span several of them.
pub(crate) async fn pack_directory(checkpoint: &Path, layout: Layout) -> BTreeMap<String, Vec<u8>> {
    let files = Files::default();
    let writer = PackageWriter::with_shard_bytes(MemorySink(files.clone()), 100_000);
    let options = ImportOptions { name: Some("test".into()), layouts: layout.into(), ..ImportOptions::default() };
    import(&Directory(checkpoint.to_path_buf()), writer, options, |_| ControlFlow::Continue(())).await.expect("import");
    std::mem::take(&mut *files.lock().unwrap())
}

/// Packs a fixture GGUF file together with the fixtures' vision file.
pub(crate) async fn pack_gguf(name: &str, layouts: Layouts) -> BTreeMap<String, Vec<u8>> {
    pack_gguf_pair(GGUF, name, layouts).await
}

/// Packs a GGUF file of a folder of fixtures together with its vision file.
pub(crate) async fn pack_gguf_pair(checkpoint: &str, name: &str, layouts: Layouts) -> BTreeMap<String, Vec<u8>> {
    let files = Files::default();
    let writer = PackageWriter::with_shard_bytes(MemorySink(files.clone()), 100_000);
    let names = GgufImport { text: format!("{name}.gguf"), mmproj: Some("mmproj.gguf".into()) };
    let options = ImportOptions { layouts, ..ImportOptions::default() };
    gguf::import(&Directory(folder(checkpoint)), &names, writer, options, |_| ControlFlow::Continue(()))
        .await
        .expect("import");
    std::mem::take(&mut *files.lock().unwrap())
}

/// A random model with the shape of the 3B, smaller and without a tower.
pub(crate) async fn random_package() -> BTreeMap<String, Vec<u8>> {
    let mut config = ocelli_synth::published("ministral-3-3b").expect("a shape");
    ocelli_synth::keep_vision_layers(&mut config, 0);
    let text = &mut config.text_mut();
    text.layers.truncate(4);
    (text.vocab_size, text.hidden_size, text.intermediate_size) = (1600, 192, 576);
    (text.num_attention_heads, text.num_key_value_heads, text.head_dim) = (8, 2, 32);
    let files = Files::default();
    let writer = PackageWriter::with_shard_bytes(MemorySink(files.clone()), 100_000);
    let progress = |_| ControlFlow::Continue(());
    ocelli_synth::package("random", config, Layouts::COMPACT, 1, writer, progress).await.expect("a package");
    std::mem::take(&mut *files.lock().unwrap())
}

/// Packs a decoder of this configuration without a checkpoint, in 32-bit floats: `numbers` gives each tensor. Tokenizer and chat layout are
/// those of the checkpoint `llama3`.
pub(crate) async fn pack_tensors(config: ModelConfig, numbers: impl Fn(&TensorSpec) -> Vec<f32>) -> Contents {
    let mut donor = pack("llama3", Layout::F32).await;
    let (files, specs) = (Files::default(), definition(&config).tensors().collect::<Vec<_>>());
    let mut writer = PackageWriter::with_shard_bytes(MemorySink(files.clone()), 100_000);
    for spec in &specs {
        let values = numbers(spec);
        let mut planes = vec![Vec::new()];
        match spec.shape[..] {
            [_, cols] => encode_rows(Layout::F32, cols, &values, &mut planes).expect("finite numbers"),
            _ => planes[0].extend(values.iter().flat_map(|value| value.to_le_bytes())),
        }
        writer.begin(&spec.name, &spec.shape, Layout::F32).await.expect("a tensor");
        writer.append(&mut planes).await.expect("numbers");
        writer.end().await.expect("a whole tensor");
    }
    let manifest = Manifest { config, ..Manifest::parse(&donor[MANIFEST_FILE]).expect("a manifest") };
    let tokenizer = donor.remove(TOKENIZER_FILE).expect("a tokenizer");
    writer.finish(manifest, tokenizer).await.expect("a package");
    std::mem::take(&mut *files.lock().unwrap())
}

/// Loads a package.
pub(crate) async fn load(files: &BTreeMap<String, Vec<u8>>, context: usize) -> Engine {
    load_on(device::gpu(), files, context, None).await
}

/// Loads a package with a cache of this precision.
pub(crate) async fn load_kv(files: &BTreeMap<String, Vec<u8>>, context: usize, kv: KvPrecision) -> Engine {
    load_on(device::gpu(), files, context, Some(kv)).await
}

/// Loads a package on a device.
pub(crate) async fn load_on(
    gpu: &Gpu,
    files: &BTreeMap<String, Vec<u8>>,
    context: usize,
    kv_precision: Option<KvPrecision>,
) -> Engine {
    let options = LoadOptions { context: Some(context), kv_precision, ..LoadOptions::new(|| 0.0) };
    try_load(gpu, files, options).await.expect("load")
}

/// Loads a package on a device, or returns the error.
pub(crate) async fn try_load(gpu: &Gpu, files: &BTreeMap<String, Vec<u8>>, options: LoadOptions) -> Result<Engine> {
    load_telling(gpu, files, options, &mut |_| ()).await
}

/// Loads a package on a device and tells its progress, or returns the error.
pub(crate) async fn load_telling(
    gpu: &Gpu,
    files: &BTreeMap<String, Vec<u8>>,
    options: LoadOptions,
    on_event: &mut dyn FnMut(LoadEvent),
) -> Result<Engine> {
    let in_memory = files.iter().map(|(name, bytes)| (name.clone(), bytes.clone().into())).collect();
    let package = Package::open(MemoryFiles(in_memory)).await?;
    let (manifest, tokenizer) = (&files[MANIFEST_FILE], &files[TOKENIZER_FILE]);
    Engine::load(gpu, manifest, tokenizer, Box::new(package), options, on_event).await
}

/// The decoder of a package, for conversations of `context` entries.
pub(crate) fn decoder(gpu: &Gpu, files: &Contents, context: (usize, KvPrecision)) -> Model {
    let manifest = Manifest::parse(&files[MANIFEST_FILE]).expect("a manifest");
    let mut uploader = Uploader::new(gpu, &manifest);
    uploader.select(&manifest, &Selection::text(&manifest)).expect("room for the weights");
    for (index, shard) in manifest.shards.iter().enumerate() {
        uploader.push_shard(&manifest, index, &files[&shard.file]).expect("a shard");
    }
    let mut weights = uploader.finish(&manifest).expect("weights");
    let decoder = definition(&manifest.config).decoder(&mut weights).expect("a decoder");
    Model::new(gpu, decoder, TextRows { prompt: 256, head: 8, step: 8 }, context)
}

/// A fixture checkpoint, packed and loaded.
pub(crate) async fn engine(checkpoint: &str, layout: Layout) -> Engine {
    load(&pack(checkpoint, layout).await, 1024).await
}
