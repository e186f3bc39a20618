//! How a model is run within the memory it may take. Pure arithmetic and dry recordings: no device takes part.

mod estimate;
mod plan;

pub use plan::{KEPT_PICTURES, plan, smaller};

use crate::config::KvPrecision;
use crate::error::Error;
use crate::gpu::Purpose;
use crate::layers::TextRows;
use crate::layers::vision::TowerMemory;

/// Layers of a tower that is on the GPU between two waits for it.
pub const VISION_GROUP: usize = 4;

/// Where the weights of the vision tower and the projector are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, strum::Display, strum::EnumString)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_residency)]
pub enum Residency {
    /// On the GPU, always.
    Resident,
    /// On the GPU while pictures are encoded, and sent there again for the next ones.
    Dropped,
    /// A few stages at a time on the GPU, for each picture.
    Streamed,
}

impl Residency {
    /// All of them, the fastest first.
    pub const ALL: [Self; 3] = [Self::Resident, Self::Dropped, Self::Streamed];
}

fn no_residency(name: &str) -> Error {
    Error::request("vision", format!("{name:?} is none of resident, dropped and streamed"))
}

/// What a caller asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryOptions {
    /// Bytes of GPU memory that everything together may take.
    pub budget: Option<u64>,
    /// Tokens the context is to hold.
    pub context: Option<usize>,
    /// How the cache of keys and values holds a number.
    pub kv: Option<KvPrecision>,
    /// In which floats the picture side keeps those of a picture, if not as the cache, in 16 bits at most.
    pub vision_kv: Option<KvPrecision>,
    /// Where the weights of the picture side are.
    pub vision: Option<Residency>,
}

/// How a model is run, and what that takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Bytes that everything together may take, if there is a limit.
    pub budget: Option<u64>,
    /// Tokens the context holds.
    pub context: usize,
    /// How the cache of keys and values holds a number.
    pub kv: KvPrecision,
    /// How the picture side holds those of a picture while it is encoded.
    pub vision_kv: KvPrecision,
    /// Whether the cache keeps the memory of empty pages while pictures are encoded.
    pub keeps_pages: bool,
    /// Conversations that rest beside the one that goes on, of a model with recurrent layers: each remembers some places. Those of others
    /// take pages alone.
    pub idle_conversations: usize,
    /// Where the weights of the picture side are.
    pub vision: Residency,
    /// Layers of a streamed tower on the GPU at once.
    pub vision_slots: usize,
    /// Rows computed at a time.
    pub rows: Rows,
    /// Longest edge of a picture in pixels; larger ones are scaled down.
    pub longest_edge: usize,
    /// Rows of pictures' features on the GPU at once.
    pub feature_rows: usize,
    /// The most that each phase takes.
    pub phases: Vec<PhaseBytes>,
    /// The most there will be at any time.
    pub peak: u64,
}

impl Plan {
    /// The memory of a picture's pass through the tower.
    pub(crate) fn tower_memory(&self) -> TowerMemory {
        TowerMemory { rows: self.rows.vision, precision: self.vision_kv }
    }
}

/// Rows computed at a time: what the memory of a pass goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Rows {
    /// Of the decoder.
    pub text: TextRows,
    /// Patches of a picture; a multiple of [`crate::layers::vision::Tower::row_alignment`].
    pub vision: usize,
}

/// What the GPU is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Weights are being sent.
    Load,
    /// A picture goes through the tower.
    Picture,
    /// Tokens go through the decoder, and the cache grows.
    Text,
}

/// Bytes of one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct PurposeBytes {
    /// What they are for.
    pub purpose: Purpose,
    /// How many.
    pub bytes: u64,
}

/// The most that a phase takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct PhaseBytes {
    /// The phase.
    pub phase: Phase,
    /// Bytes of each purpose.
    pub purposes: Vec<PurposeBytes>,
    /// All of them.
    pub total: u64,
}

impl PhaseBytes {
    fn new(phase: Phase, bytes: [u64; 6]) -> Self {
        let purposes = Purpose::ALL.into_iter().zip(bytes).map(|(purpose, bytes)| PurposeBytes { purpose, bytes });
        Self { phase, purposes: purposes.collect(), total: bytes.iter().sum() }
    }
}
