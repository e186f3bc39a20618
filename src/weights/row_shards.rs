//! How the tensors of a package become buffers: matrices with the same inputs are fused, and whatever exceeds the largest binding is
//! split into shards of rows. Pure arithmetic: what is allocated and what a memory plan counts come from here.

use std::collections::HashMap;

use super::layout::{Layout, MatrixShape, ROW_GROUP};
use super::manifest::{Manifest, TensorEntry};
use crate::error::{Error, Result};
use crate::families::tensor_spec::TensorSpec;

/// Shards have a multiple of this many rows where they can: a tile of the products, and 256 bytes of a bias.
const TILE_ROWS: usize = 64;

/// A buffer of a plane: some rows of a matrix, or a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShardSpec {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Bytes of each plane.
    pub(crate) planes: Vec<u64>,
}

/// A tensor, or several stacked by rows, and its buffers.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) name: String,
    /// The fused matrix that it is, or a part of.
    pub(crate) fused: Option<String>,
    /// Indices in [`Manifest::tensors`], in order of their rows.
    pub(crate) tensors: Vec<usize>,
    pub(crate) layout: Layout,
    /// `None` for a vector.
    pub(crate) shape: Option<MatrixShape>,
    pub(crate) shards: Vec<ShardSpec>,
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

/// Where tensors go, in the order of `specs`. Parts of a fused matrix whose layouts differ stay apart.
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
        let fused = parts.first().and_then(|(spec, _)| spec.fuse.clone());
        match &fused {
            Some(name) if fusible(manifest, &tensors) => {
                placed.extend(split(manifest, (name.clone(), fused), tensors, limit)?);
            }
            _ => {
                for (spec, index) in parts {
                    placed.extend(split(manifest, (spec.name.clone(), fused.clone()), vec![*index], limit)?);
                }
            }
        }
    }
    Ok(placed)
}

fn split(
    manifest: &Manifest,
    (name, fused): (String, Option<String>),
    tensors: Vec<usize>,
    limit: u64,
) -> Result<Option<Placed>> {
    let Some(first) = tensors.first().map(|&i| &manifest.tensors[i]) else { return Ok(None) };
    let layout = first.layout;
    let [_, cols] = first.shape[..] else {
        let planes = first.planes.iter().map(|plane| plane.bytes).collect();
        let shards = vec![ShardSpec { first_row: 0, rows: 1, planes }];
        return Ok(Some(Placed { name, fused, tensors, layout, shape: None, shards }));
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
        ShardSpec { first_row, rows, planes: planes(rows) }
    };
    let shards = (0..shape.rows).step_by(step).map(shard).collect();
    Ok(Some(Placed { name, fused, tensors, layout, shape: Some(shape), shards }))
}

/// Whether the rows of matrices can follow one another in the same planes.
fn fusible(manifest: &Manifest, parts: &[usize]) -> bool {
    let tensors: Vec<&TensorEntry> = parts.iter().map(|&i| &manifest.tensors[i]).collect();
    let alike = |a: &TensorEntry, b: &TensorEntry| a.layout == b.layout && a.shape.get(1) == b.shape.get(1);
    let whole_groups = |tensor: &&TensorEntry| tensor.shape[0].is_multiple_of(ROW_GROUP);
    tensors.windows(2).all(|pair| alike(pair[0], pair[1])) && tensors.iter().rev().skip(1).all(whole_groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The head of Ministral 3 on a device that binds 128 MiB, in every layout.
    #[test]
    fn a_head_larger_than_a_binding_is_split_into_shards_that_fit() {
        let shape = MatrixShape { rows: 131_072, cols: 3072 };
        for layout in Layout::ALL {
            let step = rows_of_shard(layout, shape, 128 * MIB).expect("shards");
            assert!(step.is_multiple_of(TILE_ROWS) && step <= shape.rows, "{layout}: {step}");
            let shard = layout.matrix_planes(MatrixShape { rows: step, ..shape }).expect("planes");
            assert!(shard.iter().all(|plane| plane.bytes <= 128 * MIB), "{layout}: {shard:?}");
            let whole = layout.matrix_planes(shape).expect("planes").iter().map(|plane| plane.bytes).max();
            let fewest = whole.unwrap_or_default().div_ceil(128 * MIB) as usize;
            // One more where whole groups of rows do not fill a binding.
            assert!(shape.rows.div_ceil(step) <= fewest + 1, "{layout}: {step} rows a shard");
        }
    }

    #[test]
    fn shards_are_whole_groups_even_where_tiles_do_not_fit() {
        let shape = MatrixShape { rows: 30, cols: 64 };
        // Four rows take 1024 bytes.
        assert_eq!(rows_of_shard(Layout::F32, shape, 1023), None);
        assert_eq!(rows_of_shard(Layout::F32, shape, 1024), Some(4));
        assert_eq!(rows_of_shard(Layout::F32, shape, 4096), Some(16), "two even shards");
        assert_eq!(rows_of_shard(Layout::F32, shape, u64::MAX), Some(64), "one shard");
    }
}
