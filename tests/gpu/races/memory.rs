//! Memory of a simulated launch, with the last accesses to each word.

use naga::{Module, TypeInner, VectorSize};

/// Bytes that accesses are distinguished by: a 16-bit float.
const UNIT: usize = 2;
/// Stands for several workgroups or lanes.
const MANY: u32 = u32::MAX;

/// The time and place of an access.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Access {
    /// Number of the workgroup, from 1; 0 if there was no access.
    pub(super) workgroup: u32,
    /// Barriers before it that order accesses to this kind of memory.
    pub(super) epoch: u32,
    pub(super) lane: u32,
    pub(super) is_atomic: bool,
}

impl Access {
    /// Returns true if nothing orders this earlier access and `later`.
    fn races_with(self, later: Self) -> bool {
        let is_unordered = self.workgroup != later.workgroup || self.epoch == later.epoch && self.lane != later.lane;
        self.workgroup != 0 && is_unordered && !(self.is_atomic && later.is_atomic)
    }

    /// Combines a read with an earlier one.
    fn and(self, later: Self) -> Self {
        match self.workgroup {
            0 => later,
            workgroup if workgroup != later.workgroup => Self { workgroup: MANY, ..later },
            _ if self.epoch != later.epoch || self.lane == later.lane => later,
            _ => Self { lane: MANY, is_atomic: self.is_atomic && later.is_atomic, ..later },
        }
    }
}

/// A buffer, or a variable of a workgroup.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    pub(super) bytes: Vec<u8>,
    written: Vec<Access>,
    read: Vec<Access>,
}

impl Memory {
    pub(super) fn new(bytes: Vec<u8>) -> Self {
        let units = vec![Access::default(); bytes.len().div_ceil(UNIT)];
        Self { bytes, written: units.clone(), read: units }
    }

    /// Records an access to a scalar. Returns true if it races with an earlier one.
    pub(super) fn touch(&mut self, offset: usize, width: usize, access: Access, writes: bool) -> bool {
        let units = offset / UNIT..((offset + width).div_ceil(UNIT)).min(self.written.len());
        let mut races = false;
        for unit in units {
            let (written, read) = (&mut self.written[unit], &mut self.read[unit]);
            races |= written.races_with(access);
            if writes {
                races |= read.races_with(access);
                *written = access;
            } else {
                *read = read.and(access);
            }
        }
        races
    }
}

/// The scalar at an offset; zero past the end.
pub(super) fn get(bytes: &[u8], offset: usize, width: usize) -> u32 {
    let found = bytes.get(offset..offset + width).unwrap_or_default();
    found.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

pub(super) fn set(bytes: &mut [u8], offset: usize, width: usize, word: u32) {
    if let Some(place) = bytes.get_mut(offset..offset + width) {
        place.copy_from_slice(&word.to_le_bytes()[..width]);
    }
}

/// Appends the offsets and widths of the scalars of a type.
pub(super) fn scalars(module: &Module, inner: &TypeInner, offset: usize, into: &mut Vec<(usize, usize)>) {
    match *inner {
        TypeInner::Scalar(scalar) | TypeInner::Atomic(scalar) => into.push((offset, usize::from(scalar.width))),
        TypeInner::Vector { size, scalar } => {
            let width = usize::from(scalar.width);
            into.extend((0..size as usize).map(|lane| (offset + lane * width, width)));
        }
        TypeInner::Matrix { columns, rows, scalar } => {
            let stride = column_stride(rows, scalar.width);
            for column in 0..columns as usize {
                scalars(module, &TypeInner::Vector { size: rows, scalar }, offset + column * stride, into);
            }
        }
        TypeInner::Array { base, size: naga::ArraySize::Constant(count), stride } => {
            for element in 0..count.get() as usize {
                scalars(module, &module.types[base].inner, offset + element * stride as usize, into);
            }
        }
        TypeInner::Struct { ref members, .. } => {
            for member in members {
                scalars(module, &module.types[member.ty].inner, offset + member.offset as usize, into);
            }
        }
        _ => panic!("a value of type {inner:?}"),
    }
}

/// Bytes from a column of a matrix to the next.
pub(super) fn column_stride(rows: VectorSize, width: u8) -> usize {
    let rows = if rows == VectorSize::Bi { 2 } else { 4 };
    rows * usize::from(width)
}
