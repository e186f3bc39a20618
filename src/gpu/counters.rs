//! Counts what a device is asked to do: what a token costs beyond the kernels themselves.

use bytemuck::{Pod, Zeroable};

/// How often a device was asked to do what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, Pod, Zeroable)]
#[serde(rename_all = "camelCase")]
#[repr(C)]
pub struct Counters {
    /// Kernel launches.
    pub dispatches: u64,
    /// Submissions to the queue.
    pub submits: u64,
    /// Writes to buffers.
    pub writes: u64,
    /// Buffers made.
    pub buffers: u64,
    /// Bind groups made.
    pub bind_groups: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Of these, the ones that work had to wait for: nobody had them compiled before.
    pub late_pipelines: u64,
    /// Bytes that came back.
    pub bytes_read: u64,
}

impl std::ops::Sub for Counters {
    type Output = Self;

    /// What was done since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        let [now, earlier]: [[u64; 8]; 2] = bytemuck::cast([self, earlier]);
        bytemuck::cast(std::array::from_fn::<u64, 8, _>(|index| now[index] - earlier[index]))
    }
}
