//! Plans for running a model within a memory budget. Pure arithmetic and dry runs, without a device.

mod estimate;
mod plan;

pub use plan::{KEPT_PICTURES, plan, smaller};

use crate::config::KvPrecision;
use crate::error::Error;
use crate::gpu::Purpose;
use crate::layers::TextRows;
use crate::layers::vision::TowerMemory;

/// Tower layers that are sent to the GPU between two waits.
pub const VISION_GROUP: usize = 4;

/// Residency of the weights of the vision tower and the projector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_residency)]
pub enum Residency {
    /// Always on the GPU.
    Resident,
    /// On the GPU while pictures are encoded, and uploaded again for the next ones.
    Dropped,
    /// A few stages at a time, uploaded for each picture.
    Streamed,
}

impl Residency {
    /// All values, the fastest first.
    pub const ALL: [Self; 3] = [Self::Resident, Self::Dropped, Self::Streamed];
}

fn no_residency(name: &str) -> Error {
    Error::request("vision", format!("invalid value {name:?}; expected resident, dropped or streamed"))
}

/// Requests of the caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Limit of all GPU memory in bytes.
    pub budget: Option<u64>,
    /// Context length in tokens.
    pub context: Option<usize>,
    /// Longest context in tokens to choose if none is requested and memory is plentiful.
    pub longest_context: Option<usize>,
    /// Precision of the KV cache.
    pub kv: Option<KvPrecision>,
    /// Precision of a picture's keys and values in the tower. Default: that of the cache, but at most 16 bits.
    pub vision_kv: Option<KvPrecision>,
    /// Residency of the tower's weights.
    pub vision: Option<Residency>,
}

/// The way a model is run, and its memory.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Limit of all GPU memory in bytes.
    pub budget: Option<u64>,
    /// Context length in tokens.
    pub context: usize,
    /// Precision of the KV cache.
    pub kv: KvPrecision,
    /// Precision of a picture's keys and values in the tower.
    pub vision_kv: KvPrecision,
    /// True if the cache keeps the memory of empty pages while pictures are encoded.
    pub keeps_pages: bool,
    /// Idle conversations of a model with recurrent layers, each of which has checkpoints. Idle conversations of other models take pages only.
    pub idle_conversations: usize,
    /// Residency of the tower's weights.
    pub vision: Residency,
    /// Layers of a streamed tower that are on the GPU at once.
    pub vision_slots: usize,
    /// Rows computed at a time.
    pub rows: Rows,
    /// Longest edge of a picture in pixels; larger ones are scaled down.
    pub longest_edge: usize,
    /// Feature rows of pictures on the GPU at once.
    pub feature_rows: usize,
    /// Peak of each phase.
    pub phases: Vec<PhaseBytes>,
    /// Peak of all phases in bytes.
    pub peak: u64,
}

impl Plan {
    /// The memory of a picture's pass through the tower.
    pub(crate) fn tower_memory(&self) -> TowerMemory {
        TowerMemory { rows: self.rows.vision, precision: self.vision_kv }
    }
}

/// Rows computed at a time, which determine the memory of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rows {
    /// Rows of the decoder.
    pub text: TextRows,
    /// Patches of a picture; a multiple of [`crate::layers::vision::Tower::row_alignment`].
    pub vision: usize,
}

/// Activity of the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Weights are uploaded.
    Load,
    /// A picture goes through the tower.
    Picture,
    /// Tokens go through the decoder, and the cache grows.
    Text,
}

/// Bytes of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PurposeBytes {
    /// Purpose.
    pub purpose: Purpose,
    /// Number of bytes.
    pub bytes: u64,
}

/// Peak of a phase.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PhaseBytes {
    /// The phase.
    pub phase: Phase,
    /// Bytes of each purpose.
    pub purposes: Vec<PurposeBytes>,
    /// Sum of all purposes.
    pub total: u64,
}

impl PhaseBytes {
    fn new(phase: Phase, bytes: [u64; 6]) -> Self {
        let purposes = Purpose::ALL.into_iter().zip(bytes).map(|(purpose, bytes)| PurposeBytes { purpose, bytes });
        Self { phase, purposes: purposes.collect(), total: bytes.iter().sum() }
    }
}
