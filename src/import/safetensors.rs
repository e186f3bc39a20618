//! Reading safetensors files, tensor by tensor and row by row.
//!
//! The header is read here rather than by the `safetensors` crate, whose offsets are `usize`: in a browser, where that has
//! 32 bits, it cannot read a file of more than 4 GiB. The tests hold both against each other.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Range;

use safetensors::Dtype;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};

use super::tensors::{ElementType, TensorFile, TensorFiles, TensorInfo};
use crate::error::{Error, Result};
use crate::package::source::{ByteSource, FileSet, read_whole};

/// Name of a checkpoint that is one file.
pub const SINGLE_FILE: &str = "model.safetensors";
/// Name of the list of a checkpoint that is several files.
pub const INDEX_FILE: &str = "model.safetensors.index.json";

/// The limit of the `safetensors` crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// A tensor's entry in the header.
#[derive(Deserialize)]
struct HeaderEntry {
    dtype: Dtype,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Visitor of a header, written by hand so that errors name their tensor and duplicate names are found.
struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = BTreeMap<String, HeaderEntry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
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
        Ok(entries)
    }
}

/// Reads the header of a file and checks that the tensors fill it without gap or overlap.
///
/// # Errors
/// [`Error::InvalidCheckpoint`] or [`Error::Io`].
pub async fn open_file<S: ByteSource>(source: S) -> Result<TensorFile<S>> {
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
    Ok(TensorFile { source, tensors })
}

/// The tensors of a header; `data` is the part of the file after it.
fn parse_header(file: &str, header: &[u8], data: Range<u64>) -> Result<BTreeMap<String, TensorInfo>> {
    let malformed = |e: serde_json::Error| Error::checkpoint(file, "", format!("malformed header: {e}"));
    let mut json = serde_json::Deserializer::from_slice(header);
    let entries = json.deserialize_map(HeaderVisitor).map_err(malformed)?;
    json.end().map_err(malformed)?;
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
    Ok(TensorInfo { kind: ElementType::Plain(dtype), shape, range: data.start + start..data.start + end })
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

/// Opens `model.safetensors`, or the files that `model.safetensors.index.json` lists. Also returns the file that lists the tensors, which an
/// error about a missing one names; fails with [`Error::InvalidCheckpoint`] or [`Error::Io`].
pub(super) async fn open<F: FileSet>(files: &F) -> Result<(TensorFiles<F::Source>, String)> {
    if let Some(source) = files.open(SINGLE_FILE).await? {
        let file = open_file(source).await?;
        let place = file.tensors.keys().map(|name| (name.clone(), 0)).collect();
        let listed_in = file.source.name().into();
        return Ok((TensorFiles { files: vec![file], place }, listed_in));
    }
    match read_whole(files, INDEX_FILE, MAX_INDEX_BYTES).await? {
        Some(index) => Ok((open_indexed(files, &index).await?, INDEX_FILE.into())),
        None => Err(Error::checkpoint(SINGLE_FILE, "", format!("neither it nor {INDEX_FILE} is there"))),
    }
}

async fn open_indexed<F: FileSet>(files: &F, index: &[u8]) -> Result<TensorFiles<F::Source>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let index: Index =
        serde_json::from_slice(index).map_err(|e| Error::checkpoint(INDEX_FILE, "", format!("malformed: {e}")))?;
    let mut opened = TensorFiles { files: Vec::new(), place: BTreeMap::new() };
    let mut position = HashMap::new();
    for (tensor, file) in index.weight_map {
        let at = *position.entry(file.clone()).or_insert(opened.files.len());
        if at == opened.files.len() {
            opened.files.push(open_listed(files, &tensor, &file).await?);
        }
        if !opened.files[at].tensors.contains_key(&tensor) {
            return Err(Error::checkpoint(file, tensor, format!("{INDEX_FILE} places it here, but it is not here")));
        }
        opened.place.insert(tensor, at);
    }
    Ok(opened)
}

async fn open_listed<F: FileSet>(files: &F, tensor: &str, file: &str) -> Result<TensorFile<F::Source>> {
    if file.contains(['/', '\\', ':']) || file.starts_with('.') {
        return Err(Error::checkpoint(INDEX_FILE, tensor, format!("{file:?} is not a plain file name")));
    }
    match files.open(file).await? {
        Some(source) => open_file(source).await,
        None => Err(Error::checkpoint(INDEX_FILE, tensor, format!("names {file}, which is not there"))),
    }
}
