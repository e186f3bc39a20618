//! GGUF files to a package, tensor by tensor.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::model::GgufModel;
use super::tokenizer::{chat_settings, reader, tokenizer_json, tokens};
use crate::chat::EmbeddingSettings;
use crate::checkpoint::gguf::files::GgufFiles;
use crate::checkpoint::gguf::metadata::Metadata;
use crate::config::MAX_HEAD_DIM;
use crate::error::{Error, Result};
use crate::families::readers::GgufReader;
use crate::families::tensor_spec::Stored;
use crate::families::{Definition, ModelConfig, TensorSpec, definition};
use crate::import::convert::{ImportOptions, Piece, Progress, convert, main_layout};
use crate::import::fingerprint::Fingerprint;
use crate::import::tensors::TensorRef;
use crate::package::manifest::{ChatSettings, Manifest};
use crate::package::source::{ByteSource, FileSet};
use crate::package::writer::{PackageSink, PackageWriter};

const EMBEDDING: &str = "token_embd.weight";
const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// The files to import.
#[derive(Debug, Clone)]
pub struct GgufImport {
    /// File name of the text model; of a split one, the first part.
    pub text: String,
    /// File name of the vision half; without it the model has no vision tower.
    pub mmproj: Option<String>,
}

/// Turns GGUF files into a package in `writer`, some megabytes at a time, reading each file from front to back. `progress` is
/// called every few megabytes and may stop the work, which resumes there later if `writer`'s sink is resumable.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`], [`Error::Io`]; [`Error::Aborted`]
/// if `progress` breaks.
pub async fn import<F: FileSet, K: PackageSink>(
    files: &F,
    import: &GgufImport,
    mut writer: PackageWriter<K>,
    options: ImportOptions,
    progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<Manifest> {
    let text = GgufModel::open(files, &import.text).await?;
    let vision = match &import.mmproj {
        Some(name) => Some(GgufModel::open(files, name).await?),
        None => None,
    };
    let divisors = rope_divisors(&text).await?;
    let (info, tokenizer, pieces) = describe(&text, vision.as_ref(), divisors, import, &options)?;
    let mut fingerprint = Fingerprint::new("gguf");
    fingerprint.add((&info, &options));
    fingerprint.add(&tokenizer);
    for model in [&text].into_iter().chain(&vision) {
        model.tensors.add_to(&mut fingerprint);
    }
    writer.resume(fingerprint.finish()).await?;
    convert(&pieces, &mut writer, progress).await?;
    writer.finish(info, tokenizer).await
}

/// The contents of the headers: the manifest without tensors and files, `tokenizer.json`, and the tensors in the order of the files.
fn describe<'a, S: ByteSource>(
    text: &'a GgufModel<S>,
    vision: Option<&'a GgufModel<S>>,
    rope_divisors: Option<Vec<f32>>,
    import: &GgufImport,
    options: &ImportOptions,
) -> Result<(Manifest, Vec<u8>, Vec<Piece<'a, S>>)> {
    let (family, reader) = reader(&text.metadata, vision.map(|model| &model.metadata))?;
    let config = model_config(reader, text, vision, rope_divisors)?;
    let tokenizer = tokenizer_json(&text.metadata)?;
    let chat = ChatSettings {
        embedding: embedding(&text.metadata, &config)?,
        ..chat_settings(&text.metadata, config.text().vocab_size, family)?
    };
    let mut pieces = Vec::new();
    for spec in definition(&config).tensors() {
        let tensor = find(text, vision, &spec)?;
        let layout = options.layouts.of(&spec, tensor.held());
        pieces.push(Piece { tensor, spec, layout });
    }
    let names =
        pieces.iter().flat_map(|Piece { tensor, .. }| [Some(tensor.name), tensor.second.as_ref().map(|t| t.name)]);
    refuse_unknown(text, vision, names.flatten(), definition(&config))?;
    // The tower comes first, because it runs first. Each file is read from front to back.
    pieces.sort_by_key(|piece| (piece.spec.role.is_text(), piece.tensor.place()));
    let quantization = main_layout(pieces.iter().map(|piece| (&piece.spec, piece.layout)));
    let own = |key: &str| text.metadata.get(key).map(|text: Option<&str>| text.map(String::from));
    let name = options.name.clone().or(own("general.name")?).unwrap_or_else(|| file_stem(&import.text));
    let license = options.license.clone().or(own("general.license")?);
    let source = options.source.clone().or(own("general.source.url")?);
    Ok((Manifest { license, source, ..Manifest::draft(name, quantization, config, chat) }, tokenizer, pieces))
}

/// Prompts of a model that pools hidden states, by the key that llama.cpp's converter writes for the files of `sentence-transformers`.
fn embedding(metadata: &Metadata, config: &ModelConfig) -> Result<Option<EmbeddingSettings>> {
    const LAST: u32 = 3;
    let architecture: &str = metadata.get("general.architecture")?.unwrap_or_default();
    let key = format!("{architecture}.pooling_type");
    match metadata.get::<u32>(&key)? {
        None | Some(0) => Ok(None),
        Some(LAST) => Ok(definition(config).embedding()),
        Some(other) => {
            Err(metadata.refuse(format!("{key} is {other}; only embeddings of the last token (3) are supported")))
        }
    }
}

/// The tensor in which llama.cpp's converters store the divisors of the rope frequencies.
async fn rope_divisors<S: ByteSource>(text: &GgufModel<S>) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = text.tensors.tensor(ROPE_DIVISORS) else { return Ok(None) };
    match tensor.info.shape[..] {
        [len] if len <= MAX_HEAD_DIM => tensor.read(0..len as u64).await.map(Some),
        // No family reads it, so it is refused as unknown.
        _ => Ok(None),
    }
}

fn file_stem(path: &str) -> String {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.strip_suffix(".gguf").unwrap_or(name).into()
}

fn model_config<S: ByteSource>(
    reader: &GgufReader,
    text: &GgufModel<S>,
    vision: Option<&GgufModel<S>>,
    rope_divisors: Option<Vec<f32>>,
) -> Result<ModelConfig> {
    let metadata = &text.metadata;
    let vision_metadata = vision.map(|vision| &vision.metadata);
    if let Some(vision) = vision_metadata {
        let architecture: &str = vision.get("general.architecture")?.unwrap_or_default();
        if architecture != "clip" {
            return Err(vision.refuse(format!("is no vision half of a model: its architecture is {architecture:?}")));
        }
    }
    let rows = text.tensors.tensor(EMBEDDING).and_then(|tensor| tensor.info.shape.first().copied());
    let tokens = tokens(metadata)?.len();
    if let Some(rows) = rows.filter(|&rows| rows < tokens) {
        return Err(metadata.refuse(format!("has {tokens} tokens, but its embedding has {rows} rows")));
    }
    let tensor = |name: &str| vision.filter(|_| is_vision(name)).unwrap_or(text).tensors.tensor(name);
    let has = |name: &str| tensor(name).is_some();
    let rows_of = |name: &str| tensor(name)?.info.shape.iter().rev().nth(1).copied();
    // An error in the metadata explains more than a missing tensor.
    let vocab_size = rows.unwrap_or(1);
    let (text, vision) = (metadata, vision_metadata);
    let config = (reader.read)(&GgufFiles { text, vision, vocab_size, rope_divisors, has: &has, rows: &rows_of })?;
    if rows.is_none() {
        return Err(Error::checkpoint(&metadata.file, EMBEDDING, "is missing"));
    }
    config.validate(&metadata.file)?;
    Ok(config)
}

/// The file's tensor; refuses one with another shape.
fn find<'a, S: ByteSource>(
    text: &'a GgufModel<S>,
    vision: Option<&'a GgufModel<S>>,
    spec: &TensorSpec,
) -> Result<TensorRef<'a, S>> {
    let name = spec.gguf.as_ref().unwrap_or(&spec.name);
    let model = vision.filter(|_| !spec.role.is_text()).unwrap_or(text);
    let tensor = |name: &str| match model.tensors.tensor(name) {
        Some(tensor) => tensor.of_shape(spec, "the metadata ask for"),
        None => Err(Error::checkpoint(&model.metadata.file, name, "is missing")),
    };
    let second = spec.frames.map(|_| tensor(&second_frame(name)).map(Box::new)).transpose()?;
    let mut found = tensor(name)?;
    (found.second, found.pick) = (second, spec.pick);
    // Files hold the numbers themselves, and bounds may be infinite.
    if spec.stored == Stored::Bound {
        found.stored = Stored::Bound;
    }
    Ok(found)
}

/// The name of the tensor that is added to the tensor `name` (see [`TensorSpec::frames`]).
pub fn second_frame(name: &str) -> String {
    format!("{name}.1")
}

/// Refuses tensors that are not read, such as biases, rope factors or experts: the network would be another one. `model` lists tensors that
/// may be skipped.
fn refuse_unknown<'a, S: ByteSource>(
    text: &'a GgufModel<S>,
    vision: Option<&'a GgufModel<S>>,
    read: impl Iterator<Item = &'a str>,
    model: &'a dyn Definition,
) -> Result<()> {
    let known: HashSet<&str> = read.chain(model.gguf_duplicates().iter().copied()).collect();
    // Ollama puts a vision half with its own names into the text file; the separate file is used instead.
    let names = |model: &'a GgufModel<S>| model.tensors.iter().map(move |(name, _)| (model, name));
    let in_text = names(text).filter(|(_, name)| vision.is_none() || !is_vision(name));
    let mut unknown = in_text
        .chain(vision.into_iter().flat_map(names))
        .filter(|(_, name)| !known.contains(name) && !model.gguf_ignores(name));
    let Some((model, name)) = unknown.next() else { return Ok(()) };
    let reason = if is_vision(name) && vision.is_none() {
        "is part of a vision half, which is read from an mmproj file only: name one"
    } else {
        "is unknown to this architecture"
    };
    Err(Error::checkpoint(&model.metadata.file, name, reason))
}

/// Returns true if llama.cpp's name of a tensor belongs to the vision half.
fn is_vision(name: &str) -> bool {
    name.starts_with("v.") || name.starts_with("mm.")
}
