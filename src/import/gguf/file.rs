//! One GGUF file: its header, checked, and its tensors.

use std::collections::BTreeMap;

use safetensors::Dtype;

use super::cursor::Cursor;
use super::pairs::read_metadata;
use crate::checkpoint::gguf::metadata::Metadata;
use crate::error::{Error, Result};
use crate::import::tensors::{ElementType, TensorFile, TensorInfo};
use crate::layout::Layout;
use crate::package::source::{ByteSource, FileSet};

/// Longest header that is read; eight times that of a published model. In memory it takes at most eight times its bytes.
const MAX_HEADER_BYTES: u64 = 64 << 20;

const MAGIC: u32 = 0x4655_4747;
const MAX_NAME_BYTES: u64 = 1024;
const MAX_TYPE: u32 = 39;
const MAX_DIMENSIONS: u32 = 4;
/// The alignment of tensors in a file that names none.
pub const DEFAULT_ALIGNMENT: usize = 32;

/// The type of that number in the format, or its name if it cannot be imported.
fn element_type(number: u32) -> std::result::Result<ElementType, &'static str> {
    if let Some(layout) = Layout::from_ggml(number) {
        return Ok(ElementType::Blocks(layout));
    }
    Ok(ElementType::Plain(match number {
        0 => Dtype::F32,
        1 => Dtype::F16,
        30 => Dtype::BF16,
        16..=22 | 29 => return Err("IQ"),
        _ => return Err("unknown"),
    }))
}

/// The type's number in the format.
pub fn type_number(kind: ElementType) -> Option<u32> {
    (0..=MAX_TYPE).find(|&number| element_type(number) == Ok(kind))
}

/// Reads a header and checks that every tensor lies in the file, aligned and apart from the others.
pub(super) async fn open<F: FileSet>(files: &F, name: &str) -> Result<(Metadata, TensorFile<F::Source>)> {
    let Some(source) = files.open(name).await? else {
        return Err(Error::checkpoint(name, "", "there is no such file"));
    };
    let len = source.len().await?;
    let file = source.name().to_owned();
    let mut cursor = Cursor::new(&source, len.min(MAX_HEADER_BYTES));
    let (metadata, entries) = header(&mut cursor, &file).await?;
    let alignment = metadata.get("general.alignment")?.unwrap_or(DEFAULT_ALIGNMENT) as u64;
    if !alignment.is_power_of_two() || alignment > MAX_HEADER_BYTES {
        return Err(metadata.refuse(format!("general.alignment is {alignment}, not a power of two")));
    }
    // A file without tensors may end before the padding.
    let data = cursor.position().next_multiple_of(alignment).min(len)..len;
    let mut tensors = BTreeMap::new();
    for Entry { name, kind, shape, offset } in entries {
        let fault = |reason: String| Error::checkpoint(&file, &name, reason);
        let bytes = kind.bytes(&shape).map_err(fault)?;
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
    Ok((metadata, TensorFile { source, tensors }))
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
    let metadata = read_metadata(cursor, file, pairs).await?;
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
    let kind = element_type(number).map_err(|name| {
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
