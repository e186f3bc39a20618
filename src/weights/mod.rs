//! Weights on the GPU, by name. Families build layers from them.

mod rows;

use std::collections::HashMap;

use crate::error::{Error, MANIFEST_FILE, Result};
use crate::gpu::Slice;
use crate::layout::{LaneLayout, Layout, MatrixShape};

pub use rows::{RowSource, RowsFuture};

/// Some rows of a matrix, or a vector, in buffers of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowShard<P = Slice> {
    /// First row; a multiple of [`ROW_GROUP`](crate::layout::ROW_GROUP).
    pub first_row: usize,
    /// Rows.
    pub rows: usize,
    /// One for each plane, in the order of [`Layout::plane_units`].
    pub planes: Vec<P>,
}

/// A weight matrix on the GPU. `// [rows, cols]`, outputs x inputs.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Number format and byte order.
    pub layout: Layout,
    /// Unpadded sizes.
    pub shape: MatrixShape,
    /// The rows, in order: one shard, or as many as it takes for each to fit a binding.
    pub parts: Vec<RowShard>,
}

/// The weights of a model. Taking one removes it; a missing one is an [`Error::InvalidPackage`].
#[derive(Debug, Default)]
pub struct WeightStore {
    /// A matrix, or the parts of a fused one in the order of their rows: a single part where they could be fused.
    matrices: HashMap<String, Vec<Weight>>,
    vectors: HashMap<String, (Slice, LaneLayout)>,
}

impl WeightStore {
    /// Adds a matrix, or the next part of a fused one.
    pub fn add_matrix(&mut self, name: String, weight: Weight) {
        self.matrices.entry(name).or_default().push(weight);
    }

    /// Adds a vector whose numbers are in that order.
    pub fn add_vector(&mut self, name: String, values: Slice, order: LaneLayout) {
        self.vectors.insert(name, (values, order));
    }

    /// Takes a matrix.
    pub fn matrix(&mut self, name: &str) -> Result<Weight> {
        self.matrices.remove(name).and_then(|mut parts| parts.pop()).ok_or_else(|| missing(name))
    }

    /// Takes a vector.
    pub fn vector(&mut self, name: &str) -> Result<Slice> {
        match self.gain(name)? {
            (vector, LaneLayout::NATURAL) => Ok(vector),
            _ => Err(Error::Internal { detail: format!("{name} is in an order for lanes") }),
        }
    }

    /// Takes a vector that matvec kernels read beside their inputs, and its order.
    pub fn gain(&mut self, name: &str) -> Result<(Slice, LaneLayout)> {
        self.vectors.remove(name).ok_or_else(|| missing(name))
    }

    /// Takes a fused matrix ([`TensorSpec::fuse`](crate::families::TensorSpec::fuse)): one part if its parts could be fused, else all of
    /// them in order.
    pub fn fused(&mut self, name: &str) -> Result<Vec<Weight>> {
        self.matrices.remove(name).ok_or_else(|| missing(name))
    }
}

fn missing(name: &str) -> Error {
    Error::package(MANIFEST_FILE, format!("tensor {name} is missing"))
}
