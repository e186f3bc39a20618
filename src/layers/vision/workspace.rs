//! The buffers of one picture's pass through a tower.

use std::ops::Range;
use std::rc::Rc;

use super::affine::Affine;
use super::attention::{Parts, PatchKeys};
use super::norm::PatchNorm;
use super::options::TowerOptions;
use super::picture::{Pixels, RowCount, TowerMemory};
use crate::error::{Error, Result};
use crate::gpu::{Allocator, Buffer, Purpose, Recording, Slice};
use crate::kernels::patchify::Patches;
use crate::kernels::rope_append::HeadNorms;

/// Bindings begin at multiples of so many bytes.
const BINDING: u64 = 256;
/// Workgroups along an axis of a launch.
const MAX_GROUPS: usize = 65_535;

/// Views of one size.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The views one after another. `// [count, height, width, 3]`
    pub(super) pixels: Pixels<'a>,
    /// Their number.
    pub(super) count: usize,
    /// Rows of one of them.
    pub(super) rows: RowCount,
}

/// Buffers that the views of all sizes share, with room for the largest.
#[derive(Debug)]
pub(super) struct Scratch {
    q: Buffer,
    h: Buffer,
    wide: Buffer,
    act: Buffer,
    keys: PatchKeys,
    chunk: usize,
}

impl Scratch {
    /// Allocates the buffers for views of at most `all` rows. Fails as [`Allocator::alloc`].
    pub(super) fn new(gpu: &dyn Allocator, options: &TowerOptions, memory: TowerMemory, all: usize) -> Result<Self> {
        let chunk = memory.rows.min(all.next_multiple_of(options.row_alignment()));
        let alloc = |label, rows: usize, width: usize| gpu.alloc(label, Purpose::Activations, bytes_of(rows, width));
        let [wide_width, act_width] = options.widths();
        let act = alloc("vision act", chunk, act_width)?;
        Ok(Self {
            q: if options.keeps_queries() { alloc("vision q", all, options.heads_width())? } else { act.clone() },
            h: alloc("vision h", chunk, options.hidden)?,
            wide: if options.has_two_buffers() { alloc("vision wide", chunk, wide_width)? } else { act.clone() },
            act,
            keys: PatchKeys::new(gpu, options, memory.precision, all)?,
            chunk,
        })
    }
}

/// Buffers that every stage uses in turn, for one view of a picture.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The tower.
    pub options: Rc<TowerOptions>,
    /// How the picture is cut and normalised.
    pub patches: Patches,
    /// Rows of the residual stream.
    pub rows: RowCount,
    /// Views of the picture.
    pub(super) views: usize,
    /// Residual stream: of all views before [`Self::view`], which have as many rows each as bindings allow. `// [rows, hidden]`
    pub x: Slice,
    /// Queries, rotated. `// [rows, heads * head_dim]`, or of a chunk
    pub q: Buffer,
    /// Normed rows. `// [chunk, hidden]`
    pub h: Buffer,
    /// Queries, keys and values before they are rotated, results of the attention, inner rows of the feed-forward.
    /// `// [chunk, widest of them]`
    pub wide: Buffer,
    /// Pixels of patches, queries of a chunk, results of the gate; the same buffer as `wide` where it is free then.
    /// `// [chunk, widest of them]`
    pub act: Buffer,
    /// Tables of the family.
    pub tables: Vec<Buffer>,
    pub(super) keys: PatchKeys,
    /// The picture, until the stem has read it: all views before [`Self::view`]. `// [height, width]`, a word a pixel
    pub(super) pixels: Option<Slice>,
    /// `// [rows, head_dim]`
    angles: Option<Buffer>,
    /// Rows computed at a time.
    chunk: usize,
}

impl Workspace {
    /// Allocates the buffers that views of one size have for themselves. Fails as [`Allocator::alloc`].
    pub(super) fn new(
        gpu: &dyn Allocator,
        options: &Rc<TowerOptions>,
        &Run { ref pixels, count: views, rows }: &Run<'_>,
        shared: &Scratch,
        tables: Vec<Buffer>,
    ) -> Result<Self> {
        let (patches, all, head_dim) = (options.grid.patches(pixels), rows.all, options.head_dim);
        let upload =
            |label, bytes, data: &dyn Fn() -> Vec<u8>| gpu.upload_with(label, Purpose::Activations, bytes, data);
        let places = || (0..all).map(|row| patches.grid().place(row));
        let table = options.rope.as_ref().map(|rope| move || rope.table(head_dim, places()));
        let area = bytes_of(pixels.width, pixels.height);
        let words = || {
            let mut words = Vec::with_capacity((views as u64 * area) as usize);
            for (view, rgb) in pixels.rgb.chunks(3 * pixels.width * pixels.height).enumerate() {
                words.resize(view * area.next_multiple_of(BINDING) as usize, 0);
                words.extend(rgb.as_chunks().0.iter().flat_map(|&[r, g, b]| [r, g, b, 0]));
            }
            words
        };
        // All views begin where a binding may.
        let of_all = |bytes: u64| (views as u64 - 1) * bytes.next_multiple_of(BINDING) + bytes;
        let x = gpu.alloc("vision x", Purpose::Activations, of_all(bytes_of(all, options.hidden)))?;
        Ok(Self {
            options: options.clone(),
            patches,
            rows,
            views,
            x: x.all(),
            q: shared.q.clone(),
            h: shared.h.clone(),
            wide: shared.wide.clone(),
            act: shared.act.clone(),
            tables,
            keys: shared.keys.clone(),
            pixels: Some(upload("pixels", of_all(area), &words)?.all()),
            angles: table.map(|table| upload("vision angles", bytes_of(all, head_dim), &table)).transpose()?,
            chunk: shared.chunk,
        })
    }

    /// The same buffers for a stream of fewer rows.
    #[must_use]
    pub fn with_rows(&self, all: usize) -> Self {
        Self { rows: RowCount { all, present: all }, ..self.clone() }
    }

    /// The buffers for a view.
    pub(super) fn view(&self, index: usize) -> Self {
        let of = |all: &Slice, bytes: usize| {
            let bytes = bytes as u64;
            Slice { bytes, ..all.skip(index as u64 * bytes.next_multiple_of(BINDING)) }
        };
        if self.views == 1 {
            return self.clone();
        }
        let Patches { width, height, .. } = self.patches;
        Self {
            x: of(&self.x, self.rows.all * self.options.hidden * size_of::<f32>()),
            pixels: self.pixels.as_ref().map(|pixels| of(pixels, width * height * size_of::<u32>())),
            ..self.clone()
        }
    }

    /// All rows, some at a time.
    pub fn chunks(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        self.chunks_of(self.rows.all)
    }

    /// `count` rows, as many at a time as the buffers of a chunk hold.
    pub fn chunks_of(&self, count: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let chunk = self.chunk;
        (0..count).step_by(chunk).map(move |first| first..count.min(first + chunk))
    }

    /// Windows of `size` rows each, as many at a time as the buffers of a chunk hold, and as a launch has workgroups for their heads.
    pub fn windows(&self, size: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (count, most) = (self.rows.all / size, (MAX_GROUPS / self.options.heads).min(self.chunk / size).max(1));
        (0..count).step_by(most).map(move |first| first..count.min(first + most))
    }

    /// Records queries, keys and values of all rows, normed, for [`Self::attend_windows`].
    pub fn take_rows(&self, recording: &mut Recording, norm: &PatchNorm, projections: &Affine) -> Result<()> {
        for range in self.chunks() {
            let (h, fresh) = (self.h.all(), self.in_wide(range.len(), projections.width()));
            norm.record(recording, range.len(), &self.residual(&range), &h)?;
            projections.record(recording, &h, range.len(), &fresh)?; // [range, q | k | v]
            self.take(recording, &range, Parts::All, None)?;
        }
        Ok(())
    }

    /// Records attention of the rows of each of some windows to one another. Row `place * windows + window` of the stream is a place of a window.
    /// `out`: `// [size, range, heads * head_dim]`
    pub fn attend_windows(
        &self,
        recording: &mut Recording,
        size: usize,
        range: &Range<usize>,
        out: &Slice,
    ) -> Result<()> {
        self.keys.attend_windows(recording, (&self.q.all(), out), (size, self.rows.all / size), range)
    }

    /// Returns whether one chunk takes all rows, so that its buffers keep their contents for the next step.
    pub(super) fn is_one_chunk(&self) -> bool {
        self.rows.all <= self.chunk
    }

    /// Some rows of the residual stream. `// [range, hidden]`
    pub fn residual(&self, range: &Range<usize>) -> Slice {
        let (first, width) = (self.x.skip_rows(range.start, self.options.hidden), self.options.hidden);
        Slice { bytes: (range.len() * width * size_of::<f32>()) as u64, ..first }
    }

    /// Some rows of the queries: a chunk or its beginning. `// [range, heads * head_dim]`
    pub fn queries(&self, range: &Range<usize>) -> Slice {
        let width = self.options.heads_width();
        if self.options.keeps_queries() { rows(&self.q, range, width) } else { rows(&self.q, &(0..range.len()), width) }
    }

    /// The first rows of `wide`, of `width` numbers each.
    pub(super) fn in_wide(&self, count: usize, width: usize) -> Slice {
        rows(&self.wide, &(0..count), width)
    }

    /// Some rows in the memory of keys and values, which are no longer needed after the last block. `// [range, hidden]`
    pub fn in_keys(&self, range: &Range<usize>) -> Slice {
        rows(&self.keys.buffer, range, self.options.hidden)
    }

    /// Records norms, if any, and the rotation of the rows in `wide`, and takes them apart.
    pub(super) fn take(
        &self,
        recording: &mut Recording,
        range: &Range<usize>,
        parts: Parts,
        norms: Option<&HeadNorms>,
    ) -> Result<()> {
        let angles = self.angles.as_ref().map(|angles| rows(angles, range, self.options.head_dim)); // [range, head_dim]
        let turns = (angles.as_ref(), norms);
        self.keys.take(recording, range, parts, &self.wide.all(), turns, &self.queries(range))
    }

    /// The picture. `// [height, width]`, a word a pixel
    ///
    /// # Errors
    /// [`Error::Internal`] after the first stage.
    pub fn picture(&self) -> Result<Slice> {
        self.pixels.clone().ok_or_else(no_picture)
    }
}

/// Bytes of rows of `width` numbers.
fn bytes_of(rows: usize, width: usize) -> u64 {
    (rows * width * size_of::<f32>()) as u64
}

/// Some rows of a buffer of rows of `width` numbers.
fn rows(buffer: &Buffer, range: &Range<usize>, width: usize) -> Slice {
    let row_bytes = (width * size_of::<f32>()) as u64;
    buffer.slice(range.start as u64 * row_bytes..range.end as u64 * row_bytes)
}

/// The error of a stage that is recorded without a picture or without its weights.
pub(super) fn no_picture() -> Error {
    Error::Internal { detail: "no picture was begun, or its weights are missing".into() }
}
