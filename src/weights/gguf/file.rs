//! One GGUF file: its header, checked, and its tensors.

use std::collections::BTreeMap;
use std::ops::Range;

use half::{bf16, f16};

use super::cursor::Cursor;
use super::metadata::Metadata;
use crate::error::{Error, Result};
use crate::weights::blocks::{append_rows, block_size, first_not_finite};
use crate::weights::convert::Numbers;
use crate::weights::layout::Layout;
use crate::weights::quant::decode;
use crate::weights::source::ByteSource;

/// Longest header that is read; eight times that of a published model. In memory it takes at most eight times its bytes.
pub const MAX_HEADER_BYTES: u64 = 64 << 20;

const MAGIC: u32 = 0x4655_4747;
const MAX_NAME_BYTES: u64 = 1024;
const MAX_TYPE: u32 = 30;
const MAX_DIMENSIONS: u32 = 4;
pub(super) const DEFAULT_ALIGNMENT: usize = 32;
pub(super) const NOT_NUMBERS: &str = "is stored in blocks where plain numbers are needed";

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// The upper halves of 32-bit floats.
    Bf16,
    /// Blocks of ggml's that a layout keeps bit by bit.
    Blocks(Layout),
}

impl ElementType {
    /// The type of that number in the format, or its name if it cannot be imported.
    fn from_number(number: u32) -> std::result::Result<Self, &'static str> {
        if let Some(layout) = Layout::from_ggml(number) {
            return Ok(Self::Blocks(layout));
        }
        Ok(match number {
            0 => Self::F32,
            1 => Self::F16,
            30 => Self::Bf16,
            3 => return Err("Q4_1"),
            7 => return Err("Q5_1"),
            10 => return Err("Q2_K"),
            11 => return Err("Q3_K"),
            16..=23 | 29 => return Err("IQ"),
            _ => return Err("unknown"),
        })
    }

    /// The type's number in the format.
    pub(super) fn number(self) -> Option<u32> {
        (0..=MAX_TYPE).find(|&number| Self::from_number(number) == Ok(self))
    }

    /// Bytes of a block and elements in it.
    fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (4, 1),
            Self::F16 | Self::Bf16 => (2, 1),
            Self::Blocks(layout) => block_size(layout).unwrap_or((1, 1)),
        }
    }
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// How its elements are stored.
    pub kind: ElementType,
    /// Sizes, slowest first: the file's order reversed.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub range: Range<u64>,
}

/// A file whose header was read.
#[derive(Debug)]
pub(super) struct GgufFile<S> {
    pub(super) source: S,
    pub(super) metadata: Metadata,
    pub(super) tensors: BTreeMap<String, TensorInfo>,
}

impl<S: ByteSource> GgufFile<S> {
    /// Reads the header and checks that every tensor lies in the file, aligned and apart from the others.
    pub(super) async fn open(source: S) -> Result<Self> {
        let len = source.len().await?;
        let file = source.name().to_owned();
        let mut cursor = Cursor::new(&source, len.min(MAX_HEADER_BYTES));
        let (metadata, entries) = header(&mut cursor, &file).await?;
        let alignment = metadata.size("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT) as u64;
        if !alignment.is_power_of_two() || alignment > MAX_HEADER_BYTES {
            return Err(metadata.refuse(format!("general.alignment is {alignment}, not a power of two")));
        }
        // A file without tensors may end before the padding.
        let data = cursor.position().next_multiple_of(alignment).min(len)..len;
        let mut tensors = BTreeMap::new();
        for Entry { name, kind, shape, offset } in entries {
            let fault = |reason: String| Error::checkpoint(&file, &name, reason);
            let bytes = tensor_bytes(kind, &shape).map_err(fault)?;
            if !offset.is_multiple_of(alignment) {
                return Err(fault(format!("offset {offset} is not a multiple of {alignment}")));
            }
            let end = data.start.checked_add(offset).and_then(|start| start.checked_add(bytes));
            let Some(end) = end.filter(|&end| end <= len) else {
                return Err(fault(format!("truncated: {bytes} bytes at {offset} end past the file's {len}")));
            };
            if tensors.contains_key(&name) {
                return Err(fault("is there twice".into()));
            }
            tensors.insert(name, TensorInfo { kind, shape, range: end - bytes..end });
        }
        refuse_overlaps(&file, &tensors)?;
        Ok(Self { source, metadata, tensors })
    }
}

/// A tensor in the header's own words.
struct Entry {
    name: String,
    kind: ElementType,
    shape: Vec<usize>,
    offset: u64,
}

async fn header<S: ByteSource>(cursor: &mut Cursor<'_, S>, file: &str) -> Result<(Metadata, Vec<Entry>)> {
    if cursor.left() < 24 {
        return Err(cursor.refuse(format!("truncated: {} bytes are too few for a header", cursor.left())));
    }
    if cursor.u32().await? != MAGIC {
        return Err(cursor.refuse("is no GGUF file: it does not begin with GGUF"));
    }
    let version = cursor.u32().await?;
    if !matches!(version, 2 | 3) {
        let why = if version.swap_bytes() <= 3 { "; big-endian files cannot be read" } else { "" };
        return Err(cursor.refuse(format!("is GGUF version {version}, only 2 and 3 can be read{why}")));
    }
    let (tensors, pairs) = (cursor.u64().await?, cursor.u64().await?);
    let metadata = Metadata::read(cursor, file, pairs).await?;
    // The shortest entry: an empty name, one dimension, type and offset.
    if tensors > cursor.left() / 32 {
        return Err(cursor.refuse(format!("truncated or damaged: {tensors} tensors in {} bytes", cursor.left())));
    }
    let mut entries = Vec::new();
    for _ in 0..tensors {
        entries.push(entry(cursor, file).await?);
    }
    Ok((metadata, entries))
}

async fn entry<S: ByteSource>(cursor: &mut Cursor<'_, S>, file: &str) -> Result<Entry> {
    let name = cursor.text(MAX_NAME_BYTES, "a tensor's name").await?;
    let fault = |reason: String| Error::checkpoint(file, &name, reason);
    let dimensions = cursor.u32().await?;
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        return Err(fault(format!("has {dimensions} dimensions")));
    }
    let mut shape = Vec::new();
    for _ in 0..dimensions {
        let size = cursor.u64().await?;
        shape.push(usize::try_from(size).map_err(|_| fault(format!("has a dimension of {size}")))?);
    }
    shape.reverse();
    let number = cursor.u32().await?;
    let kind = ElementType::from_number(number).map_err(|name| {
        fault(format!(
            "is stored as ggml type {number} ({name}); only F32, F16, BF16 and {} can be imported",
            Layout::ALL
                .iter()
                .filter_map(|layout| Some(layout.spec().ggml.as_ref()?.name))
                .collect::<Vec<_>>()
                .join(", ")
        ))
    })?;
    Ok(Entry { kind, shape, offset: cursor.u64().await?, name })
}

pub(super) fn tensor_bytes(kind: ElementType, shape: &[usize]) -> std::result::Result<u64, String> {
    let (bytes, elements) = kind.block();
    let row = shape.last().copied().unwrap_or(0);
    if shape.contains(&0) || !row.is_multiple_of(elements) {
        return Err(format!("a shape of {shape:?} does not consist of blocks of {elements}"));
    }
    let count = shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size as u64));
    let size = count.and_then(|count| (count / elements as u64).checked_mul(bytes as u64));
    size.ok_or_else(|| format!("a shape of {shape:?} has no size in bytes"))
}

fn refuse_overlaps(file: &str, tensors: &BTreeMap<String, TensorInfo>) -> Result<()> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.range.start);
    for pair in in_order.windows(2) {
        let [(before, a), (name, b)] = pair else { continue };
        if b.range.start < a.range.end {
            return Err(Error::checkpoint(file, *name, format!("overlaps tensor {before}")));
        }
    }
    Ok(())
}

/// A tensor that can be read.
#[derive(Debug)]
pub(super) struct TensorRef<'a, S> {
    pub(super) name: &'a str,
    pub(super) info: &'a TensorInfo,
    pub(super) source: &'a S,
    /// Which of the model's files holds it.
    pub(super) file: usize,
}

impl<S: ByteSource> TensorRef<'_, S> {
    /// Bytes of the tensor, which must be there.
    pub(super) async fn read_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let start = self.info.range.start;
        self.source.read(start + range.start..start + range.end).await
    }
}

impl<S: ByteSource> TensorRef<'_, S> {
    /// The blocks of some rows of a matrix, none with a scale that is no number.
    pub(super) async fn read_blocks(&self, layout: Layout, rows: Range<usize>) -> Result<Vec<u8>> {
        let (&[_, cols], Some((bytes, elements))) = (self.info.shape.as_slice(), block_size(layout)) else {
            return Err(self.error(NOT_NUMBERS.into()));
        };
        let blocks = cols / elements;
        let row_bytes = (blocks * bytes) as u64;
        let raw = self.read_bytes(rows.start as u64 * row_bytes..rows.end as u64 * row_bytes).await?;
        let Some(index) = first_not_finite(layout, &raw) else { return Ok(raw) };
        let (row, col) = (rows.start + index / blocks, index % blocks * elements);
        Err(self.error(format!("row {row}, in the block at column {col}: a scale is not a finite number")))
    }

    /// What blocks are worth. `range` is one of whole rows.
    async fn read_quantised(&self, layout: Layout, range: Range<u64>) -> Result<Vec<f32>> {
        let (&[_, cols], Some((_, elements))) = (self.info.shape.as_slice(), block_size(layout)) else {
            return Err(self.error(NOT_NUMBERS.into()));
        };
        // Rows of a tensor that lies in the file: their numbers fit.
        let rows = (range.start / cols as u64) as usize..(range.end / cols as u64) as usize;
        let mut planes = vec![Vec::new(); layout.plane_units().len()];
        append_rows(layout, cols / elements, &self.read_blocks(layout, rows.clone()).await?, &mut planes);
        decode(layout, &[rows.len(), cols], &planes)
    }
}

impl<S: ByteSource> Numbers for TensorRef<'_, S> {
    async fn read(&self, range: Range<u64>) -> Result<Vec<f32>> {
        if let ElementType::Blocks(layout) = self.info.kind {
            return self.read_quantised(layout, range).await;
        }
        let size = self.info.kind.block().0 as u64;
        let bytes = self.read_bytes(range.start * size..range.end * size).await?;
        Ok(match self.info.kind {
            ElementType::F32 => bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
            ElementType::F16 => bytes.as_chunks::<2>().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect(),
            _ => bytes.as_chunks::<2>().0.iter().map(|&x| bf16::from_le_bytes(x).to_f32()).collect(),
        })
    }

    fn held(&self) -> Layout {
        match self.info.kind {
            ElementType::F32 => Layout::F32,
            ElementType::F16 | ElementType::Bf16 => Layout::F16,
            ElementType::Blocks(layout) => layout,
        }
    }

    fn error(&self, reason: String) -> Error {
        Error::checkpoint(self.source.name(), self.name, reason)
    }
}
