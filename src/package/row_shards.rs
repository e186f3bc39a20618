//! Buffers of a package's tensors: matrices with the same inputs are fused, and tensors larger than a binding are split into shards of rows.
//! Allocations and memory plans both use this arithmetic.

use std::collections::HashMap;

use super::manifest::{Manifest, TensorEntry};
use crate::error::{Error, Result};
use crate::families::tensor_spec::TensorSpec;
use crate::layout::{Layout, MatrixShape, ROW_GROUP};
use crate::weights::RowShard;

/// Shards have a multiple of this many rows if possible: a tile of the products, and 256 bytes of a bias.
const TILE_ROWS: usize = 64;

/// A tensor, or several stacked by rows, and its buffers.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) name: String,
    /// Its name in the [`WeightStore`](crate::weights::WeightStore): that of the fused matrix, if it belongs to one.
    pub(crate) key: String,
    /// Indices in [`Manifest::tensors`], in order of their rows.
    pub(crate) tensors: Vec<usize>,
    pub(crate) layout: Layout,
    /// `None` for a vector.
    pub(crate) shape: Option<MatrixShape>,
    /// Bytes of each plane.
    pub(crate) shards: Vec<RowShard<u64>>,
    /// True for a vector that matvec kernels read beside their inputs.
    pub(crate) beside_inputs: bool,
}

/// Rows of each shard but the last, so that no plane of a shard takes more than `limit` bytes. `None` if not even [`ROW_GROUP`] rows fit.
pub fn rows_of_shard(layout: Layout, shape: MatrixShape, limit: u64) -> Option<usize> {
    let one_group = layout.matrix_planes(MatrixShape { rows: ROW_GROUP, ..shape })?;
    let widest = one_group.iter().map(|plane| plane.bytes).max()?;
    // Buffers are whole vectors of 16 bytes.
    let most = usize::try_from(limit / 16 * 16 / widest).unwrap_or(usize::MAX);
    let groups = shape.rows.div_ceil(ROW_GROUP);
    if most == 0 {
        return None;
    }
    let even = groups.div_ceil(groups.div_ceil(most));
    let tiled = even.next_multiple_of(TILE_ROWS / ROW_GROUP);
    Some(if tiled <= most { tiled } else { even } * ROW_GROUP)
}

/// The buffers of tensors, in the order of `specs`. Parts of a fused matrix with different layouts stay separate.
///
/// # Errors
/// [`Error::LimitsTooSmall`] if a buffer of `limit` bytes cannot hold [`ROW_GROUP`] rows of a matrix.
pub(crate) fn place(manifest: &Manifest, specs: &[TensorSpec], limit: u64) -> Result<Vec<Placed>> {
    let names = manifest.tensors.iter().enumerate().map(|(index, tensor)| (tensor.name.as_str(), index));
    let index: HashMap<&str, usize> = names.collect();
    let selected: Vec<(&TensorSpec, usize)> =
        specs.iter().filter_map(|spec| Some((spec, *index.get(spec.name.as_str())?))).collect();
    let mut placed = Vec::new();
    for parts in selected.chunk_by(|(a, _), (b, _)| a.fuse.is_some() && a.fuse == b.fuse) {
        let tensors: Vec<usize> = parts.iter().map(|(_, index)| *index).collect();
        let fused = parts[0].0.fuse.as_ref();
        if let Some(name) = fused.filter(|_| fusible(manifest, &tensors)) {
            placed.push(split(manifest, name, name, tensors, limit)?);
            continue;
        }
        for (TensorSpec { name, beside_inputs, .. }, index) in parts {
            let alone = split(manifest, name, fused.unwrap_or(name), vec![*index], limit)?;
            placed.push(Placed { beside_inputs: *beside_inputs, ..alone });
        }
    }
    Ok(placed)
}

fn split(manifest: &Manifest, name: &str, key: &str, tensors: Vec<usize>, limit: u64) -> Result<Placed> {
    let first = &manifest.tensors[tensors[0]];
    let (name, key) = (name.to_owned(), key.to_owned());
    let (layout, beside_inputs) = (first.layout, false);
    let [_, cols] = first.shape[..] else {
        let planes = first.planes.iter().map(|plane| plane.bytes).collect();
        let shards = vec![RowShard { first_row: 0, rows: 1, planes }];
        return Ok(Placed { name, key, tensors, layout, shape: None, shards, beside_inputs });
    };
    let shape = MatrixShape { rows: tensors.iter().map(|&i| manifest.tensors[i].shape[0]).sum(), cols };
    let planes = |rows: usize| {
        let planes = layout.matrix_planes(MatrixShape { rows, cols }).unwrap_or_default();
        planes.iter().map(|plane| plane.bytes).collect::<Vec<_>>()
    };
    let Some(step) = rows_of_shard(layout, shape, limit) else {
        let needed = planes(ROW_GROUP).into_iter().max().unwrap_or_default();
        let limit_name = "maxStorageBufferBindingSize";
        return Err(Error::LimitsTooSmall { limit: limit_name, what: name, needed, available: limit });
    };
    let shard = |first_row: usize| {
        let rows = step.min(shape.rows - first_row);
        RowShard { first_row, rows, planes: planes(rows) }
    };
    let shards = (0..shape.rows).step_by(step).map(shard).collect();
    Ok(Placed { name, key, tensors, layout, shape: Some(shape), shards, beside_inputs })
}

/// Returns true if the rows of the matrices can follow one another in the same planes.
fn fusible(manifest: &Manifest, parts: &[usize]) -> bool {
    let tensors: Vec<&TensorEntry> = parts.iter().map(|&i| &manifest.tensors[i]).collect();
    let alike = |a: &TensorEntry, b: &TensorEntry| a.layout == b.layout && a.shape.get(1) == b.shape.get(1);
    let whole_groups = |tensor: &&TensorEntry| tensor.shape[0].is_multiple_of(ROW_GROUP);
    tensors.windows(2).all(|pair| alike(pair[0], pair[1])) && tensors.iter().rev().skip(1).all(whole_groups)
}
