//! Reading safetensors files, tensor by tensor and row by row.
//!
//! The header is read here rather than by the `safetensors` crate, whose offsets are `usize`: in a browser, where that has
//! 32 bits, it cannot read a file of more than 4 GiB. The tests hold both against each other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

use half::{bf16, f16};
use safetensors::Dtype;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::checkpoint::Fingerprint;
use super::source::{ByteSource, FileSet, read_whole};
use crate::error::{Error, Result};

/// Name of a checkpoint that is one file.
pub const SINGLE_FILE: &str = "model.safetensors";
/// Name of the list of a checkpoint that is several files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// The limit of the `safetensors` crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// A tensor of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct TensorInfo {
    /// Number format.
    pub dtype: Dtype,
    /// Sizes, slowest first.
    pub shape: Vec<usize>,
    /// Bytes of the file.
    pub range: Range<u64>,
}

/// A tensor in the header's own words.
#[derive(Deserialize)]
struct HeaderEntry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// A whole header. Read by hand so that a fault is laid to its tensor and no name counts twice.
struct Header(BTreeMap<String, HeaderEntry>);

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Header;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Header, A::Error> {
        let mut entries = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let entry = map.next_value().map_err(|e| A::Error::custom(format!("tensor {name}: {e}")))?;
            if entries.contains_key(&name) {
                return Err(A::Error::custom(format!("tensor {name} is there twice")));
            }
            entries.insert(name, entry);
        }
        Ok(Header(entries))
    }
}

/// One safetensors file.
#[derive(Debug)]
pub struct SafetensorsFile<S> {
    source: S,
    /// What it holds.
    pub tensors: BTreeMap<String, TensorInfo>,
}

impl<S: ByteSource> SafetensorsFile<S> {
    /// Reads the header and checks that the tensors fill the file without gap or overlap.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] or [`Error::Io`].
    pub async fn open(source: S) -> Result<Self> {
        let len = source.len().await?;
        let refuse = |reason: String| Error::checkpoint(source.name(), "", reason);
        if len < 8 {
            return Err(refuse(format!("truncated: {len} bytes are too few for a header")));
        }
        let prefix = source.read(0..8).await?;
        let header_len = prefix.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        if header_len > MAX_HEADER_BYTES || header_len > len - 8 {
            return Err(refuse(format!("truncated or damaged: a header of {header_len} bytes in a file of {len}")));
        }
        let header = source.read(8..8 + header_len).await?;
        let tensors = parse_header(source.name(), &header, 8 + header_len..len)?;
        Ok(Self { source, tensors })
    }
}

/// The tensors of a header; `data` is the part of the file after it.
fn parse_header(file: &str, header: &[u8], data: Range<u64>) -> Result<BTreeMap<String, TensorInfo>> {
    let malformed = |e: serde_json::Error| Error::checkpoint(file, "", format!("malformed header: {e}"));
    let Header(entries) = serde_json::from_slice(header).map_err(malformed)?;
    let mut tensors = BTreeMap::new();
    for (name, entry) in entries {
        let info = tensor_info(entry, &data).map_err(|reason| Error::checkpoint(file, &name, reason))?;
        tensors.insert(name, info);
    }
    check_coverage(file, &tensors, data)?;
    Ok(tensors)
}

fn tensor_info(entry: HeaderEntry, data: &Range<u64>) -> std::result::Result<TensorInfo, String> {
    let HeaderEntry { dtype, shape, data_offsets: [start, end] } = entry;
    let bits = shape.iter().try_fold(dtype.bitsize() as u64, |bits, &size| bits.checked_mul(size as u64));
    let Some(bits) = bits.filter(|bits| bits.is_multiple_of(8)) else {
        return Err(format!("a shape of {shape:?} has no size in bytes"));
    };
    if start > end || end - start != bits / 8 {
        return Err(format!("data offsets {start}..{end} do not fit shape {shape:?} of {dtype}"));
    }
    let len = data.end - data.start;
    if end > len {
        return Err(format!("truncated: the data ends at {end}, the file's at {len}"));
    }
    Ok(TensorInfo { dtype, shape, range: data.start + start..data.start + end })
}

fn check_coverage(file: &str, tensors: &BTreeMap<String, TensorInfo>, data: Range<u64>) -> Result<()> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| (info.range.start, info.range.end));
    let mut covered = data.start;
    for (name, info) in in_order {
        if info.range.start != covered {
            let what = if info.range.start < covered { "overlap the tensor before" } else { "leave a gap before them" };
            return Err(Error::checkpoint(file, name, format!("the data offsets {what}")));
        }
        covered = info.range.end;
    }
    if covered != data.end {
        return Err(Error::checkpoint(file, "", format!("{} bytes belong to no tensor", data.end - covered)));
    }
    Ok(())
}

/// The tensors of one or several files.
#[derive(Debug)]
pub struct Checkpoint<S> {
    files: Vec<SafetensorsFile<S>>,
    file_of: HashMap<String, usize>,
    /// The file that lists the tensors: what an error about a missing one names.
    pub listed_in: String,
}

/// A tensor of a checkpoint.
#[derive(Debug)]
pub struct TensorRef<'a, S> {
    /// Its name.
    pub name: &'a str,
    /// What and where it is.
    pub info: &'a TensorInfo,
    source: &'a S,
}

impl<S: ByteSource> Checkpoint<S> {
    /// Opens `model.safetensors`, or what `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] or [`Error::Io`].
    pub async fn open<F: FileSet<Source = S>>(files: &F) -> Result<Self> {
        if let Some(source) = files.open(SINGLE_FILE).await? {
            let file = SafetensorsFile::open(source).await?;
            let file_of = file.tensors.keys().map(|name| (name.clone(), 0)).collect();
            return Ok(Self { listed_in: file.source.name().into(), files: vec![file], file_of });
        }
        match read_whole(files, INDEX_FILE, MAX_INDEX_BYTES).await? {
            Some(index) => Self::open_indexed(files, &index).await,
            None => Err(Error::checkpoint(SINGLE_FILE, "", format!("neither it nor {INDEX_FILE} is there"))),
        }
    }

    async fn open_indexed<F: FileSet<Source = S>>(files: &F, index: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Index {
            weight_map: BTreeMap<String, String>,
        }
        let index: Index =
            serde_json::from_slice(index).map_err(|e| Error::checkpoint(INDEX_FILE, "", format!("malformed: {e}")))?;
        let mut opened: Vec<SafetensorsFile<S>> = Vec::new();
        let mut position = HashMap::new();
        let mut file_of = HashMap::new();
        for (tensor, file) in index.weight_map {
            let at = match position.get(&file) {
                Some(&at) => at,
                None => {
                    opened.push(open_listed(files, &tensor, &file).await?);
                    position.insert(file.clone(), opened.len() - 1);
                    opened.len() - 1
                }
            };
            if !opened[at].tensors.contains_key(&tensor) {
                return Err(Error::checkpoint(
                    file,
                    tensor,
                    format!("{INDEX_FILE} places it here, but it is not here"),
                ));
            }
            file_of.insert(tensor, at);
        }
        Ok(Self { files: opened, file_of, listed_in: INDEX_FILE.into() })
    }

    /// Adds all that the files say about their tensors.
    pub(super) fn add_to(&self, fingerprint: &mut Fingerprint) {
        for file in &self.files {
            fingerprint.add((file.source.name(), &file.tensors));
        }
    }

    /// The tensor of that name.
    pub fn tensor(&self, name: &str) -> Option<TensorRef<'_, S>> {
        let (_, &at) = self.file_of.get_key_value(name)?;
        let file = &self.files[at];
        let (name, info) = file.tensors.get_key_value(name)?;
        Some(TensorRef { name, info, source: &file.source })
    }
}

async fn open_listed<F: FileSet>(files: &F, tensor: &str, file: &str) -> Result<SafetensorsFile<F::Source>> {
    if file.contains(['/', '\\', ':']) || file.starts_with('.') {
        return Err(Error::checkpoint(INDEX_FILE, tensor, format!("{file:?} is not a plain file name")));
    }
    match files.open(file).await? {
        Some(source) => SafetensorsFile::open(source).await,
        None => Err(Error::checkpoint(INDEX_FILE, tensor, format!("names {file}, which is not there"))),
    }
}

impl<S: ByteSource> TensorRef<'_, S> {
    /// An [`Error::InvalidCheckpoint`] about this tensor.
    pub fn error(&self, reason: impl Into<String>) -> Error {
        Error::checkpoint(self.source.name(), self.name, reason)
    }

    /// Where it is: its file and its first byte there. In this order all files are read from front to back.
    pub fn place(&self) -> (&str, u64) {
        (self.source.name(), self.info.range.start)
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.info.range.end - self.info.range.start
    }

    /// Bytes of one element.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] for number formats that [`Self::read`] does not convert.
    pub fn element_bytes(&self) -> Result<u64> {
        match self.info.dtype {
            Dtype::F32 => Ok(4),
            Dtype::F16 | Dtype::BF16 => Ok(2),
            Dtype::F8_E4M3 => Ok(1),
            other => Err(self.error(format!("is stored as {other}; only F32, F16, BF16 and F8_E4M3 can be imported"))),
        }
    }

    /// The elements of `range` as `f32`, exactly; 8-bit floats without the scale that may belong to them.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] for other number formats or elements that are not there; [`Error::Io`].
    pub async fn read(&self, range: Range<u64>) -> Result<Vec<f32>> {
        let size = self.element_bytes()?;
        let bytes = self.read_bytes(range.start.saturating_mul(size)..range.end.saturating_mul(size)).await?;
        Ok(self.numbers(&bytes))
    }

    /// What bytes of this tensor are worth, if its number format is one that [`Self::read`] converts.
    pub(super) fn numbers(&self, bytes: &[u8]) -> Vec<f32> {
        match self.info.dtype {
            Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&x| f32::from_le_bytes(x)).collect(),
            Dtype::F16 => bytes.as_chunks::<2>().0.iter().map(|&x| f16::from_le_bytes(x).to_f32()).collect(),
            Dtype::F8_E4M3 => bytes.iter().map(|&x| e4m3(x)).collect(),
            _ => bytes.as_chunks::<2>().0.iter().map(|&x| bf16::from_le_bytes(x).to_f32()).collect(),
        }
    }

    /// Bytes of the tensor.
    ///
    /// # Errors
    /// [`Error::InvalidCheckpoint`] if they are not there; [`Error::Io`].
    pub async fn read_bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let Range { start, end } = self.info.range;
        if range.start > range.end || range.end > end - start {
            return Err(self.error(format!("has no bytes {range:?}")));
        }
        self.source.read(start + range.start..start + range.end).await
    }

    /// `len` bytes from the tensor's first on, those of others after it among them.
    pub(super) async fn read_on(&self, len: u64) -> Result<Vec<u8>> {
        self.source.read(self.info.range.start..self.info.range.start + len).await
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
