//! Instruction sets. Kernels are generic over [`Isa`]; each set has an entry for every kernel, compiled for its instructions.
//!
//! Everything that a kernel calls in its loops is `#[inline(always)]`: only within the entry are the instructions of the set allowed.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod scalar;

use crate::job::Launch;
use crate::memory::Fault;
use crate::op::{Op, Plain};
use crate::work::Work;

/// A kernel compiled for an instruction set.
///
/// # Safety
/// The machine has the instructions, and the memory of the launch is as [`crate::run`] asks.
pub(crate) type Kernel = unsafe fn(&Launch<'_>, &mut Work<'_>) -> Result<(), Fault>;

/// Vector operations of an instruction set.
///
/// # Safety
/// All functions may be called only where the machine has the instructions: within the entries of the set.
pub(crate) trait Isa: Copy + 'static {
    /// Vector of [`Self::LANES`] floats.
    type F: Copy;
    /// Floats of a vector: a power of two of at most 16.
    const LANES: usize;

    unsafe fn splat(x: f32) -> Self::F;
    unsafe fn load(from: *const f32) -> Self::F;
    unsafe fn store(to: *mut f32, x: Self::F);
    unsafe fn add(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn sub(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn mul(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn div(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn max(a: Self::F, b: Self::F) -> Self::F;
    unsafe fn min(a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the set has such an instruction.
    unsafe fn fma(a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// The sum of the lanes, in the same order each time.
    unsafe fn sum(x: Self::F) -> f32;
    /// The largest lane.
    unsafe fn largest(x: Self::F) -> f32;
    /// Lanes rounded to integers.
    unsafe fn round(x: Self::F) -> Self::F;
    /// Two to the power of integers from -126 to 127.
    unsafe fn exp2(x: Self::F) -> Self::F;
    /// 16-bit floats widened.
    unsafe fn load_halves(from: *const u16) -> Self::F;
}

/// Entries of an instruction set: a function for each kernel, and the choice among them.
macro_rules! entries {
    ($isa:ty, $attribute:tt, $($kernel:ident),*) => {
        $(
            # $attribute
            unsafe fn $kernel(
                launch: &$crate::job::Launch<'_>,
                work: &mut $crate::work::Work<'_>,
            ) -> Result<(), $crate::memory::Fault> {
                // SAFETY: The entry has the instructions, and its caller vouches for the memory.
                unsafe { $crate::kernels::$kernel::run::<$isa>(launch, work) }
            }
        )*
        pub(super) const KERNELS: $crate::isa::Kernels = $crate::isa::Kernels { $($kernel),* };
    };
}
use entries;

/// Calls a macro with the names of all kernels.
macro_rules! with_kernels {
    ($call:ident!($($args:tt)*)) => {
        $call! { $($args)* rms_norm, soft_cap }
    };
}
use with_kernels;

macro_rules! table {
    ($($kernel:ident),*) => {
        /// The kernels of an instruction set.
        pub(crate) struct Kernels { $(pub(crate) $kernel: Kernel),* }
    };
}
with_kernels!(table!());

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionSet(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl InstructionSet {
    /// Portable instructions.
    pub const SCALAR: Self = Self(Set::Scalar);

    /// The sets of this machine, the fastest first.
    #[cfg(feature = "native")]
    pub fn detected() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c")
        {
            sets.push(Self(Set::Avx2));
        }
        sets.push(Self::SCALAR);
        sets
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self.0 {
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
        }
    }

    fn kernels(self) -> &'static Kernels {
        match self.0 {
            Set::Scalar => &scalar::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => &avx2::KERNELS,
        }
    }

    /// The kernel of an operation.
    pub(crate) fn kernel(self, op: Op) -> Kernel {
        let kernels = self.kernels();
        match op {
            Op::RmsNorm { .. } => kernels.rms_norm,
            Op::Plain(Plain::SoftCap) => kernels.soft_cap,
            _ => missing,
        }
    }
}

fn missing(_: &Launch<'_>, _: &mut Work<'_>) -> Result<(), Fault> {
    Err(Fault::Malformed)
}
