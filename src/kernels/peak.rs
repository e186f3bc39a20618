//! Arithmetic throughput of a device, the upper bound for products.

use super::{Variant, linear_grid, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::shader::Shader;

/// Chains of a thread, and multiply-adds of each chain in a turn.
const CHAINS: u64 = 12;
const UNROLLED: u64 = 4;

/// Number format of the multiply-adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Four packed 8-bit integers at a time, added to a 32-bit one.
    Int8,
}

impl Numbers {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::F16, Self::Int8];

    /// Features that the format needs.
    pub fn needs(self) -> Features {
        match self {
            Self::F32 => Features::NONE,
            Self::F16 => Features::F16,
            Self::Int8 => Features::DOT,
        }
    }

    /// Operations of `threads` threads in `turns` turns; a multiply-add counts as two.
    pub fn operations(self, threads: usize, turns: usize) -> u64 {
        let of_one = if self == Self::Int8 { 8 } else { 2 };
        of_one * CHAINS * UNROLLED * threads as u64 * turns as u64
    }
}

/// The kernel.
pub fn kernel(numbers: Numbers) -> Kernel {
    let (f16, dot) = (numbers == Numbers::F16, numbers == Numbers::Int8);
    let shader = Shader::new("peak").set_all([("F16", f16.into()), ("DOT", dot.into())]);
    Kernel::new(format!("peak<{numbers:?}>"), numbers.needs(), shader, Variant::Peak(numbers))
}

/// Records `turns` turns of each thread from `x` to `y`. `x`: `// [threads]`, from -1 to 1; `y`: `// [threads]`.
pub fn record(
    recording: &mut Recording,
    numbers: Numbers,
    threads: usize,
    turns: usize,
    x: &Slice,
    y: &Slice,
) -> Result<()> {
    let dispatch = Dispatch {
        kernel: kernel(numbers),
        params: params!(threads, turns),
        buffers: vec![x.clone(), y.clone()],
        grid: linear_grid(threads),
        note: format!("threads={threads} turns={turns}"),
    };
    recording.multiply(dispatch, numbers.operations(threads, turns))
}
