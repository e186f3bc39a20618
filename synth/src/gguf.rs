//! Random GGUF files, with the names, keys and types of the published ones.

use std::collections::HashSet;
use std::io::Write;

use half::bf16;
use ocelli::config::TextConfig;
use ocelli::families::readers::ChatDefaults;
use ocelli::families::table::readers_of;
use ocelli::families::{ModelConfig, Role, TensorSpec, definition};
use ocelli::import::gguf::second_frame;
use ocelli::import::tensors::ElementType;
use ocelli::layout::Layout;
use ocelli::layout::blocks::block_size;
use ocelli::{Error, Result};
use safetensors::Dtype;

use crate::deviation;
use crate::families::{describe_text_half, describe_vision_half};
use crate::gguf_header::{GgufHeader, padding};
use crate::random::{Palette, Random, Scales, block};
use crate::tokenizer::{BYTE_TOKENS, CONTROL, Vocabulary, chat_tokens};

/// Types that llama.cpp's `llama-quantize` gives the tensors of a text model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// `Q4_K`, and `Q6_K` for the head and for some values and down projections.
    Q4KM,
    /// `Q5_K` and `Q6_K` likewise.
    Q5KM,
    /// `Q4_0` in all matrices, as with `--pure`.
    Q4_0,
    /// `Q8_0`.
    Q8_0,
    /// BF16.
    Bf16,
}

impl FileType {
    /// The suffix of the file name, `llama_ftype` of llama.cpp, and the type of most matrices.
    fn row(self) -> (&'static str, u32, ElementType) {
        match self {
            Self::Q4KM => ("Q4_K_M", 15, ElementType::Blocks(Layout::Q4K)),
            Self::Q5KM => ("Q5_K_M", 17, ElementType::Blocks(Layout::Q5K)),
            Self::Q4_0 => ("Q4_0", 2, ElementType::Blocks(Layout::Q4_0)),
            Self::Q8_0 => ("Q8_0", 7, ElementType::Blocks(Layout::Q8_0)),
            Self::Bf16 => ("BF16", 32, ElementType::Plain(Dtype::BF16)),
        }
    }

    /// The suffix of the file name.
    pub fn name(self) -> &'static str {
        self.row().0
    }

    /// The type of a matrix of the text model.
    pub fn of(self, spec: &TensorSpec, text: &TextConfig) -> ElementType {
        let (layers, name) = (text.layers.len(), spec.name.as_str());
        // `use_more_bits` of llama.cpp.
        let more = |i: usize| i < layers / 8 || i >= 7 * layers / 8 || (i - layers / 8) % 3 == 2;
        let finer = match spec.role {
            Role::Head => true,
            Role::Embedding => text.tie_word_embeddings,
            Role::Layer(layer) => more(layer) && (name.ends_with("v_proj") || name.ends_with("down_proj")),
            Role::Vision(_) | Role::Rows => false,
        };
        let mixed = matches!(self, Self::Q4KM | Self::Q5KM);
        if mixed && finer { ElementType::Blocks(Layout::Q6K) } else { self.row().2 }
    }
}

const FLOATS: ElementType = ElementType::Plain(Dtype::F32);

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
        describe_text_half(config, &mut header);
        header.set("general.file_type", file_type.row().1);
        describe_tokens(&mut header, config)?;
        let specs = definition(config).tensors().filter(|spec| spec.role.is_text());
        let kind = |spec: &TensorSpec| if spec.is_matrix() { file_type.of(spec, text) } else { FLOATS };
        Self::new(header, specs, kind)
    }

    /// The vision half, `None` for a model that has none.
    pub fn mmproj(name: &str, config: &ModelConfig) -> Result<Option<Self>> {
        if definition(config).pictures().is_none() {
            return Ok(None);
        }
        let mut header = GgufHeader::default();
        header.set("general.name", name);
        describe_vision_half(config, &mut header);
        let narrow = |spec: &TensorSpec| spec.is_matrix() && spec.floor.is_none();
        let kind = |spec: &TensorSpec| if narrow(spec) { ElementType::Plain(Dtype::BF16) } else { FLOATS };
        // Published files repeat a row of the embedding.
        let copy = |name: &&str| TensorSpec::new(*name, &[config.text().hidden_size], Role::Vision(0)).gguf(*name);
        let specs = definition(config).tensors().filter(|spec| !spec.role.is_text());
        Self::new(header, specs.chain(definition(config).gguf_duplicates().iter().map(copy)), kind).map(Some)
    }

    fn new(
        mut header: GgufHeader,
        specs: impl Iterator<Item = TensorSpec>,
        kind: impl Fn(&TensorSpec) -> ElementType,
    ) -> Result<Self> {
        let (mut tensors, mut names) = (Vec::new(), HashSet::new());
        // Several tensors of a package may be one in the file.
        for spec in specs.filter(|spec| names.insert(spec.gguf.clone().unwrap_or_else(|| spec.name.clone()))) {
            let kind = kind(&spec);
            let shape = spec.checkpoint_shape.as_ref().filter(|shape| !shape.is_empty()).unwrap_or(&spec.shape);
            let name = spec.gguf.as_ref().unwrap_or(&spec.name);
            for name in [Some(name.clone()), spec.frames.map(|_| second_frame(name))].into_iter().flatten() {
                let bytes = header.tensor(&name, kind, shape)?;
                tensors.push((spec.clone(), kind, bytes));
            }
        }
        Ok(Self { header, tensors })
    }

    /// Bytes of the tensors, with what pads them.
    pub fn data_bytes(&self) -> u64 {
        self.header.data_bytes()
    }

    /// Writes the file, a few megabytes at a time; `advance` receives the length of each piece of data. Equal seeds give equal bytes.
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

/// Bytes generated at a time: whole blocks of every type.
const PIECE: usize = 4 * 34 * 144 * 11 * 5 * 7 * 4;

/// Generator of a tensor's bytes.
enum Filler {
    Plain(Palette, Dtype),
    Blocks(Layout, Scales),
}

impl Filler {
    fn new(spec: &TensorSpec, kind: ElementType, random: &mut Random) -> Self {
        let bf16 = |x| bf16::from_f32(x).to_le_bytes();
        match kind {
            ElementType::Blocks(layout) => Self::Blocks(layout, Scales::new(layout, deviation(spec))),
            ElementType::Plain(dtype) if spec.shape.len() == 1 => Self::Plain(Palette::of_vector(spec, random), dtype),
            ElementType::Plain(Dtype::F32) => {
                Self::Plain(Palette::new(random, deviation(spec), f32::to_le_bytes), Dtype::F32)
            }
            ElementType::Plain(_) => Self::Plain(Palette::new(random, deviation(spec), bf16), Dtype::BF16),
        }
    }

    /// The next `bytes`, whole elements or blocks.
    fn next(&mut self, random: &mut Random, bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Plain(palette, dtype) => palette.extend(random, bytes / (dtype.bitsize() / 8), &mut out),
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
    let family = definition(config).family();
    let Some(reader) = readers_of(family).and_then(|readers| readers.gguf.as_ref()) else {
        return Err(Error::request("gguf", format!("there are no GGUF files of models of the family {}", family.name)));
    };
    let names = &family.chat_layouts[0].control_tokens();
    let vocabulary = Vocabulary::new(config.text().vocab_size, names)?;
    // Vocabularies of families without pre-tokenizers are of characters, and named like the family.
    let is_of_bytes = !reader.pre_tokenizers.is_empty();
    let Vocabulary { tokens, merges, .. } = if is_of_bytes { vocabulary } else { vocabulary.of_characters() };
    let (control, normal, byte) = (3i32, 1, 6);
    header.set("tokenizer.ggml.model", if is_of_bytes { "gpt2" } else { family.name });
    for pre in reader.pre_tokenizers.iter().take(1).flat_map(|split| split.names.first()) {
        header.set("tokenizer.ggml.pre", *pre);
    }
    let kind = |id: usize| match id {
        id if !is_of_bytes && BYTE_TOKENS.contains(&id) => byte,
        id if id < CONTROL => control,
        _ => normal,
    };
    header.set("tokenizer.ggml.token_type", (0..tokens.len()).map(kind).collect::<Vec<_>>());
    header.set("tokenizer.ggml.scores", vec![0.0f32; tokens.len()]);
    header.set("tokenizer.ggml.tokens", tokens);
    header.set("tokenizer.ggml.merges", merges);
    let ChatDefaults { bos, eos, pad, .. } = chat_tokens(family, config.text().vocab_size);
    for (key, id) in [("bos", bos), ("eos", Some(eos)), ("unknown", Some(0)), ("padding", pad)] {
        if let Some(id) = id {
            header.set(&format!("tokenizer.ggml.{key}_token_id"), id);
        }
    }
    header.set("tokenizer.ggml.add_bos_token", bos.is_some());
    header.set("tokenizer.ggml.add_eos_token", false);
    Ok(())
}
