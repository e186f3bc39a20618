//! Entries of the instruction sets: every kernel, compiled for each.

use super::Kernel;

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
        pub(in crate::isa) const KERNELS: $crate::isa::Kernels = $crate::isa::Kernels { $($kernel),* };

        # $attribute
        unsafe fn group<L: $crate::kernels::Format>(
            matrix: &$crate::kernels::Matrix<'_>,
            group: usize,
            inputs: &$crate::kernels::Inputs,
            results: &mut [[f32; 4]],
        ) {
            // SAFETY: The entry has the instructions, and its caller vouches for the group.
            unsafe { $crate::kernels::group::<$isa, L>(matrix, group, inputs, results) }
        }

        # $attribute
        unsafe fn unpack<L: $crate::kernels::Format>(
            matrix: &$crate::kernels::Matrix<'_>,
            group: usize,
            blocks: core::ops::Range<usize>,
            panel: *mut f32,
        ) {
            // SAFETY: The entry has the instructions, and its caller vouches for blocks and panel.
            unsafe { $crate::kernels::unpack::<$isa, L>(matrix, group, blocks, panel) }
        }

        # $attribute
        unsafe fn columns<L: $crate::kernels::Format>(
            matrix: &$crate::kernels::Matrix<'_>,
            first: usize,
            rows: &$crate::kernels::Rows,
        ) {
            // SAFETY: The entry has the instructions, and its caller vouches for the rows.
            unsafe { $crate::kernels::columns::<$isa, L>(matrix, first, rows) }
        }

        const fn of_format<L: $crate::kernels::Format>() -> $crate::isa::OfFormat {
            $crate::isa::OfFormat {
                group: group::<L>,
                unpack: unpack::<L>,
                columns: columns::<L>,
                has_nibbles: L::HAS_NIBBLES,
                is_halved: L::IS_HALVED,
                has_minima: L::HAS_MINIMA,
                bits: L::BITS,
                zero: $crate::kernels::zero::<$isa, L>(),
            }
        }

        use $crate::kernels::{coded, formats, halved};
        pub(in crate::isa) const FORMATS: [$crate::isa::OfFormat; 16] = [
            of_format::<formats::F32>(),
            of_format::<formats::F16>(),
            of_format::<formats::Q8_0>(),
            of_format::<halved::Q6K>(),
            of_format::<formats::Q5K>(),
            of_format::<formats::Q5_1>(),
            of_format::<formats::Q5_0>(),
            of_format::<formats::Q4_1>(),
            of_format::<formats::Q4K>(),
            of_format::<coded::Coded<coded::Iq4Nl>>(),
            of_format::<coded::Coded<coded::Iq4Xs>>(),
            of_format::<formats::Q4_0>(),
            of_format::<formats::Q4_64>(),
            of_format::<coded::Coded<coded::Mxfp4>>(),
            of_format::<halved::Q3K>(),
            of_format::<halved::Q2K>(),
        ];
    };
}
pub(super) use entries;

/// Calls a macro with the names of all kernels.
macro_rules! with_kernels {
    ($call:ident!($($args:tt)*)) => {
        $call! {
            $($args)*
            accept, activation, add_features, attention, attention_join, attention_step, delta_scan, embed_rows,
            clamp, gate_rows, gated_head_norm, gated_matvec, glu, layer_norm, matmul, matvec, patch_merge, patchify, peak, pool_rows, position_rows,
            qkv_matvec, rms_norm, rope, rope_append, sample, sample_filter, sample_scan, soft_cap
        }
    };
}
pub(super) use with_kernels;

macro_rules! table {
    ($($kernel:ident),*) => {
        /// The kernels of an instruction set.
        pub(crate) struct Kernels { $(pub(crate) $kernel: Kernel),* }
    };
}
with_kernels!(table!());
