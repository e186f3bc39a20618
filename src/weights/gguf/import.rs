//! GGUF files to a package, tensor by tensor.

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;

use super::file::{ElementType, NOT_NUMBERS, TensorRef};
use super::files::GgufFiles;
use super::metadata::Metadata;
use super::model::GgufModel;
use super::tokenizer::{chat_settings, reader, tokenizer_json, tokens};
use crate::config::MAX_HEAD_DIM;
use crate::error::{Error, Result};
use crate::families::readers::GgufReader;
use crate::families::{ModelConfig, Role, TensorSpec, definition};
use crate::weights::blocks::{append_rows, block_size};
use crate::weights::checkpoint::Fingerprint;
use crate::weights::convert::{Meter, Numbers, Progress, convert, row_chunks};
use crate::weights::layout::Layout;
use crate::weights::layouts::Layouts;
use crate::weights::manifest::Manifest;
use crate::weights::source::{ByteSource, FileSet};
use crate::weights::writer::{PackageInfo, PackageSink, PackageWriter};

const EMBEDDING: &str = "token_embd.weight";
const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// What is to be imported.
#[derive(Debug, Clone)]
pub struct GgufImport {
    /// File name of the text model; of a split one, the first part.
    pub text: String,
    /// File name of the vision half; without it the model does not see.
    pub mmproj: Option<String>,
}

/// Options of an import.
#[derive(Debug, Clone, Default)]
pub struct GgufOptions {
    /// The model's name; `None` for the file's own.
    pub name: Option<String>,
    /// Licence of the weights; `None` for what the file says.
    pub license: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
    /// What becomes of the matrices. What the file holds in blocks stays as it is unless asked for with
    /// [`crate::weights::layouts::Target::All`].
    pub layouts: Layouts,
}

/// Turns GGUF files into a package in `writer`, some megabytes at a time, reading each file from front to back. `progress` is
/// called every few megabytes and may stop the work, which goes on from there if `writer`'s sink keeps checkpoints.
///
/// # Errors
/// [`Error::UnsupportedArchitecture`], [`Error::InvalidCheckpoint`], [`Error::Tokenizer`], [`Error::Io`]; [`Error::Aborted`]
/// if `progress` breaks.
pub async fn import<F: FileSet, K: PackageSink>(
    files: &F,
    import: &GgufImport,
    mut writer: PackageWriter<K>,
    options: GgufOptions,
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
        model.add_to(&mut fingerprint);
    }
    writer.resume(fingerprint.finish()).await?;

    let mut meter = Meter::new(progress, pieces.iter().map(Piece::size));
    for (index, piece) in pieces.iter().enumerate() {
        let Piece { tensor, spec, layout } = piece;
        let (len, bytes) = piece.size();
        if index < writer.complete() {
            meter.skip(len, bytes);
            continue;
        }
        let advance = meter.of_tensor(len, bytes);
        match tensor.info.kind {
            ElementType::Blocks(held) if held == *layout => {
                copy_blocks(tensor, spec, held, &mut writer, advance).await?;
            }
            _ => convert(tensor, spec, *layout, &mut writer, advance).await?,
        }
    }
    writer.finish(info, tokenizer).await
}

/// A tensor on its way: where it is, what it is to be.
struct Piece<'a, S> {
    tensor: TensorRef<'a, S>,
    spec: TensorSpec,
    layout: Layout,
}

impl<S> Piece<'_, S> {
    /// Elements, and bytes of the file.
    fn size(&self) -> (u64, u64) {
        (self.spec.len(), self.tensor.info.range.end - self.tensor.info.range.start)
    }
}

/// What the headers say: all of the manifest but tensors and files, `tokenizer.json`, and the tensors in the order of the files.
fn describe<'a, S: ByteSource>(
    text: &'a GgufModel<S>,
    vision: Option<&'a GgufModel<S>>,
    rope_divisors: Option<Vec<f32>>,
    import: &GgufImport,
    options: &GgufOptions,
) -> Result<(PackageInfo, Vec<u8>, Vec<Piece<'a, S>>)> {
    let (family, reader) = reader(text.metadata())?;
    let config = model_config(reader, text, vision, rope_divisors)?;
    let tokenizer = tokenizer_json(text.metadata())?;
    let layouts = definition(&config).chat_layouts();
    let chat = chat_settings(text.metadata(), config.text().vocab_size, family.chat, layouts)?;
    let mut pieces = Vec::new();
    for spec in definition(&config).tensors() {
        let tensor = find(text, vision, &spec)?;
        let layout = options.layouts.of(&spec, tensor.held());
        pieces.push(Piece { tensor, spec, layout });
    }
    refuse_unknown(text, vision, pieces.iter().map(|piece| piece.tensor.name), definition(&config).gguf_copies())?;
    // The tower first, as it is used; each file from front to back.
    pieces.sort_by_key(|piece| (piece.spec.role.is_text(), piece.tensor.file, piece.tensor.info.range.start));

    let mut stored = BTreeMap::new();
    for Piece { spec, layout, .. } in &pieces {
        if matches!(spec.role, Role::Layer(_)) && spec.is_matrix() {
            *stored.entry(*layout).or_insert(0) += spec.len();
        }
    }
    let quantization = stored.into_iter().max_by_key(|&(_, len)| len).map_or(Layout::F16, |(layout, _)| layout);
    let own = |key: &str| own_text(text.metadata(), key);
    let name = options.name.clone().or(own("general.name")?).unwrap_or_else(|| file_stem(&import.text));
    let license = options.license.clone().or(own("general.license")?);
    let source = options.source.clone().or(own("general.source.url")?);
    Ok((PackageInfo { name, license, source, quantization, config, chat }, tokenizer, pieces))
}

/// The tensor in which llama.cpp's converters keep what the frequencies of rope are divided by.
async fn rope_divisors<S: ByteSource>(text: &GgufModel<S>) -> Result<Option<Vec<f32>>> {
    let Some(tensor) = text.tensor(ROPE_DIVISORS) else { return Ok(None) };
    match tensor.info.shape[..] {
        [len] if len <= MAX_HEAD_DIM => tensor.read(0..len as u64).await.map(Some),
        // No family takes it, so that it is refused as unknown.
        _ => Ok(None),
    }
}

fn own_text(metadata: &Metadata, key: &str) -> Result<Option<String>> {
    metadata.text(key).map(|text| text.map(String::from))
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
    let metadata = text.metadata();
    if let Some(vision) = vision.map(GgufModel::metadata) {
        let architecture = vision.text("general.architecture")?.unwrap_or_default();
        if architecture != "clip" {
            return Err(vision.refuse(format!("is no vision half of a model: its architecture is {architecture:?}")));
        }
    }
    let rows = text.tensor(EMBEDDING).and_then(|tensor| tensor.info.shape.first().copied());
    let tokens = tokens(metadata)?.len();
    if let Some(rows) = rows.filter(|&rows| rows < tokens) {
        return Err(metadata.refuse(format!("has {tokens} tokens, but its embedding has {rows} rows")));
    }
    let has = |name: &str| vision.filter(|_| is_vision(name)).unwrap_or(text).tensor(name).is_some();
    let vision = vision.map(GgufModel::metadata);
    // What is wrong with the metadata explains more than a missing tensor.
    let vocab_size = rows.unwrap_or(1);
    let config = (reader.read)(&GgufFiles { text: metadata, vision, vocab_size, rope_divisors, has: &has })?;
    if rows.is_none() {
        return Err(Error::checkpoint(&metadata.file, EMBEDDING, "is missing"));
    }
    config.validate(&metadata.file)?;
    Ok(config)
}

/// The file's tensor, of the right shape.
fn find<'a, S: ByteSource>(
    text: &'a GgufModel<S>,
    vision: Option<&'a GgufModel<S>>,
    spec: &TensorSpec,
) -> Result<TensorRef<'a, S>> {
    let name = spec.gguf.as_ref().unwrap_or(&spec.name);
    let model = vision.filter(|_| !spec.role.is_text()).unwrap_or(text);
    let Some(tensor) = model.tensor(name) else {
        return Err(Error::checkpoint(&model.metadata().file, name, "is missing"));
    };
    let shape = &tensor.info.shape;
    if !spec.fits(shape) {
        return Err(tensor.error(format!("has shape {shape:?}, the metadata ask for {:?}", spec.shape)));
    }
    Ok(tensor)
}

/// Refuses tensors that nothing here would read: biases, rope factors, experts make another network. `copies` repeat others.
fn refuse_unknown<'a, S: ByteSource>(
    text: &GgufModel<S>,
    vision: Option<&GgufModel<S>>,
    read: impl Iterator<Item = &'a str>,
    copies: &'a [&str],
) -> Result<()> {
    let known: HashSet<&str> = read.chain(copies.iter().copied()).collect();
    // Ollama puts a vision half of its own spelling into the text file; the one of the file that was named is taken.
    let in_text = text.unknown(&known, |name| vision.is_some() && is_vision(name)).map(|name| (text, name));
    let in_vision = vision.and_then(|model| model.unknown(&known, |_| false).map(|name| (model, name)));
    let Some((model, name)) = in_text.or(in_vision) else { return Ok(()) };
    let reason = if is_vision(name) && vision.is_none() {
        "is part of a vision half, which is read from an mmproj file only: name one"
    } else {
        "is unknown to this architecture"
    };
    Err(Error::checkpoint(&model.metadata().file, name, reason))
}

/// Whether llama.cpp's name of a tensor says that it belongs to the vision half.
fn is_vision(name: &str) -> bool {
    name.starts_with("v.") || name.starts_with("mm.")
}

/// Writes a tensor without touching its bits, some rows at a time.
async fn copy_blocks<S: ByteSource, K: PackageSink>(
    tensor: &TensorRef<'_, S>,
    spec: &TensorSpec,
    layout: Layout,
    writer: &mut PackageWriter<K>,
    mut advance: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let (&[rows, cols], Some((_, elements))) = (spec.shape.as_slice(), block_size(layout)) else {
        return Err(tensor.error(NOT_NUMBERS.into()));
    };
    let there = writer.begin(&spec.name, &spec.shape, layout).await?;
    advance((there * cols) as u64)?;
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    for chunk in row_chunks(there, rows, cols) {
        let advanced = (chunk.len() * cols) as u64;
        append_rows(layout, cols / elements, &tensor.read_blocks(layout, chunk).await?, &mut planes);
        writer.append(&mut planes).await?;
        advance(advanced)?;
    }
    writer.end().await
}
