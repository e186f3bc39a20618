//! One tensor from a checkpoint's numbers to the package's planes.

use std::ops::Range;

use super::layout::{Layout, ROW_GROUP};
use super::quant::{Unstorable, encode_rows};
use super::tensors::TensorSpec;
use super::writer::{PackageSink, PackageWriter};
use crate::error::{Error, Result};

/// Elements converted at a time: 4 MiB as `f32`.
const CHUNK: usize = 1 << 20;

/// How far an importer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Weights written.
    pub done: u64,
    /// Weights in all.
    pub total: u64,
}

/// A tensor of a checkpoint whose elements can be read as numbers.
pub(super) trait Numbers {
    /// The elements of `range`.
    async fn read(&self, range: Range<u64>) -> Result<Vec<f32>>;

    /// The layout nearest to how the checkpoint holds it; floats narrower than 32 bits count as f16.
    fn held(&self) -> Layout;

    /// An error about this tensor.
    fn error(&self, reason: String) -> Error;
}

/// Writes a tensor, some rows at a time; `advance` hears how many elements each step took.
pub(super) async fn convert<T: Numbers, K: PackageSink>(
    tensor: &T,
    spec: &TensorSpec,
    layout: Layout,
    writer: &mut PackageWriter<K>,
    mut advance: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    writer.begin(&spec.name, &spec.shape, layout).await?;
    if tensor.held().is_quantised() {
        writer.requantized_from(tensor.held());
    }
    let &[rows, cols] = spec.shape.as_slice() else {
        let values = tensor.read(0..spec.len()).await?;
        let mut plane = Vec::with_capacity(values.len() * 4);
        for (index, value) in values.iter().enumerate() {
            if !value.is_finite() {
                return Err(tensor.error(format!("element {index} is {value}, not a finite number")));
            }
            plane.extend(value.to_le_bytes());
        }
        writer.append(&mut [plane]).await?;
        advance(values.len() as u64)?;
        return writer.end().await;
    };
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    for chunk in row_chunks(rows, cols) {
        let elements = chunk.start as u64 * cols as u64..chunk.end as u64 * cols as u64;
        let taken = elements.end - elements.start;
        let values = tensor.read(elements).await?; // [chunk rows, cols]
        encode_rows(layout, cols, &values, &mut planes).map_err(|fault| {
            let Unstorable { row, col, value, reason } = fault;
            tensor.error(format!("row {}, in the block at column {col}: {value} {reason}", chunk.start + row))
        })?;
        writer.append(&mut planes).await?;
        advance(taken)?;
    }
    writer.end().await
}

/// Rows in chunks of about [`CHUNK`] elements, whole row groups but for the last.
pub(super) fn row_chunks(rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (CHUNK / cols / ROW_GROUP).max(1) * ROW_GROUP;
    (0..rows).step_by(step).map(move |start| start..rows.min(start + step))
}
