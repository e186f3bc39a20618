//! Spans of memory as slices, with every access checked against the span's length.

use core::marker::PhantomData;
use core::slice;

use bytemuck::{AnyBitPattern, NoUninit};

/// A range of memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Address of the first byte.
    pub at: u64,
    /// Length in bytes.
    pub bytes: u64,
}

/// A job that cannot be carried out. No memory outside of its spans was accessed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The words do not describe a job.
    Malformed,
    /// A launch has fewer parameters or bindings than its kernel.
    Missing,
    /// A launch would access memory beyond a binding, or at an address that is not aligned.
    OutOfBounds,
    /// A kernel panicked, which is a bug.
    Panicked,
}

/// The product of sizes that a job gives.
///
/// # Errors
/// [`Fault::OutOfBounds`] if it is too large.
pub(crate) fn product<const N: usize>(sizes: [usize; N]) -> Result<usize, Fault> {
    sizes.into_iter().try_fold(1_usize, usize::checked_mul).ok_or(Fault::OutOfBounds)
}

/// Numbers in a span, to be read.
///
/// # Safety
/// The span is allocated, and nothing writes it during `'a`.
pub(crate) unsafe fn input<'a, T: AnyBitPattern>(span: Span) -> Result<&'a [T], Fault> {
    let (at, len) = place::<T>(span)?;
    // SAFETY: `place` has checked alignment, any bits are a `T`, and the caller vouches for the memory.
    Ok(unsafe { slice::from_raw_parts(at, len) })
}

/// Address and number of whole `T` in a span.
fn place<T>(span: Span) -> Result<(*mut T, usize), Fault> {
    let at = usize::try_from(span.at).map_err(|_| Fault::OutOfBounds)? as *mut T;
    let bytes = usize::try_from(span.bytes).map_err(|_| Fault::OutOfBounds)?;
    if at.is_null() || !at.is_aligned() {
        return Err(Fault::OutOfBounds);
    }
    Ok((at, bytes / size_of::<T>()))
}

/// Numbers in a span that the threads of a team write, each its own part.
#[derive(Debug, Clone, Copy)]
pub struct Output<'a, T> {
    at: *mut T,
    len: usize,
    lives: PhantomData<&'a mut [T]>,
}

impl<'a, T: AnyBitPattern + NoUninit> Output<'a, T> {
    pub(crate) fn of(span: Span) -> Result<Self, Fault> {
        let (at, len) = place(span)?;
        Ok(Self { at, len, lives: PhantomData })
    }

    /// Checks that it has `len` numbers.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`].
    pub fn expect(self, len: usize) -> Result<Self, Fault> {
        if len <= self.len { Ok(self) } else { Err(Fault::OutOfBounds) }
    }

    /// `len` numbers from `first` on; an empty slice if it has fewer.
    ///
    /// # Safety
    /// While the slice is used, no other slice of the same memory is, in this thread or another.
    #[inline(always)]
    pub unsafe fn part(&self, first: usize, len: usize) -> &'a mut [T] {
        let fits = first.checked_add(len).is_some_and(|end| end <= self.len);
        let (first, len) = if fits { (first, len) } else { (0, 0) };
        // SAFETY: The part is within the span, and the caller vouches that it is not aliased.
        unsafe { slice::from_raw_parts_mut(self.at.add(first), len) }
    }

    /// Writes a number; nothing if there is no such place.
    ///
    /// # Safety
    /// No slice of this place is used meanwhile, in this thread or another.
    #[inline(always)]
    pub unsafe fn set(&self, index: usize, value: T) {
        if index < self.len {
            // SAFETY: The place is within the span, and the caller vouches that it is not aliased.
            unsafe { self.at.add(index).write(value) }
        }
    }

    /// Reads a number; zero if there is no such place.
    ///
    /// # Safety
    /// No other thread writes this place meanwhile.
    #[inline(always)]
    pub unsafe fn get(&self, index: usize) -> T {
        if index < self.len {
            // SAFETY: The place is within the span, and the caller vouches that it is not written meanwhile.
            unsafe { self.at.add(index).read() }
        } else {
            T::zeroed()
        }
    }
}
