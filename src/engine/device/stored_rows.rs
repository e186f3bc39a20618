//! A table of a package whose rows are read from storage.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::weight_source::ShardSource;
use crate::error::{Error, Result};
use crate::families::{Role, definition};
use crate::layout::decode::At;
use crate::layout::{BLOCK, Layout, MatrixShape, PlaneUnit, ROW_GROUP};
use crate::package::manifest::{Manifest, PlaneEntry, ShardMap};
use crate::weights::{RowSource, RowsFuture};

/// A table in the shards of a package.
#[derive(Debug)]
pub(super) struct StoredRows {
    shards: Rc<dyn ShardSource>,
    map: ShardMap,
    shard_count: usize,
    layout: Layout,
    shape: MatrixShape,
    planes: Vec<PlaneEntry>,
}

impl StoredRows {
    /// The table of a model that has one.
    pub(super) fn of(manifest: &Arc<Manifest>, shards: &Rc<dyn ShardSource>) -> Option<Rc<dyn RowSource>> {
        let spec = definition(&manifest.config).tensors().find(|spec| spec.role == Role::Rows)?;
        let entry = manifest.tensor(&spec.name)?;
        let &[rows, cols] = entry.shape.as_slice() else { return None };
        Some(Rc::new(Self {
            shards: shards.clone(),
            map: manifest.shard_map(),
            shard_count: manifest.shards.len(),
            layout: entry.layout,
            shape: MatrixShape { rows, cols },
            planes: entry.planes.clone(),
        }))
    }

    /// The bytes of a row in a plane of its group of rows, whose other rows may be zeros.
    async fn group(&self, unit: &PlaneUnit, plane: &PlaneEntry, row: usize) -> Result<Vec<u8>> {
        let of_row = self.shape.cols.div_ceil(unit.cols) * unit.bytes;
        let (group, own) = ((row / ROW_GROUP * ROW_GROUP * of_row) as u64, row % ROW_GROUP * of_row);
        if unit.interleaved.is_some() {
            return self.bytes(plane.offset + group..plane.offset + group + (ROW_GROUP * of_row) as u64).await;
        }
        let first = plane.offset + group + own as u64;
        let mut bytes = vec![0; ROW_GROUP * of_row];
        let read = self.bytes(first..first + of_row as u64).await?;
        bytes[own..own + of_row].copy_from_slice(&read);
        Ok(bytes)
    }

    /// Bytes of the stream of shards.
    async fn bytes(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        for index in 0..self.shard_count {
            let shard = self.map.range(index);
            let (start, end) = (range.start.max(shard.start), range.end.min(shard.end));
            if start < end {
                let part = (start - shard.start) as usize..(end - shard.start) as usize;
                bytes.extend(self.shards.part(index, part).await?);
            }
        }
        if bytes.len() as u64 == range.end - range.start {
            Ok(bytes)
        } else {
            Err(Error::Internal { detail: format!("bytes {range:?} of a package") })
        }
    }

    /// Appends the numbers of a row.
    async fn append(&self, row: usize, numbers: &mut Vec<f32>) -> Result<()> {
        let mut planes = Vec::with_capacity(self.planes.len());
        for (unit, plane) in self.layout.plane_units().iter().zip(&self.planes) {
            planes.push(self.group(unit, plane, row).await?);
        }
        let planes: Vec<&[u8]> = planes.iter().map(Vec::as_slice).collect();
        let (blocks, end) = (self.shape.blocks(), numbers.len() + self.shape.cols);
        for block in 0..blocks {
            let decoded: [f32; BLOCK] =
                (self.layout.spec().decode)(&planes, At { row: row % ROW_GROUP, block, blocks });
            numbers.extend(decoded);
        }
        numbers.truncate(end);
        Ok(())
    }
}

impl RowSource for StoredRows {
    fn rows<'a>(&'a self, indices: &'a [u32]) -> RowsFuture<'a> {
        Box::pin(async move {
            let mut numbers = Vec::with_capacity(indices.len() * self.shape.cols);
            for &index in indices {
                if index as usize >= self.shape.rows {
                    return Err(Error::request("input_ids", format!("token {index} is not in the vocabulary")));
                }
                self.append(index as usize, &mut numbers).await?;
            }
            Ok(numbers)
        })
    }
}
