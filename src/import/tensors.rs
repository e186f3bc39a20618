//! The tensors of a checkpoint of one or several files, and their numbers.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use half::{bf16, f16};
use safetensors::Dtype;

use super::fingerprint::Fingerprint;
use crate::error::{Error, Result};
use crate::families::TensorSpec;
use crate::families::tensor_spec::{Columns, Pick, Stored};
use crate::layout::Layout;
use crate::layout::blocks::{append_rows, block_size, first_not_finite};
use crate::layout::quant::decode;
use crate::package::source::ByteSource;

/// How the elements of a tensor are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElementType {
    /// One after the other.
    Plain(Dtype),
    /// In ggml blocks that a layout keeps bit by bit.
    Blocks(Layout),
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(dtype) => dtype.fmt(f),
            Self::Blocks(layout) => layout.fmt(f),
        }
    }
}

impl ElementType {
    /// Bytes of a block and elements in it.
    fn block(self) -> (usize, usize) {
        match self {
            // Numbers narrower than a byte cannot be read.
            Self::Plain(dtype) => (dtype.bitsize() / 8, 1),
            Self::Blocks(layout) => block_size(layout).unwrap_or((1, 1)),
        }
    }

    /// Bytes of a tensor of that shape, or the reason why the shape is invalid.
    pub fn bytes(self, shape: &[usize]) -> std::result::Result<u64, String> {
        let (bytes, elements) = self.block();
        if shape.contains(&0) || !shape.last().unwrap_or(&0).is_multiple_of(elements) {
            return Err(format!("a shape of {shape:?} does not consist of blocks of {elements}"));
        }
        let count = shape.iter().try_fold(1u64, |count, &size| count.checked_mul(size as u64));
        let size = count.and_then(|count| (count / elements as u64).checked_mul(bytes as u64));
        size.ok_or_else(|| format!("a shape of {shape:?} has no size in bytes"))
    }
}

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorInfo {
    /// How its elements are stored.
    pub kind: ElementType,
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub range: Range<u64>,
}

/// A file whose header was read.
#[derive(Debug)]
pub struct TensorFile<S> {
    pub(super) source: S,
    /// Its tensors by name.
    pub tensors: BTreeMap<String, TensorInfo>,
}

/// The tensors of one or several files.
#[derive(Debug)]
pub struct TensorFiles<S> {
    pub(super) files: Vec<TensorFile<S>>,
    /// Index of the file that has a tensor, by name.
    pub(super) place: BTreeMap<String, usize>,
}

impl<S: ByteSource> TensorFiles<S> {
    /// Every tensor, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.place.iter().map(|(name, &file)| (name.as_str(), &self.files[file].tensors[name]))
    }

    /// The tensor of that name.
    pub(super) fn tensor(&self, name: &str) -> Option<TensorRef<'_, S>> {
        let file = &self.files[*self.place.get(name)?];
        let (name, info) = file.tensors.get_key_value(name)?;
        Some(TensorRef {
            name,
            info,
            source: &file.source,
            scale: 1.0,
            frames: None,
            second: None,
            pick: None,
            columns: None,
            stored: Stored::Plain,
        })
    }

    /// Adds the headers of all files.
    pub(super) fn add_to(&self, fingerprint: &mut Fingerprint) {
        for file in &self.files {
            fingerprint.add((file.source.name(), &file.tensors));
        }
    }
}

/// A tensor that can be read.
#[derive(Debug)]
pub(super) struct TensorRef<'a, S> {
    pub(super) name: &'a str,
    pub(super) info: &'a TensorInfo,
    source: &'a S,
    /// Factor of its numbers.
    pub(super) scale: f32,
    /// [`TensorSpec::frames`], if both frames are in this tensor.
    pub(super) frames: Option<usize>,
    /// A tensor of the same shape that is added.
    pub(super) second: Option<Box<Self>>,
    /// Selected rows; all if `None`.
    pub(super) pick: Option<Pick>,
    /// Selected columns; all if `None`.
    pub(super) columns: Option<Columns>,
    /// Meaning of its numbers.
    pub(super) stored: Stored,
}

impl<'a, S: ByteSource> TensorRef<'a, S> {
    /// An [`Error::InvalidCheckpoint`] about this tensor.
    pub(super) fn error(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(self.source.name(), self.name, reason)
    }

    /// Its file and first byte. Reading in this order reads every file from front to back.
    pub(super) fn place(&self) -> (&'a str, u64) {
        (self.source.name(), self.info.range.start)
    }

    /// Its length in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.info.range.end - self.info.range.start
    }

    /// The layout closest to its format; floats narrower than 32 bits count as f16.
    pub(super) fn held(&self) -> Layout {
        match self.info.kind {
            ElementType::Plain(Dtype::F32) => Layout::F32,
            ElementType::Plain(_) => Layout::F16,
            ElementType::Blocks(layout) => layout,
        }
    }

    /// Refuses a tensor with another shape; `who` names the source of the expected shape in the error.
    pub(super) fn of_shape(self, spec: &TensorSpec, who: &str) -> Result<Self> {
        let shape = &self.info.shape;
        if spec.fits(shape) {
            return Ok(self);
        }
        Err(self.error(format!("has shape {shape:?}, {who} {:?}", spec.shape)))
    }

    /// Bytes relative to the tensor's first one. The range may extend into the tensors after it.
    pub(super) async fn read_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let start = self.info.range.start;
        self.source.read(start + range.start..start + range.end).await
    }

    /// The elements of `range` as `f32`, exact except for the scale and sums. For blocks and frames the range must consist of whole rows.
    pub(super) async fn read(&self, range: Range<u64>) -> Result<Vec<f32>> {
        if let Some(run) = self.frames {
            let both = self.read_one(2 * range.start..2 * range.end).await?;
            let sum = |pair: &[f32]| pair[..run].iter().zip(&pair[run..]).map(|(a, b)| a + b).collect::<Vec<_>>();
            return Ok(both.chunks_exact(2 * run).flat_map(sum).collect());
        }
        if let Some(columns) = self.columns {
            let rows = [range.start, range.end].map(|at| at / columns.count as u64 * columns.of as u64);
            return Ok(columns.of_rows(&self.read_one(rows[0]..rows[1]).await?));
        }
        let mut numbers = Vec::new();
        for range in self.runs(range.clone()) {
            numbers.extend(self.read_one(range).await?);
        }
        if self.stored != Stored::Plain {
            numbers.iter_mut().for_each(|number| *number = self.stored.number(*number));
        }
        if let Some(second) = &self.second {
            numbers.iter_mut().zip(second.read_one(range).await?).for_each(|(number, second)| *number += second);
        }
        Ok(numbers)
    }

    /// Ranges of the tensor that hold the elements of `range`; with a pick they are whole rows.
    fn runs(&self, range: Range<u64>) -> Vec<Range<u64>> {
        // The numbers of a vector are picked one by one.
        let is_vector = self.info.shape.len() == 1;
        let cols = self.info.shape.last().filter(|_| !is_vector).map_or(1, |&cols| cols as u64).max(1);
        let Some(pick) = self.pick else { return vec![range] };
        let rows = pick.runs((range.start / cols) as usize..(range.end / cols) as usize);
        rows.map(|rows| rows.start as u64 * cols..rows.end as u64 * cols).collect()
    }

    /// Rows of a matrix of blocks, as [`Self::append_run`] appends them.
    pub(super) async fn append_blocks(&self, layout: Layout, rows: Range<usize>, planes: &mut [Vec<u8>]) -> Result<()> {
        let runs: Vec<Range<usize>> =
            self.pick.map_or_else(|| vec![rows.clone()], |pick| pick.runs(rows.clone()).collect());
        for rows in runs {
            self.append_run(layout, rows, planes).await?;
        }
        Ok(())
    }

    async fn read_one(&self, range: Range<u64>) -> Result<Vec<f32>> {
        let dtype = match self.info.kind {
            ElementType::Plain(dtype) => dtype,
            ElementType::Blocks(layout) => return self.read_quantised(layout, range).await,
        };
        let size = dtype.bitsize() as u64 / 8;
        let bytes = self.read_bytes(range.start * size..range.end * size).await?;
        let mut numbers = plain_numbers(dtype, &bytes);
        // Exact for the 4 bits of 8-bit floats times the 8 of a BF16 scale.
        numbers.iter_mut().for_each(|number| *number *= self.scale);
        Ok(numbers)
    }

    /// Dequantised blocks.
    async fn read_quantised(&self, layout: Layout, range: Range<u64>) -> Result<Vec<f32>> {
        let cols = self.info.shape.last().map_or(1, |&cols| cols as u64);
        // Rows of a tensor that lies in the file: their numbers fit.
        let rows = (range.start / cols) as usize..(range.end / cols) as usize;
        let mut planes = vec![Vec::new(); layout.plane_units().len()];
        self.append_run(layout, rows.clone(), &mut planes).await?;
        decode(layout, &[rows.len(), cols as usize], &planes)
    }

    /// Appends some rows of a matrix of blocks to the planes of `layout`, bit by bit. Refuses scales that are not finite.
    async fn append_run(&self, layout: Layout, rows: Range<usize>, planes: &mut [Vec<u8>]) -> Result<()> {
        let (&[_, cols], Some((bytes, elements))) = (self.info.shape.as_slice(), block_size(layout)) else {
            return Err(self.error("is stored in blocks where plain numbers are needed"));
        };
        let blocks = cols / elements;
        let row_bytes = (blocks * bytes) as u64;
        let raw = self.read_bytes(rows.start as u64 * row_bytes..rows.end as u64 * row_bytes).await?;
        if let Some(index) = first_not_finite(layout, &raw) {
            let (row, col) = (rows.start + index / blocks, index % blocks * elements);
            return Err(self.error(format!("row {row}, in the block at column {col}: a scale is not a finite number")));
        }
        append_rows(layout, blocks, &raw, planes);
        Ok(())
    }
}

/// Little-endian numbers of a format that can be imported.
pub(super) fn plain_numbers(dtype: Dtype, bytes: &[u8]) -> Vec<f32> {
    match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
        Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect(),
        Dtype::F8_E4M3 => bytes.iter().map(|&x| e4m3(x)).collect(),
        _ => bytes.as_chunks::<2>().0.iter().map(|&x| bf16::from_le_bytes(x).to_f32()).collect(),
    }
}

/// An 8-bit float of 4 bits of exponent and 3 of mantissa, without infinities (<https://arxiv.org/abs/2209.05433>).
fn e4m3(byte: u8) -> f32 {
    let mantissa = f32::from(byte & 7) / 8.0;
    let size = match byte >> 3 & 15 {
        15 if byte & 7 == 7 => f32::NAN,
        0 => mantissa * 2f32.powi(-6),
        exponent => (1.0 + mantissa) * 2f32.powi(i32::from(exponent) - 7),
    };
    if byte & 0x80 == 0 { size } else { -size }
}
