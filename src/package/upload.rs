//! Upload of shards to GPU buffers, in any order. Every byte is written directly to its place.

use std::ops::Range;
use std::rc::Rc;

use super::manifest::{MANIFEST_FILE, Manifest, ShardMap, TensorEntry};
pub use super::row_shards::rows_of_shard;
use super::row_shards::{self, Placed};
use crate::error::{Error, Result};
use crate::families::tensor_spec::TensorSpec;
use crate::gpu::{Allocator, Buffer, DeviceClass, Gpu, Purpose};
use crate::layout::{LaneLayout, device_bytes};
use crate::weights::{RowShard, Weight, WeightStore};

/// Allocates the weights of a selection and leaves them unfilled, for counting memory and launches. `class` decides the orders of vectors.
pub fn unfilled(
    gpu: &dyn Allocator,
    class: DeviceClass,
    manifest: &Manifest,
    selection: &Selection,
) -> Result<WeightStore> {
    let mut store = WeightStore::default();
    for placed in row_shards::place(manifest, &selection.tensors, gpu.max_binding())? {
        allocate(gpu, &mut store, lane_layout_of(&placed, class), selection.purpose, &placed)?;
    }
    Ok(store)
}

/// Allocates the buffers of a tensor and adds them to `store`. `// [shards, planes]`
fn allocate(
    gpu: &dyn Allocator,
    store: &mut WeightStore,
    lane_layout: LaneLayout,
    purpose: Purpose,
    placed: &Placed,
) -> Result<Vec<Vec<Buffer>>> {
    let Placed { name, key, layout, shape, shards, .. } = placed;
    let alloc = |&bytes: &u64| gpu.alloc(name, purpose, bytes);
    let shard = |shard: &RowShard<u64>| shard.planes.iter().map(alloc).collect::<Result<Vec<_>>>();
    let buffers = shards.iter().map(shard).collect::<Result<Vec<_>>>()?;
    let Some(shape) = *shape else {
        if let Some(values) = buffers.iter().flatten().next() {
            store.add_vector(name.clone(), values.all(), lane_layout);
        }
        return Ok(buffers);
    };
    let part = |(shard, buffers): (&RowShard<u64>, &Vec<Buffer>)| RowShard {
        first_row: shard.first_row,
        rows: shard.rows,
        planes: buffers.iter().map(Buffer::all).collect(),
    };
    let parts = shards.iter().zip(&buffers).map(part).collect();
    store.add_matrix(key.clone(), Weight { layout: *layout, shape, parts });
    Ok(buffers)
}

/// The order of a vector's numbers on a device of `class`.
fn lane_layout_of(placed: &Placed, class: DeviceClass) -> LaneLayout {
    if !placed.beside_inputs || placed.shape.is_some() {
        return LaneLayout::NATURAL;
    }
    let bytes = placed.shards.first().and_then(|shard| shard.planes.first()).copied().unwrap_or_default();
    LaneLayout::of(class.lanes_share_rows(), bytes as usize / size_of::<f32>())
}

/// A plane of a placed tensor: its buffers, each with the byte it begins at.
type Segments = Rc<[(u64, Buffer)]>;

/// Destination of a plane's bytes.
#[derive(Debug, Clone)]
struct Place {
    segments: Segments,
    /// Start of the plane in them.
    offset: u64,
    /// Lane layout of a vector's numbers.
    lane_layout: LaneLayout,
}

/// Tensors that are loaded together.
#[derive(Debug, Clone)]
pub struct Selection {
    /// The tensors.
    pub tensors: Vec<TensorSpec>,
    /// Purpose in the memory ledger.
    pub purpose: Purpose,
}

/// Fills some weights of a model from the shards of its package.
#[derive(Debug)]
pub struct Uploader {
    gpu: Gpu,
    /// By tensor and plane; empty for tensors that are not selected.
    places: Vec<Vec<Place>>,
    store: WeightStore,
    /// For each shard of the package, whether it is still needed.
    pending: Vec<bool>,
    map: ShardMap,
}

impl Uploader {
    /// An uploader without a selection.
    pub fn new(gpu: &Gpu, manifest: &Manifest) -> Self {
        Self {
            gpu: gpu.clone(),
            places: vec![Vec::new(); manifest.tensors.len()],
            store: WeightStore::default(),
            pending: vec![false; manifest.shards.len()],
            map: manifest.shard_map(),
        }
    }

    /// Allocates the selected tensors.
    ///
    /// # Errors
    /// [`Error::LimitsTooSmall`] if not even four rows of a matrix fit a binding, [`Error::OutOfMemory`].
    pub fn select(&mut self, manifest: &Manifest, selection: &Selection) -> Result<()> {
        let placed = row_shards::place(manifest, &selection.tensors, self.gpu.max_binding())?;
        for tensor in placed {
            self.allocate(manifest, selection.purpose, tensor)?;
        }
        for index in 0..self.pending.len() {
            self.pending[index] = self.map.writes(index).any(|write| !self.places[write.tensor].is_empty());
        }
        self.gpu.check()
    }

    fn allocate(&mut self, manifest: &Manifest, purpose: Purpose, placed: Placed) -> Result<()> {
        let lane_layout = lane_layout_of(&placed, self.gpu.kernel_config().class);
        let buffers = allocate(&self.gpu, &mut self.store, lane_layout, purpose, &placed)?; // [shards, planes]
        let Placed { tensors, shards, .. } = placed;
        for plane in 0..buffers.first().map_or(0, Vec::len) {
            let (mut start, mut offset) = (0, 0);
            let segment = |(shard, buffers): (&RowShard<u64>, &Vec<Buffer>)| {
                start += shard.planes[plane];
                (start - shard.planes[plane], buffers[plane].clone())
            };
            let segments: Segments = shards.iter().zip(&buffers).map(segment).collect();
            for &i in &tensors {
                self.places[i].push(Place { segments: segments.clone(), offset, lane_layout });
                offset += manifest.tensors[i].planes[plane].bytes;
            }
        }
        Ok(())
    }

    /// Indices of the shards that hold selected tensors and were not pushed yet.
    pub fn pending(&self) -> Vec<usize> {
        (0..self.pending.len()).filter(|&index| self.pending[index]).collect()
    }

    /// Writes the selected weights in a shard to their buffers. The shard's hash must have been checked.
    ///
    /// # Errors
    /// [`Error::InvalidPackage`] for a shard that is not in the manifest or of another length, or a scale that the GPU cannot store.
    pub fn push_shard(&mut self, manifest: &Manifest, index: usize, bytes: &[u8]) -> Result<()> {
        let Some(entry) = manifest.shards.get(index) else {
            return Err(Error::package(MANIFEST_FILE, format!("there is no shard {index}")));
        };
        if bytes.len() as u64 != entry.bytes {
            return Err(Error::package(&entry.file, format!("{} bytes, not {}", bytes.len(), entry.bytes)));
        }
        for write in self.map.writes(index) {
            let Some(place) = self.places[write.tensor].get(write.plane) else { continue };
            let TensorEntry { name, layout, .. } = &manifest.tensors[write.tensor];
            let unit = &layout.plane_units()[write.plane];
            let too_large = || Error::package(MANIFEST_FILE, format!("tensor {name} has a scale that is too large"));
            let stored = device_bytes(unit.kind, &bytes[write.range_in_shard]).ok_or_else(too_large)?;
            place.write(&self.gpu, write.offset_in_plane, &stored)?;
        }
        self.pending[index] = false;
        Ok(())
    }

    /// The filled weights; [`Error::InvalidPackage`] if a shard is missing, or an error of the device.
    pub fn finish(self, manifest: &Manifest) -> Result<WeightStore> {
        if let Some(index) = self.pending.iter().position(|&pending| pending) {
            return Err(Error::package(&manifest.shards[index].file, "the shard was never loaded"));
        }
        self.gpu.check()?;
        Ok(self.store)
    }
}

impl Place {
    /// Writes `bytes` at `offset` of the plane, in pieces if they cross from one buffer into the next.
    fn write(&self, gpu: &Gpu, offset: u64, bytes: &[u8]) -> Result<()> {
        if self.lane_layout != LaneLayout::NATURAL {
            return self.write_ordered(gpu, offset, bytes);
        }
        self.write_natural(gpu, offset, bytes)
    }

    /// Writes numbers that have a lane layout.
    fn write_ordered(&self, gpu: &Gpu, offset: u64, bytes: &[u8]) -> Result<()> {
        let number = size_of::<f32>();
        let (group, place) =
            ((self.lane_layout.group() * number) as u64, |at: usize| self.lane_layout.place(at / number) * number);
        let is_whole = offset.is_multiple_of(group) && (bytes.len() as u64).is_multiple_of(group);
        if is_whole {
            let mut arranged = bytes.to_vec();
            for (index, four) in bytes.chunks_exact(number).enumerate() {
                arranged[place(index * number)..][..number].copy_from_slice(four);
            }
            return self.write_natural(gpu, offset, &arranged);
        }
        // The shard ends within a group. Shards end between numbers.
        let at = |index: usize| place(offset as usize + index * number) as u64;
        bytes.chunks(number).enumerate().try_for_each(|(index, four)| self.write_natural(gpu, at(index), four))
    }

    fn write_natural(&self, gpu: &Gpu, offset: u64, bytes: &[u8]) -> Result<()> {
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
