//! Random GGUF files, with the names, keys and types of the published ones.

use std::io::Write;

use super::deviation;
use super::package::norm;
use super::random::{Palette, Random, Scales, block, unit_scale};
use super::tokenizer::{CONTROL, Vocabulary};
use crate::config::TextConfig;
use crate::error::{Error, Result};
use crate::families::readers::ChatDefaults;
use crate::families::table::family;
use crate::families::{ModelConfig, Role, TensorSpec, definition};
use crate::weights::blocks::block_size;
use crate::weights::gguf::{ElementType, Field, GgufHeader, padding};
use crate::weights::layout::Layout;

/// Types that llama.cpp's `llama-quantize` gives the tensors of a text model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// `Q4_K`, and `Q6_K` for the head and for some values and down projections.
    Q4KM,
    /// `Q5_K` and `Q6_K` likewise.
    Q5KM,
    /// `Q8_0`.
    Q8_0,
    /// BF16.
    Bf16,
}

impl FileType {
    /// The end of a file's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Q4KM => "Q4_K_M",
            Self::Q5KM => "Q5_K_M",
            Self::Q8_0 => "Q8_0",
            Self::Bf16 => "BF16",
        }
    }

    /// `llama_ftype` of llama.cpp.
    fn number(self) -> u32 {
        match self {
            Self::Q4KM => 15,
            Self::Q5KM => 17,
            Self::Q8_0 => 7,
            Self::Bf16 => 32,
        }
    }

    /// The type of a matrix of the text model.
    fn of(self, spec: &TensorSpec, text: &TextConfig) -> ElementType {
        let most = match self {
            Self::Q4KM => Layout::Q4K,
            Self::Q5KM => Layout::Q5K,
            Self::Q8_0 => return ElementType::Blocks(Layout::Q8_0),
            Self::Bf16 => return ElementType::Bf16,
        };
        let (layers, name) = (text.layers.len(), spec.name.as_str());
        // `use_more_bits` of llama.cpp.
        let more = |i: usize| i < layers / 8 || i >= 7 * layers / 8 || (i - layers / 8) % 3 == 2;
        let finer = match spec.role {
            Role::Head => true,
            Role::Embedding => text.tie_word_embeddings,
            Role::Layer(layer) => more(layer) && (name.ends_with("v_proj") || name.ends_with("down_proj")),
            Role::Vision(_) => false,
        };
        ElementType::Blocks(if finer { Layout::Q6K } else { most })
    }
}

/// A file that can be written.
#[derive(Debug)]
pub struct GgufFile {
    header: GgufHeader,
    tensors: Vec<(TensorSpec, ElementType, u64)>,
}

impl GgufFile {
    /// The text model.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a vocabulary of a size that cannot be made up, or rows that are no whole blocks.
    pub fn text(name: &str, config: &ModelConfig, file_type: FileType) -> Result<Self> {
        let text = config.text();
        let mut header = GgufHeader::default();
        header.set("general.name", name);
        definition(config).describe_gguf(&mut header, false);
        header.set("general.file_type", Field::U32(file_type.number()));
        describe_tokens(&mut header, config)?;
        let specs = definition(config).tensors().filter(|spec| spec.role.is_text());
        let kind = |spec: &TensorSpec| if spec.shape.len() == 1 { ElementType::F32 } else { file_type.of(spec, text) };
        Self::new(header, specs, kind)
    }

    /// The vision half, `None` for a model that has none.
    ///
    /// # Errors
    /// [`Error::Internal`].
    pub fn mmproj(name: &str, config: &ModelConfig) -> Result<Option<Self>> {
        if definition(config).pictures().is_none() {
            return Ok(None);
        }
        let mut header = GgufHeader::default();
        header.set("general.name", name);
        definition(config).describe_gguf(&mut header, true);
        let narrow = |spec: &TensorSpec| spec.is_matrix() && spec.floor.is_none();
        let kind = |spec: &TensorSpec| if narrow(spec) { ElementType::Bf16 } else { ElementType::F32 };
        // Published files repeat a row of the embedding.
        let copy = |name: &&str| TensorSpec::new(*name, &[config.text().hidden_size], Role::Vision(0)).gguf(*name);
        let specs = definition(config).tensors().filter(|spec| !spec.role.is_text());
        Self::new(header, specs.chain(definition(config).gguf_copies().iter().map(copy)), kind).map(Some)
    }

    fn new(
        mut header: GgufHeader,
        specs: impl Iterator<Item = TensorSpec>,
        kind: impl Fn(&TensorSpec) -> ElementType,
    ) -> Result<Self> {
        let mut tensors = Vec::new();
        for spec in specs {
            let kind = kind(&spec);
            let shape = spec.checkpoint_shape.as_ref().unwrap_or(&spec.shape);
            let bytes = header.tensor(spec.gguf.as_ref().unwrap_or(&spec.name), kind, shape)?;
            tensors.push((spec, kind, bytes));
        }
        Ok(Self { header, tensors })
    }

    /// Bytes of the tensors, with what pads them.
    pub fn data_bytes(&self) -> u64 {
        self.header.data_bytes()
    }

    /// Writes the file, a few megabytes at a time; `advance` hears of every piece of data. Equal seeds give equal bytes.
    ///
    /// # Errors
    /// [`Error::Io`] about `path`.
    pub fn write(self, path: &str, seed: u64, out: &mut impl Write, mut advance: impl FnMut(u64)) -> Result<()> {
        let fail = |e| Error::io(path, &e);
        out.write_all(&self.header.into_bytes()).map_err(fail)?;
        let mut random = Random::new(seed);
        for (spec, kind, bytes) in &self.tensors {
            let mut filler = Filler::new(spec, *kind, &mut random);
            let mut left = *bytes;
            while left > 0 {
                let piece = filler.next(&mut random, left.min(PIECE as u64) as usize);
                out.write_all(&piece).map_err(fail)?;
                left -= piece.len() as u64;
                advance(piece.len() as u64);
            }
            out.write_all(&[0; 32][..padding(*bytes)]).map_err(fail)?;
        }
        out.flush().map_err(fail)
    }
}

/// Bytes made at a time: whole blocks of every type.
const PIECE: usize = 4 * 34 * 144 * 11 * 5 * 7 * 4;

/// What the bytes of a tensor are made from.
enum Filler {
    Norm,
    Wide(Palette<4>),
    Narrow(Palette<2>),
    Blocks(Layout, Scales),
}

impl Filler {
    fn new(spec: &TensorSpec, kind: ElementType, random: &mut Random) -> Self {
        match kind {
            ElementType::F32 if spec.shape.len() == 1 => Self::Norm,
            ElementType::F32 => Self::Wide(Palette::f32(random, deviation(spec))),
            ElementType::F16 => Self::Narrow(Palette::f16(random, deviation(spec))),
            ElementType::Bf16 => Self::Narrow(Palette::bf16(random, deviation(spec))),
            ElementType::Blocks(layout) => Self::Blocks(layout, Scales::new(deviation(spec) * unit_scale(layout))),
        }
    }

    /// The next `bytes`, whole elements or blocks.
    fn next(&mut self, random: &mut Random, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Norm => out = norm(random, bytes / 4),
            Self::Wide(palette) => palette.extend(random, bytes / 4, &mut out),
            Self::Narrow(palette) => palette.extend(random, bytes / 2, &mut out),
            Self::Blocks(layout, scales) => {
                out.resize(bytes, 0);
                let size = block_size(*layout).map_or(bytes, |(size, _)| size);
                out.chunks_exact_mut(size).for_each(|out| block(*layout, random, scales, out));
            }
        }
        out
    }
}

fn describe_tokens(header: &mut GgufHeader, config: &ModelConfig) -> Result<()> {
    let Vocabulary { tokens, merges, .. } = Vocabulary::new(config.text().vocab_size)?;
    let family = family(config);
    let (control, normal) = (3, 1);
    header.set("tokenizer.ggml.model", "gpt2");
    for pre in family.gguf.iter().flat_map(|reader| reader.pre_tokenizers).take(1).flat_map(|split| split.names.first())
    {
        header.set("tokenizer.ggml.pre", *pre);
    }
    header.set(
        "tokenizer.ggml.token_type",
        Field::I32s((0..tokens.len()).map(|id| if id < CONTROL { control } else { normal }).collect()),
    );
    header.set("tokenizer.ggml.scores", Field::F32s(vec![0.0; tokens.len()]));
    header.set("tokenizer.ggml.tokens", Field::Texts(tokens));
    header.set("tokenizer.ggml.merges", Field::Texts(merges));
    let ChatDefaults { bos, eos, pad } = family.chat;
    for (key, id) in [("bos", bos), ("eos", Some(eos)), ("unknown", Some(0)), ("padding", pad)] {
        if let Some(id) = id {
            header.set(&format!("tokenizer.ggml.{key}_token_id"), Field::U32(id));
        }
    }
    header.set("tokenizer.ggml.add_bos_token", Field::Flag(bos.is_some()));
    header.set("tokenizer.ggml.add_eos_token", Field::Flag(false));
    Ok(())
}
