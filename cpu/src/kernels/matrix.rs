//! Matrices in the planes of packages.

use crate::job::Launch;
use crate::memory::Fault;
use crate::op::Layout;

/// Numbers of a block.
pub(crate) const BLOCK: usize = 32;
/// Rows whose scales lie side by side.
pub(crate) const GROUP: usize = 4;
/// Blocks that share a scale of scales.
pub(super) const SUPER: usize = 8;

/// Bytes of quants that are fetched ahead: what memory delivers while it is waited for.
const AHEAD: usize = 8192;

/// The planes of a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Matrix<'a> {
    planes: [&'a [u8]; 4],
    /// Rows, in whole groups.
    pub(super) rows: usize,
    /// Blocks of a row.
    pub(crate) blocks: usize,
}

/// Bytes of a plane for a block of a group of four rows, as a fraction: bytes and blocks.
#[derive(Debug, Clone, Copy)]
struct PlaneSize {
    bytes: usize,
    blocks: usize,
}

const fn each(bytes: usize) -> PlaneSize {
    PlaneSize { bytes, blocks: 1 }
}

const fn shared(bytes: usize, blocks: usize) -> PlaneSize {
    PlaneSize { bytes, blocks }
}

/// The planes of every layout, in the order of its numbers.
const PLANES: [&[PlaneSize]; 16] = [
    &[each(512)],
    &[each(256)],
    &[each(128), each(8)],
    &[each(64), each(32), each(8), shared(8, SUPER)],
    &[each(64), each(16), each(8), shared(16, SUPER)],
    &[each(64), each(16), each(16)],
    &[each(64), each(16), each(8)],
    &[each(64), each(16)],
    &[each(64), each(8), shared(16, SUPER)],
    &[each(64), each(8)],
    &[each(64), each(4), shared(8, SUPER)],
    &[each(64), each(8)],
    &[each(64), shared(8, 2)],
    &[each(64), each(4)],
    &[each(64), each(8), shared(8, SUPER)],
    &[each(64), each(8), shared(16, SUPER)],
];

impl Layout {
    fn plane_sizes(self) -> &'static [PlaneSize] {
        PLANES[self as usize]
    }

    /// Planes of a matrix.
    pub(crate) fn planes(self) -> usize {
        self.plane_sizes().len()
    }
}

impl<'a> Matrix<'a> {
    /// The matrix of `rows` rows whose planes are the bindings from `first` on.
    pub(crate) fn of(
        launch: &Launch<'a>,
        first: usize,
        layout: Layout,
        rows: usize,
        blocks: usize,
    ) -> Result<Self, Fault> {
        let mut planes: [&[u8]; 4] = [&[]; 4];
        for (index, size) in layout.plane_sizes().iter().enumerate() {
            let units = rows.div_ceil(GROUP).checked_mul(blocks.div_ceil(size.blocks)).ok_or(Fault::OutOfBounds)?;
            planes[index] = launch.input(first + index, [units.checked_mul(size.bytes).ok_or(Fault::OutOfBounds)?])?;
        }
        Ok(Self { planes, rows: rows.div_ceil(GROUP) * GROUP, blocks })
    }

    /// Address of the quants of a block.
    #[inline(always)]
    pub(crate) unsafe fn nibbles(&self, row: usize, block: usize) -> *const u8 {
        // SAFETY: As of `at`.
        unsafe { self.at(0, (row * self.blocks + block) * 16) }
    }

    /// Address of quants some time after a group's block number `index` in the order of memory, maybe outside of the plane. Rows of a group are
    /// read side by side; memory delivers them twice as fast if they are fetched one after the other.
    #[inline(always)]
    pub(super) fn later(&self, group: usize, index: usize, bytes: usize) -> *const u8 {
        self.planes[0].as_ptr().wrapping_add((group * GROUP * self.blocks + index) * bytes + AHEAD)
    }

    #[inline(always)]
    pub(super) unsafe fn at(&self, plane: usize, byte: usize) -> *const u8 {
        // SAFETY: `of` has checked that the plane holds all blocks of all rows, and callers stay within them.
        unsafe { self.planes[plane].as_ptr().add(byte) }
    }
}
