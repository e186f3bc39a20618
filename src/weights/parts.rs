//! How the tensors of a package are cut into buffers: matrices over the same inputs behind one another, and whatever a binding
//! cannot hold into parts by rows. Pure arithmetic: what is allocated and what a memory plan counts come from here.

use std::collections::HashMap;

use super::layout::{Layout, MatrixShape, ROW_GROUP};
use super::manifest::{Manifest, TensorEntry};
use crate::error::{Error, Result};

/// Rows that parts have a multiple of where they can: a tile of the products, and 256 bytes of a bias.
const TILE_ROWS: usize = 64;

/// A buffer of a plane: some rows of a matrix, or a vector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartSpec {
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
    /// Bytes of each plane.
    pub(crate) planes: Vec<u64>,
}

/// A tensor, or several stacked by rows, and its buffers.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    pub(crate) name: String,
    /// Indices in [`Manifest::tensors`], in order of their rows.
    pub(crate) tensors: Vec<usize>,
    pub(crate) layout: Layout,
    /// `None` for a vector.
    pub(crate) shape: Option<MatrixShape>,
    pub(crate) parts: Vec<PartSpec>,
}

/// Rows of each part but the last, so that no plane of a part takes more than `limit` bytes. `None` if not even the fewest rows
/// that can be told apart do.
pub fn rows_of_part(layout: Layout, shape: MatrixShape, limit: u64) -> Option<usize> {
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

/// Where the tensors whose names are `wanted` go. Each of `joins` names matrices over the same inputs that are to become one,
/// where their layouts allow it.
///
/// # Errors
/// [`Error::LimitsTooSmall`] if a buffer of `limit` bytes cannot hold four rows of a matrix.
pub(crate) fn place(
    manifest: &Manifest,
    joins: &[Vec<String>],
    wanted: &dyn Fn(&str) -> bool,
    limit: u64,
) -> Result<Vec<Placed>> {
    let index: HashMap<&str, usize> = manifest
        .tensors
        .iter()
        .enumerate()
        .map(|(i, tensor)| (tensor.name.as_str(), i))
        .filter(|(name, _)| wanted(name))
        .collect();
    let mut placed = Vec::new();
    let mut alone = vec![true; manifest.tensors.len()];
    for names in joins {
        let tensors: Option<Vec<usize>> = names.iter().map(|name| index.get(name.as_str()).copied()).collect();
        if let Some(tensors) = tensors.filter(|tensors| joinable(manifest, tensors)) {
            tensors.iter().for_each(|&i| alone[i] = false);
            placed.extend(cut(manifest, joined_name(names), tensors, limit)?);
        }
    }
    for (i, tensor) in manifest.tensors.iter().enumerate() {
        if alone[i] && index.contains_key(tensor.name.as_str()) {
            placed.extend(cut(manifest, tensor.name.clone(), vec![i], limit)?);
        }
    }
    Ok(placed)
}

/// The name under which stacked matrices are kept.
pub(crate) fn joined_name(names: &[String]) -> String {
    names.join("+")
}

fn cut(manifest: &Manifest, name: String, tensors: Vec<usize>, limit: u64) -> Result<Option<Placed>> {
    let Some(first) = tensors.first().map(|&i| &manifest.tensors[i]) else { return Ok(None) };
    let layout = first.layout;
    let [_, cols] = first.shape[..] else {
        let planes = first.planes.iter().map(|plane| plane.bytes).collect();
        let parts = vec![PartSpec { first_row: 0, rows: 1, planes }];
        return Ok(Some(Placed { name, tensors, layout, shape: None, parts }));
    };
    let shape = MatrixShape { rows: tensors.iter().map(|&i| manifest.tensors[i].shape[0]).sum(), cols };
    let planes = |rows: usize| {
        let planes = layout.matrix_planes(MatrixShape { rows, cols }).unwrap_or_default();
        planes.iter().map(|plane| plane.bytes).collect::<Vec<_>>()
    };
    let Some(step) = rows_of_part(layout, shape, limit) else {
        let needed = planes(ROW_GROUP).into_iter().max().unwrap_or_default();
        let limit_name = "maxStorageBufferBindingSize";
        return Err(Error::LimitsTooSmall { limit: limit_name, what: name, needed, available: limit });
    };
    let part = |first_row: usize| {
        let rows = step.min(shape.rows - first_row);
        PartSpec { first_row, rows, planes: planes(rows) }
    };
    let parts = (0..shape.rows).step_by(step).map(part).collect();
    Ok(Some(Placed { name, tensors, layout, shape: Some(shape), parts }))
}

/// Whether matrices can lie behind one another in the same planes.
fn joinable(manifest: &Manifest, parts: &[usize]) -> bool {
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
    fn a_head_that_no_binding_holds_is_cut_into_parts_that_one_does() {
        let shape = MatrixShape { rows: 131_072, cols: 3072 };
        for layout in Layout::ALL {
            let step = rows_of_part(layout, shape, 128 * MIB).expect("parts");
            assert!(step.is_multiple_of(TILE_ROWS) && step <= shape.rows, "{layout}: {step}");
            let part = layout.matrix_planes(MatrixShape { rows: step, ..shape }).expect("planes");
            assert!(part.iter().all(|plane| plane.bytes <= 128 * MIB), "{layout}: {part:?}");
            let whole = layout.matrix_planes(shape).expect("planes").iter().map(|plane| plane.bytes).max();
            let fewest = whole.unwrap_or_default().div_ceil(128 * MIB) as usize;
            // One more where whole groups of rows do not fill a binding.
            assert!(shape.rows.div_ceil(step) <= fewest + 1, "{layout}: {step} rows a part");
        }
    }

    #[test]
    fn parts_are_whole_groups_even_where_tiles_do_not_fit() {
        let shape = MatrixShape { rows: 30, cols: 64 };
        // Four rows take 1024 bytes.
        assert_eq!(rows_of_part(Layout::F32, shape, 1023), None);
        assert_eq!(rows_of_part(Layout::F32, shape, 1024), Some(4));
        assert_eq!(rows_of_part(Layout::F32, shape, 4096), Some(16), "two even parts");
        assert_eq!(rows_of_part(Layout::F32, shape, u64::MAX), Some(64), "one part");
    }
}
