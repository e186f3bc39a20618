//! Shards to GPU buffers: every byte goes straight to its place, in whatever order shards come.

use std::collections::HashMap;
use std::ops::Range;
use std::rc::Rc;

use super::layout::{Layout, MatrixShape};
use super::manifest::{MANIFEST_FILE, Manifest};
pub use super::parts::rows_of_part;
use super::parts::{self, Placed, joined_name};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Gpu, Purpose, Slice};

/// A weight matrix on the GPU. `// [rows, cols]`, outputs x inputs.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Number format and byte order.
    pub layout: Layout,
    /// Unpadded sizes.
    pub shape: MatrixShape,
    /// The rows, in order: one part, or as many as it takes for each to fit a binding.
    pub parts: Vec<Part>,
}

/// Some rows of a matrix, in buffers of their own.
#[derive(Debug, Clone)]
pub struct Part {
    /// First row; a multiple of [`super::layout::ROW_GROUP`].
    pub first_row: usize,
    /// Rows.
    pub rows: usize,
    /// One slice a plane, in the order of [`Layout::planes`].
    pub planes: Vec<Slice>,
}

/// The weights of a model, by name. Taking one out hands it over.
#[derive(Debug, Default)]
pub struct WeightStore {
    matrices: HashMap<String, Weight>,
    vectors: HashMap<String, Slice>,
}

impl WeightStore {
    /// Weights that are allocated and never filled, for counting.
    ///
    /// # Errors
    /// As [`Uploader::want`].
    pub fn empty(gpu: &dyn Allocator, manifest: &Manifest, selection: &Selection<'_>) -> Result<Self> {
        let mut store = Self::default();
        for placed in parts::place(manifest, selection.joins, selection.wanted, gpu.max_binding())? {
            store.allocate(gpu, selection.purpose, &placed)?;
        }
        Ok(store)
    }

    /// Allocates the buffers of a tensor. `// [parts, planes]`
    fn allocate(&mut self, gpu: &dyn Allocator, purpose: Purpose, placed: &Placed) -> Result<Vec<Vec<Buffer>>> {
        let Placed { name, layout, shape, parts, .. } = placed;
        let mut buffers = Vec::with_capacity(parts.len());
        for part in parts {
            let alloc = |&bytes: &u64| gpu.alloc(name, purpose, bytes);
            buffers.push(part.planes.iter().map(alloc).collect::<Result<Vec<_>>>()?);
        }
        let part = |(spec, buffers): (&parts::PartSpec, &Vec<Buffer>)| Part {
            first_row: spec.first_row,
            rows: spec.rows,
            planes: buffers.iter().map(Buffer::all).collect(),
        };
        match shape {
            Some(shape) => {
                let parts = parts.iter().zip(&buffers).map(part).collect();
                self.matrices.insert(name.clone(), Weight { layout: *layout, shape: *shape, parts });
            }
            None => {
                self.vectors.extend(buffers.concat().first().map(|values| (name.clone(), values.all())));
            }
        }
        Ok(buffers)
    }

    /// A matrix.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if there is none of that name.
    pub fn matrix(&mut self, name: &str) -> Result<Weight> {
        self.matrices.remove(name).ok_or_else(|| missing(name))
    }

    /// A vector.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if there is none of that name.
    pub fn vector(&mut self, name: &str) -> Result<Slice> {
        self.vectors.remove(name).ok_or_else(|| missing(name))
    }

    /// Matrices over the same inputs, stacked by rows: one if they could be joined, else all of them in order.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if one is missing.
    pub fn stacked(&mut self, names: &[String]) -> Result<Vec<Weight>> {
        match self.matrices.remove(&joined_name(names)) {
            Some(joined) => Ok(vec![joined]),
            None => names.iter().map(|name| self.matrix(name)).collect(),
        }
    }
}

fn missing(name: &str) -> Error {
    Error::package(MANIFEST_FILE, format!("tensor {name} is missing"))
}

/// A plane of a placed tensor: its buffers, each with the byte it begins at.
type Segments = Rc<[(u64, Buffer)]>;

/// Where a plane's bytes go.
#[derive(Debug, Clone)]
struct Place {
    segments: Segments,
    /// Where in them the plane begins.
    offset: u64,
}

/// Which tensors are loaded, and how they are put together.
pub struct Selection<'a> {
    /// Names of matrices over the same inputs that are to become one, where their layouts allow it.
    pub joins: &'a [Vec<String>],
    /// Whether a tensor of this name is among them.
    pub wanted: &'a dyn Fn(&str) -> bool,
    /// What they are counted as.
    pub purpose: Purpose,
}

/// Fills some weights of a model from the shards of its package.
#[derive(Debug)]
pub struct Uploader {
    gpu: Gpu,
    /// By tensor and plane; empty for tensors that are not wanted.
    places: Vec<Vec<Place>>,
    store: WeightStore,
    /// Of each shard, whether it is still to come.
    due: Vec<bool>,
}

impl Uploader {
    /// An uploader that wants nothing yet.
    pub fn new(gpu: &Gpu, manifest: &Manifest) -> Self {
        Self {
            gpu: gpu.clone(),
            places: vec![Vec::new(); manifest.tensors.len()],
            store: WeightStore::default(),
            due: vec![false; manifest.shards.len()],
        }
    }

    /// Allocates what is selected.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] if not even four rows of a matrix fit a binding, [`Error::OutOfMemory`].
    pub fn want(&mut self, manifest: &Manifest, selection: &Selection<'_>) -> Result<()> {
        let placed = parts::place(manifest, selection.joins, selection.wanted, self.gpu.max_binding())?;
        for tensor in placed {
            self.allocate(manifest, selection.purpose, tensor)?;
        }
        for index in 0..self.due.len() {
            self.due[index] = manifest.writes_for_shard(index).any(|write| !self.places[write.tensor].is_empty());
        }
        self.gpu.check()
    }

    fn allocate(&mut self, manifest: &Manifest, purpose: Purpose, placed: Placed) -> Result<()> {
        let buffers = self.store.allocate(&self.gpu, purpose, &placed)?; // [parts, planes]
        let Placed { tensors, parts, .. } = placed;
        for plane in 0..buffers.first().map_or(0, Vec::len) {
            let mut start = 0;
            let mut segments = Vec::with_capacity(parts.len());
            for (part, buffers) in parts.iter().zip(&buffers) {
                segments.push((start, buffers[plane].clone()));
                start += part.planes[plane];
            }
            let segments: Segments = segments.into();
            let mut offset = 0;
            for &i in &tensors {
                self.places[i].push(Place { segments: segments.clone(), offset });
                offset += manifest.tensors[i].planes[plane].bytes;
            }
        }
        Ok(())
    }

    /// The shards that hold what is wanted and have not come yet, in order.
    pub fn due(&self) -> Vec<usize> {
        (0..self.due.len()).filter(|&index| self.due[index]).collect()
    }

    /// Writes what one shard holds of the wanted weights to its place. The shard's hash must have been checked.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] for a shard that is not in the manifest or of another length.
    pub fn push_shard(&mut self, manifest: &Manifest, index: usize, bytes: &[u8]) -> Result<()> {
        let Some(entry) = manifest.shards.get(index) else {
            return Err(Error::package(MANIFEST_FILE, format!("there is no shard {index}")));
        };
        if bytes.len() as u64 != entry.bytes {
            return Err(Error::package(&entry.file, format!("{} bytes, not {}", bytes.len(), entry.bytes)));
        }
        for write in manifest.writes_for_shard(index) {
            if let Some(place) = self.places[write.tensor].get(write.plane) {
                place.write(&self.gpu, write.offset_in_plane, &bytes[write.range_in_shard])?;
            }
        }
        self.due[index] = false;
        Ok(())
    }

    /// The filled weights.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if a shard never came, or what the device complained about meanwhile.
    pub fn finish(self, manifest: &Manifest) -> Result<WeightStore> {
        if let Some(index) = self.due.iter().position(|&due| due) {
            return Err(Error::package(&manifest.shards[index].file, "the shard was never loaded"));
        }
        self.gpu.check()?;
        Ok(self.store)
    }
}

impl Place {
    /// Writes `bytes` at `offset` of the plane, in pieces where they cross from one buffer into the next.
    fn write(&self, gpu: &Gpu, offset: u64, bytes: &[u8]) -> Result<()> {
        let range = self.offset + offset..self.offset + offset + bytes.len() as u64;
        for (index, (start, buffer)) in self.segments.iter().enumerate() {
            let end = self.segments.get(index + 1).map_or(u64::MAX, |(next, _)| *next);
            let piece: Range<u64> = range.start.max(*start)..range.end.min(end);
            if piece.start < piece.end {
                let bytes = &bytes[(piece.start - range.start) as usize..(piece.end - range.start) as usize];
                gpu.write(buffer, piece.start - start, bytes)?;
            }
        }
        Ok(())
    }
}
