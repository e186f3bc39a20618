//! Counts of a device's operations: the overhead of a token beyond its kernels.

use bytemuck::{Pod, Zeroable};

/// Number of operations of each kind.
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
    /// Buffers created.
    pub buffers: u64,
    /// Bind groups created.
    pub bind_groups: u64,
    /// Pipelines compiled.
    pub pipelines: u64,
    /// Pipelines compiled while a run waited for them, because nobody had compiled them ahead.
    pub late_pipelines: u64,
    /// Bytes read back.
    pub bytes_read: u64,
}

impl std::ops::Sub for Counters {
    type Output = Self;

    /// Operations since `earlier`.
    fn sub(self, earlier: Self) -> Self {
        let [now, earlier]: [[u64; 8]; 2] = bytemuck::cast([self, earlier]);
        bytemuck::cast(std::array::from_fn::<u64, 8, _>(|index| now[index] - earlier[index]))
    }
}
