//! Shards to GPU buffers: every byte goes straight to its place, in whatever order shards come.

use std::collections::HashMap;

use super::layout::{Layout, MatrixShape, ROW_GROUP};
use super::manifest::{MANIFEST_FILE, Manifest, TensorEntry};
use crate::error::{Error, Result};
use crate::gpu::{Buffer, Gpu, Purpose, Slice};

/// A weight matrix on the GPU. `// [rows, cols]`, outputs x inputs.
#[derive(Debug, Clone)]
pub struct Weight {
    /// Number format and byte order.
    pub layout: Layout,
    /// Unpadded sizes.
    pub shape: MatrixShape,
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

fn joined_name(names: &[String]) -> String {
    names.join("+")
}

/// Where a plane's bytes go.
#[derive(Debug, Clone)]
struct Place {
    buffer: Buffer,
    offset: u64,
}

/// Fills the weights of a model from the shards of its package.
#[derive(Debug)]
pub struct Uploader {
    gpu: Gpu,
    places: Vec<Vec<Place>>,
    store: WeightStore,
    seen: Vec<bool>,
}

impl Uploader {
    /// Allocates everything. Each of `joins` names matrices over the same inputs that are to become one, where their layouts
    /// allow it, so that one launch computes them all.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] if a matrix does not fit a binding, [`Error::OutOfMemory`].
    pub fn new(gpu: &Gpu, manifest: &Manifest, joins: &[Vec<String>]) -> Result<Self> {
        let mut uploader = Self {
            gpu: gpu.clone(),
            places: vec![Vec::new(); manifest.tensors.len()],
            store: WeightStore::default(),
            seen: vec![false; manifest.shards.len()],
        };
        let index: HashMap<&str, usize> =
            manifest.tensors.iter().enumerate().map(|(i, tensor)| (tensor.name.as_str(), i)).collect();
        for names in joins {
            let parts: Option<Vec<usize>> = names.iter().map(|name| index.get(name.as_str()).copied()).collect();
            if let Some(parts) = parts.filter(|parts| joinable(manifest, parts)) {
                uploader.place(manifest, &joined_name(names), &parts)?;
            }
        }
        for (i, tensor) in manifest.tensors.iter().enumerate() {
            if uploader.places[i].is_empty() {
                uploader.place(manifest, &tensor.name, &[i])?;
            }
        }
        gpu.check()?;
        Ok(uploader)
    }

    /// Allocates the planes of matrices stacked by rows, or of a single tensor.
    fn place(&mut self, manifest: &Manifest, name: &str, parts: &[usize]) -> Result<()> {
        let Some(first) = parts.first().map(|&i| &manifest.tensors[i]) else { return Ok(()) };
        let vision = name.starts_with("vision.") || name.starts_with("projector.");
        let purpose = if vision { Purpose::VisionWeights } else { Purpose::TextWeights };
        let mut planes = Vec::new();
        for plane in 0..first.planes.len() {
            let bytes = parts.iter().map(|&i| manifest.tensors[i].planes[plane].bytes).sum();
            let buffer = self.gpu.alloc(name, purpose, bytes)?;
            let mut offset = 0;
            for &i in parts {
                self.places[i].push(Place { buffer: buffer.clone(), offset });
                offset += manifest.tensors[i].planes[plane].bytes;
            }
            planes.push(buffer.all());
        }
        match (first.shape.as_slice(), planes.first()) {
            ([_], Some(values)) => {
                self.store.vectors.insert(name.into(), values.clone());
            }
            _ => {
                let rows = parts.iter().map(|&i| manifest.tensors[i].shape[0]).sum();
                let shape = MatrixShape { rows, cols: first.shape[1] };
                self.store.matrices.insert(name.into(), Weight { layout: first.layout, shape, planes });
            }
        }
        Ok(())
    }

    /// Writes one shard's bytes to their places. Its hash must have been checked.
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
            let place = &self.places[write.tensor][write.plane];
            self.gpu.write(&place.buffer, place.offset + write.offset_in_plane, &bytes[write.range_in_shard])?;
        }
        self.seen[index] = true;
        Ok(())
    }

    /// The filled weights.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] if a shard never came, or what the device complained about meanwhile.
    pub fn finish(self, manifest: &Manifest) -> Result<WeightStore> {
        if let Some(index) = self.seen.iter().position(|seen| !seen) {
            return Err(Error::package(&manifest.shards[index].file, "the shard was never loaded"));
        }
        self.gpu.check()?;
        Ok(self.store)
    }
}

/// Whether matrices can lie behind one another in the same planes.
fn joinable(manifest: &Manifest, parts: &[usize]) -> bool {
    let tensors: Vec<&TensorEntry> = parts.iter().map(|&i| &manifest.tensors[i]).collect();
    let alike = |a: &TensorEntry, b: &TensorEntry| a.layout == b.layout && a.shape.get(1) == b.shape.get(1);
    let whole_groups = |tensor: &&TensorEntry| tensor.shape[0].is_multiple_of(ROW_GROUP);
    tensors.windows(2).all(|pair| alike(pair[0], pair[1])) && tensors.iter().rev().skip(1).all(whole_groups)
}
