//! Test of the numbers of subgroups, which products and attention rely on and which some drivers emulate
//! (<https://developer.chrome.com/blog/new-in-webgpu-144>).

use super::{Variant, lanes, params};
use crate::error::Result;
use crate::gpu::{Dispatch, Features, Kernel, Recording, Slice};
use crate::shader::Shader;

/// Threads of the workgroups that kernels with subgroups have.
pub const THREADS: [usize; 4] = [32, 64, 128, 256];

/// The kernel for workgroups of this size, with subgroups of the device.
pub fn kernel(threads: usize) -> Kernel {
    emulated(threads, 0)
}

/// The kernel with subgroups of so many emulated lanes, or of the device with 0.
pub fn emulated(threads: usize, emulated: usize) -> Kernel {
    let uses = if emulated == 0 { Features::SUBGROUPS } else { Features::NONE };
    let shader = lanes::with(Shader::new("subgroup_probe").set("THREADS", threads), uses, emulated);
    Kernel::new(format!("subgroup_probe<{threads}>"), uses, shader, Variant::SubgroupProbe { threads, emulated })
}

/// Records `groups` workgroups. `y`: 1 for each thread whose subgroup is right. `// [groups, threads]`
pub fn record(recording: &mut Recording, kernel: Kernel, groups: usize, y: &Slice) -> Result<()> {
    recording.dispatch(Dispatch {
        kernel,
        params: params!(groups),
        buffers: vec![y.clone()],
        grid: [groups as u32, 1, 1],
        note: format!("groups={groups}"),
    })
}
