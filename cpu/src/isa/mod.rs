//! Instruction sets. Kernels are generic over [`Isa`]; each set has an entry for every kernel, compiled for its instructions.
//!
//! Everything that a kernel calls in its loops is `#[inline(always)]`: only within the entry are the instructions of the set allowed. Closures are not
//! always inlined, so loops over vectors have none.

#![expect(clippy::needless_range_loop, reason = "lanes index several arrays")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod entries;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(not(target_arch = "wasm32"))]
mod scalar;
#[cfg(target_arch = "wasm32")]
mod simd128;

pub(crate) use bytes::Bytes;
use core::ops::Range;
use entries::{Kernels, entries, with_kernels};

use crate::job::Launch;
use crate::kernels::matmul::Sums;
use crate::kernels::{Inputs, Matrix, Rows};
use crate::memory::Fault;
use crate::op::{Op, Plain};
use crate::work::Work;

/// A kernel compiled for an instruction set.
///
/// # Safety
/// The machine has the instructions, and the memory of the launch is as [`crate::run`] asks.
pub(crate) type Kernel = unsafe fn(&Launch<'_>, &mut Work<'_>) -> Result<(), Fault>;

/// The parts of products that depend on a layout, compiled for an instruction set.
pub(crate) struct OfFormat {
    /// See [`crate::kernels::group`].
    pub(crate) group: unsafe fn(&Matrix<'_>, usize, &Inputs, &mut [[f32; 4]]),
    /// See [`crate::kernels::unpack`].
    pub(crate) unpack: unsafe fn(&Matrix<'_>, usize, Range<usize>, *mut f32),
    /// See [`crate::kernels::columns`].
    pub(crate) columns: unsafe fn(&Matrix<'_>, usize, &Rows),
    /// See [`crate::kernels::Format`].
    pub(crate) has_nibbles: bool,
    pub(crate) is_halved: bool,
    pub(crate) has_minima: bool,
    pub(crate) bits: u32,
    /// See [`crate::kernels::zero`].
    pub(crate) zero: u8,
}

/// Vector operations of an instruction set.
///
/// # Safety
/// All functions may be called only where the machine has the instructions: within the entries of the set.
pub(crate) trait Isa: Bytes {
    /// Parts of products, in the order of the numbers of layouts.
    const FORMATS: &'static [OfFormat; 16];

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
    /// The sums of the lanes of four vectors, each with the bits of [`Self::sum`].
    #[inline(always)]
    unsafe fn four_sums([a, b, c, d]: [Self::F; 4]) -> [f32; 4] {
        // SAFETY: The caller has the instruction set.
        unsafe { [Self::sum(a), Self::sum(b), Self::sum(c), Self::sum(d)] }
    }
    /// The largest lane.
    #[inline(always)]
    unsafe fn largest(x: Self::F) -> f32 {
        let mut lanes = [0.0_f32; 16];
        // SAFETY: There is room for the lanes of every set.
        unsafe { Self::store(lanes.as_mut_ptr(), x) };
        lanes[..Self::LANES].iter().fold(f32::NEG_INFINITY, |peak, &x| peak.max(x))
    }

    /// Lanes rounded to integers.
    unsafe fn round(x: Self::F) -> Self::F;
    /// Two to the power of integers from -126 to 127.
    unsafe fn exp2(x: Self::F) -> Self::F;
    /// 16-bit floats widened.
    unsafe fn load_halves(from: *const u16) -> Self::F;

    /// Four 16-bit floats widened.
    unsafe fn four_halves(from: *const u16) -> [f32; 4];
    /// A block of 32 floats in vectors, the first lanes first.
    type Block: Copy + AsRef<[Self::F]> + AsMut<[Self::F]>;
    /// A block of zeros.
    unsafe fn zeros() -> Self::Block;
    /// 32 unsigned bytes as floats.
    unsafe fn widen(bytes: [u32; 8]) -> Self::Block;
    /// 32 signed bytes as floats.
    unsafe fn bytes(from: *const i8) -> Self::Block;

    /// The nibbles of 16 bytes: the lower ones, then the upper ones.
    #[inline(always)]
    unsafe fn nibbles(from: *const u8) -> Self::Block {
        // SAFETY: As of the whole trait.
        unsafe { Self::widen(nibbles(from)) }
    }

    /// The signed bytes of a table that the nibbles of 16 bytes select.
    #[inline(always)]
    unsafe fn codes(from: *const u8, table: &[i8; 16]) -> Self::Block {
        // SAFETY: As of the whole trait; a block is 32 bytes.
        unsafe {
            let mut bytes = [0; 32];
            for j in 0..16 {
                let byte = from.add(j).read();
                bytes[j] = table[usize::from(byte & 15)];
                bytes[16 + j] = table[usize::from(byte >> 4)];
            }
            Self::bytes(bytes.as_ptr())
        }
    }

    /// Nibbles with a fifth bit: byte `i` of the four at `high` holds that of element `4j + i` in bit `j`.
    #[inline(always)]
    unsafe fn five_bits(from: *const u8, high: *const u8) -> Self::Block {
        // SAFETY: As of the whole trait.
        unsafe {
            let (mut bytes, word) = (nibbles(from), high.cast::<u32>().read_unaligned());
            for j in 0..8 {
                bytes[j] |= (word >> j & 0x0101_0101) << 4;
            }
            Self::widen(bytes)
        }
    }

    /// Nibbles with two more bits: byte `i` of the first four at `high` holds those of element `4j + i` from bit `2j` on, of the last four those
    /// of element `16 + 4j + i`.
    #[inline(always)]
    unsafe fn six_bits(from: *const u8, high: *const u8) -> Self::Block {
        // SAFETY: As of the whole trait.
        unsafe {
            let (mut bytes, words) = (nibbles(from), high.cast::<[u32; 2]>().read_unaligned());
            for j in 0..8 {
                bytes[j] |= (words[j / 4] >> (2 * (j % 4)) & 0x0303_0303) << 4;
            }
            Self::widen(bytes)
        }
    }

    /// Rows of inputs of a tile of products, for which there are registers.
    const TILE: usize;
    /// [`crate::kernels::matmul::tile`] of so many rows.
    unsafe fn tile(x: *const f32, k: usize, panel: *const f32, len: usize, sums: &mut [Sums]);

    /// Each lane of a block of four lanes gets that block's lane `INDEX`.
    unsafe fn lane_of_four<const INDEX: i32>(x: Self::F) -> Self::F;

    /// 32 floats.
    #[inline(always)]
    unsafe fn floats(from: *const f32) -> Self::Block {
        // SAFETY: The caller has 32 floats there.
        unsafe {
            let mut block = Self::zeros();
            for (index, vector) in block.as_mut().iter_mut().enumerate() {
                *vector = Self::load(from.add(index * Self::LANES));
            }
            block
        }
    }

    /// 32 floats of 16 bits.
    #[inline(always)]
    unsafe fn halves(from: *const u16) -> Self::Block {
        // SAFETY: The caller has 32 floats there.
        unsafe {
            let mut block = Self::zeros();
            for (index, vector) in block.as_mut().iter_mut().enumerate() {
                *vector = Self::load_halves(from.add(index * Self::LANES));
            }
            block
        }
    }

    /// `(block - zero) * scale`, with a scale for the first 16 numbers and one for the others.
    #[inline(always)]
    unsafe fn scaled(block: Self::Block, zero: f32, scales: [f32; 2]) -> Self::Block {
        // SAFETY: As of the whole trait.
        unsafe {
            let (zero, low, high) = (Self::splat(zero), Self::splat(scales[0]), Self::splat(scales[1]));
            let (mut block, half) = (block, 16 / Self::LANES);
            for (index, vector) in block.as_mut().iter_mut().enumerate() {
                *vector = Self::mul(Self::sub(*vector, zero), if index < half { low } else { high });
            }
            block
        }
    }

    /// `sum + w * x`, by lanes and in the order of the vectors.
    #[inline(always)]
    unsafe fn dot(sum: Self::F, w: Self::Block, x: *const f32) -> Self::F {
        // SAFETY: The caller has 32 floats there.
        unsafe {
            let mut sum = sum;
            for (index, &w) in w.as_ref().iter().enumerate() {
                sum = Self::fma(w, Self::load(x.add(index * Self::LANES)), sum);
            }
            sum
        }
    }
}

/// The nibbles of 16 bytes, as bytes: the lower ones, then the upper ones.
#[inline(always)]
unsafe fn nibbles(from: *const u8) -> [u32; 8] {
    // SAFETY: The caller has 16 bytes there.
    let words = unsafe { from.cast::<[u32; 4]>().read_unaligned() };
    let mut bytes = [0; 8];
    for j in 0..8 {
        bytes[j] = words[j % 4] >> (4 * (j / 4)) & 0x0f0f_0f0f;
    }
    bytes
}

/// An instruction set that this machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstructionSet(Set);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Set {
    #[cfg(not(target_arch = "wasm32"))]
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    #[cfg(target_arch = "wasm32")]
    Simd128,
}

impl InstructionSet {
    /// Portable instructions.
    #[cfg(not(target_arch = "wasm32"))]
    pub const SCALAR: Self = Self(Set::Scalar);
    /// The set of a wasm module.
    #[cfg(target_arch = "wasm32")]
    pub const WASM: Self = Self(Set::Simd128);

    /// The sets of this machine, the fastest first.
    #[cfg(feature = "native")]
    pub fn detected() -> Vec<Self> {
        let mut sets = Vec::new();
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2")
            && std::is_x86_feature_detected!("fma")
            && std::is_x86_feature_detected!("f16c")
        {
            let has_avx512 = std::is_x86_feature_detected!("avx512f")
                && std::is_x86_feature_detected!("avx512bw")
                && std::is_x86_feature_detected!("avx512vl")
                && std::is_x86_feature_detected!("avx512dq")
                && std::is_x86_feature_detected!("avx512vnni");
            if has_avx512 {
                sets.push(Self(Set::Avx512));
            }
            sets.push(Self(Set::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        {
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                sets.push(Self(Set::NeonDot));
            }
            sets.push(Self(Set::Neon));
        }
        sets.push(Self::SCALAR);
        sets
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self.0 {
            #[cfg(not(target_arch = "wasm32"))]
            Set::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => "AVX-512",
            #[cfg(target_arch = "aarch64")]
            Set::Neon => "NEON",
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => "NEON-dotprod",
            #[cfg(target_arch = "wasm32")]
            Set::Simd128 if cfg!(target_feature = "relaxed-simd") => "relaxed simd128",
            #[cfg(target_arch = "wasm32")]
            Set::Simd128 => "simd128",
        }
    }

    fn kernels(self) -> &'static Kernels {
        match self.0 {
            #[cfg(not(target_arch = "wasm32"))]
            Set::Scalar => &scalar::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => &avx2::KERNELS,
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => &avx512::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Set::Neon => &neon::plain::KERNELS,
            #[cfg(target_arch = "aarch64")]
            Set::NeonDot => &neon::with_dot::KERNELS,
            #[cfg(target_arch = "wasm32")]
            Set::Simd128 => &simd128::KERNELS,
        }
    }

    /// The kernel of an operation.
    pub(crate) fn kernel(self, op: Op) -> Kernel {
        let kernels = self.kernels();
        match op {
            Op::Attention { .. } => kernels.attention,
            Op::AttentionJoin { .. } => kernels.attention_join,
            Op::AttentionStep { .. } => kernels.attention_step,
            Op::DeltaScan { .. } => kernels.delta_scan,
            Op::EmbedRows { .. } => kernels.embed_rows,
            Op::GatedMatvec { .. } => kernels.gated_matvec,
            Op::Matmul { .. } => kernels.matmul,
            Op::Matvec { .. } => kernels.matvec,
            Op::Plain(plain) => plain_kernel(kernels, plain),
            Op::QkvMatvec { .. } => kernels.qkv_matvec,
            Op::RmsNorm { .. } => kernels.rms_norm,
            Op::Rope { .. } => kernels.rope,
            Op::RopeAppend { .. } => kernels.rope_append,
        }
    }
}

fn plain_kernel(kernels: &Kernels, plain: Plain) -> Kernel {
    match plain {
        Plain::Accept => kernels.accept,
        Plain::Activation => kernels.activation,
        Plain::AddFeatures => kernels.add_features,
        Plain::Clamp => kernels.clamp,
        Plain::GateRows => kernels.gate_rows,
        Plain::GatedHeadNorm => kernels.gated_head_norm,
        Plain::Glu => kernels.glu,
        Plain::LayerNorm => kernels.layer_norm,
        Plain::PatchMerge => kernels.patch_merge,
        Plain::Patchify => kernels.patchify,
        Plain::Peak => kernels.peak,
        Plain::PoolRows => kernels.pool_rows,
        Plain::PositionRows => kernels.position_rows,
        Plain::Sample => kernels.sample,
        Plain::SampleFilter => kernels.sample_filter,
        Plain::SampleScan => kernels.sample_scan,
        Plain::SoftCap => kernels.soft_cap,
    }
}
