//! Conversion of tensors, some rows at a time.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};

use super::layouts::Layouts;
use super::tensors::{ElementType, TensorRef};
use crate::error::{Error, Result};
use crate::families::{Role, TensorSpec};
use crate::layout::quant::{Unstorable, encode_rows};
use crate::layout::{Layout, ROW_GROUP};
use crate::package::source::ByteSource;
use crate::package::writer::{PackageSink, PackageWriter};

/// Elements converted at a time: 4 MiB as `f32`.
const CHUNK: usize = 1 << 20;

/// Options of an import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// The model's name, for people; by default taken from the files.
    pub name: Option<String>,
    /// Licence of the weights; by default taken from the files.
    pub license: Option<String>,
    /// Source of the weights; by default taken from the files.
    pub source: Option<String>,
    /// Layouts of the matrices in the package.
    pub layouts: Layouts,
}

/// Progress of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Weights written.
    pub done: u64,
    /// Weights in all.
    pub total: u64,
    /// Source bytes of the weights written.
    pub done_bytes: u64,
    /// Source bytes of all weights.
    pub total_bytes: u64,
}

/// A tensor to convert: its source, and its form in the package.
pub(super) struct Piece<'a, S> {
    pub(super) tensor: TensorRef<'a, S>,
    pub(super) spec: TensorSpec,
    pub(super) layout: Layout,
}

/// Writes tensors in the order given. `progress` is called every few megabytes and may stop the import.
pub(super) async fn convert<S: ByteSource, K: PackageSink>(
    pieces: &[Piece<'_, S>],
    writer: &mut PackageWriter<K>,
    mut progress: impl FnMut(Progress) -> ControlFlow<()>,
) -> Result<()> {
    let sizes = || pieces.iter().map(|piece| (piece.spec.len(), piece.tensor.bytes()));
    let (total, total_bytes) = sizes().fold((0, 0), |(total, all), (len, bytes)| (total + len, all + bytes));
    let mut before = Progress { total, total_bytes, ..Progress::default() };
    for (index, (piece, (len, bytes))) in pieces.iter().zip(sizes()).enumerate() {
        // Earlier tensors were complete when the import was interrupted.
        if index >= writer.complete() {
            let advance = |elements: u64| {
                // An estimate for display: exact at the end.
                let share = u128::from(bytes) * u128::from(elements) / u128::from(len.max(1));
                let (done, done_bytes) = (before.done + elements, before.done_bytes + share as u64);
                let stopped = progress(Progress { done, done_bytes, ..before }).is_break();
                if stopped { Err(Error::Aborted) } else { Ok(()) }
            };
            piece.convert(writer, advance).await?;
        }
        before.done += len;
        before.done_bytes += bytes;
    }
    Ok(())
}

impl<S: ByteSource> Piece<'_, S> {
    /// Writes the tensor; `advance` receives the number of elements written so far.
    async fn convert<K: PackageSink>(
        &self,
        writer: &mut PackageWriter<K>,
        mut advance: impl FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let Self { tensor, spec, layout } = self;
        let there = writer.begin(&spec.name, &spec.shape, *layout).await?;
        let is_copy = tensor.info.kind == ElementType::Blocks(*layout);
        if tensor.held().is_quantised() && !is_copy {
            writer.requantized_from(tensor.held());
        }
        let &[rows, cols] = spec.shape.as_slice() else {
            if there == 0 {
                writer.append(&mut [self.vector().await?]).await?;
            }
            advance(spec.len())?;
            return writer.end().await;
        };
        let elements = |rows: usize| rows as u64 * cols as u64;
        advance(elements(there))?;
        let mut planes = vec![Vec::new(); layout.plane_units().len()];
        for chunk in row_chunks(there, rows, cols) {
            let (first, end) = (chunk.start, elements(chunk.end));
            if is_copy {
                tensor.append_blocks(*layout, chunk, &mut planes).await?;
            } else {
                let values = tensor.read(elements(first)..end).await?; // [chunk rows, cols]
                encode_rows(*layout, cols, &values, &mut planes).map_err(|fault| {
                    let Unstorable { row, col, value, reason } = fault;
                    tensor.error(format!("row {}, in the block at column {col}: {value} {reason}", first + row))
                })?;
            }
            writer.append(&mut planes).await?;
            advance(end)?;
        }
        writer.end().await
    }

    /// The elements of a vector, unchanged.
    async fn vector(&self) -> Result<Vec<u8>> {
        let values = self.tensor.read(0..self.spec.len()).await?;
        if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(self.tensor.error(format!("element {index} is {value}, not a finite number")));
        }
        Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }
}

/// Rows after the first `there` in chunks of about [`CHUNK`] elements, whole row groups but for the last.
pub fn row_chunks(there: usize, rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (CHUNK / cols / ROW_GROUP).max(1) * ROW_GROUP;
    (there..rows).step_by(step).map(move |start| start..rows.min(start + step))
}

/// The layout of most weights in the layers' matrices, which is named as the quantization of the package.
pub fn main_layout<'a>(tensors: impl Iterator<Item = (&'a TensorSpec, Layout)>) -> Layout {
    let mut stored = BTreeMap::new();
    for (spec, layout) in tensors.filter(|(spec, _)| matches!(spec.role, Role::Layer(_)) && spec.is_matrix()) {
        *stored.entry(layout).or_insert(0) += spec.len();
    }
    stored.into_iter().max_by_key(|&(_, len)| len).map_or(Layout::F16, |(layout, _)| layout)
}
