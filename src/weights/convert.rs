//! One tensor from a checkpoint's numbers to the package's planes.

use std::ops::{ControlFlow, Range};

use super::layout::{Layout, ROW_GROUP};
use super::quant::{Unstorable, encode_rows};
use super::writer::{PackageSink, PackageWriter};
use crate::error::{Error, Result};
use crate::families::TensorSpec;

/// Elements converted at a time: 4 MiB as `f32`.
const CHUNK: usize = 1 << 20;

/// How far an importer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Weights written.
    pub done: u64,
    /// Weights in all.
    pub total: u64,
    /// Bytes of the source behind the weights written.
    pub done_bytes: u64,
    /// Bytes of the source behind all weights.
    pub total_bytes: u64,
}

/// Tells a caller how far an import is, and hears whether to stop.
pub(super) struct Meter<P> {
    progress: P,
    at: Progress,
}

impl<P: FnMut(Progress) -> ControlFlow<()>> Meter<P> {
    /// `tensors` are the elements of every tensor and the bytes they take in the source.
    pub(super) fn new(progress: P, tensors: impl Iterator<Item = (u64, u64)>) -> Self {
        let (total, total_bytes) = tensors.fold((0, 0), |(total, all), (len, bytes)| (total + len, all + bytes));
        Self { progress, at: Progress { done: 0, total, done_bytes: 0, total_bytes } }
    }

    /// Hears of each step of a tensor, elements it took, and passes it on. A step of no elements reports what is there already.
    pub(super) fn of_tensor(&mut self, len: u64, bytes: u64) -> impl FnMut(u64) -> Result<()> {
        let before = self.at;
        move |elements| {
            self.at.done += elements;
            // A share of a file's bytes, for people: exact at the end.
            let share = u128::from(bytes) * u128::from(self.at.done - before.done) / u128::from(len.max(1));
            self.at.done_bytes = before.done_bytes + share as u64;
            if (self.progress)(self.at).is_break() { Err(Error::Aborted) } else { Ok(()) }
        }
    }

    /// Counts a tensor that an interrupted import had completed.
    pub(super) fn skip(&mut self, len: u64, bytes: u64) {
        self.at.done += len;
        self.at.done_bytes += bytes;
    }
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
    let there = writer.begin(&spec.name, &spec.shape, layout).await?;
    if tensor.held().is_quantised() {
        writer.requantized_from(tensor.held());
    }
    let &[rows, cols] = spec.shape.as_slice() else {
        if there == 0 {
            let plane = vector(tensor, spec).await?;
            writer.append(&mut [plane]).await?;
        }
        advance(spec.len())?;
        return writer.end().await;
    };
    advance((there * cols) as u64)?;
    let mut planes = vec![Vec::new(); layout.plane_units().len()];
    for chunk in row_chunks(there, rows, cols) {
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

/// The elements of a vector, which are kept as they are.
async fn vector<T: Numbers>(tensor: &T, spec: &TensorSpec) -> Result<Vec<u8>> {
    let values = tensor.read(0..spec.len()).await?;
    if let Some((index, value)) = values.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(tensor.error(format!("element {index} is {value}, not a finite number")));
    }
    Ok(values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

/// Rows after the first `there` in chunks of about [`CHUNK`] elements, whole row groups but for the last.
pub(super) fn row_chunks(there: usize, rows: usize, cols: usize) -> impl Iterator<Item = Range<usize>> {
    let step = (CHUNK / cols / ROW_GROUP).max(1) * ROW_GROUP;
    (there..rows).step_by(step).map(move |start| start..rows.min(start + step))
}
