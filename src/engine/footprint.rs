//! What a model takes on the GPU, by phase and purpose, for one way of running it. Every size comes from the code that allocates.

use super::tower::Residency;
use crate::config::{KvPrecision, TextConfig};
use crate::error::{Error, Result};
use crate::families::mistral3::VisionConfig;
use crate::families::{ModelConfig, PictureShape, Pictures};
use crate::gpu::Purpose;
use crate::gpu::buffer::allocated;
use crate::kernels::sample::Sampling;
use crate::model::forward::{Rows, VISION_LAYERS};
use crate::model::kv_cache::{KvCache, PAGE};
use crate::model::vision_work::{self, PictureSize};
use crate::model::{decoder, step, verify};
use crate::weights::manifest::Manifest;
use crate::weights::upload::{Selection, SelectionSize};

/// Bytes of a launch's parameters.
const PARAMS: u64 = 256;
/// Bytes that a launch's parameters take until it has run: a slot, and the queue's copy of it.
const LAUNCH: u64 = 2 * PARAMS;

/// One way of running a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlanCandidate {
    pub(super) context: usize,
    pub(super) kv: KvPrecision,
    pub(super) vision: Residency,
    /// Layers of a streamed tower on the GPU at once.
    pub(super) slots: usize,
    pub(super) rows: Rows,
    /// Longest edge of a picture in pixels.
    pub(super) edge: usize,
    /// Rows of features on the GPU at once.
    pub(super) feature_rows: usize,
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

/// The weights of a model, in buffers of at most so many bytes.
#[derive(Debug)]
pub(super) struct Weights {
    text: SelectionSize,
    stem: SelectionSize,
    layers: Vec<SelectionSize>,
    projector: SelectionSize,
    /// Bytes of the largest shard: what is on its way at once while loading.
    shard: u64,
}

impl Weights {
    pub(super) fn of(manifest: &Manifest, limit: u64) -> Result<Self> {
        let depth = manifest.config.vision().map(|vision| vision.num_hidden_layers);
        let stage = |stage: usize| Selection::stage(manifest, stage).size(manifest, limit);
        Ok(Self {
            text: Selection::text(manifest).size(manifest, limit)?,
            stem: stage(0)?,
            layers: (0..depth.unwrap_or(0)).map(|layer| stage(1 + layer)).collect::<Result<_>>()?,
            projector: stage(1 + depth.unwrap_or(0))?,
            shard: manifest.shards.iter().map(|shard| shard.bytes).max().unwrap_or(0),
        })
    }

    fn vision(&self) -> u64 {
        self.stem.bytes + self.layers.iter().map(|layer| layer.bytes).sum::<u64>() + self.projector.bytes
    }

    /// The most that layers take on the GPU at once, and one of them on its way.
    fn layers(&self, slots: usize) -> (u64, u64) {
        let bytes: Vec<u64> = self.layers.iter().map(|layer| layer.bytes).collect();
        let together = bytes.windows(slots.clamp(1, bytes.len().max(1))).map(|window| window.iter().sum()).max();
        (together.unwrap_or(0), bytes.into_iter().max().unwrap_or(0))
    }
}

/// The pictures worth looking at.
fn pictures(vision: &VisionConfig, way: &PlanCandidate) -> Vec<PictureShape> {
    vision.shapes(way.edge, way.context)
}

/// Rows of features of the largest picture.
pub(super) fn largest_picture(vision: &VisionConfig, way: &PlanCandidate) -> usize {
    pictures(vision, way).iter().map(|shape| shape.rows).max().unwrap_or(0)
}

/// Bytes of the cache that has grown to hold `tokens`.
fn kv_bytes(text: &TextConfig, way: &PlanCandidate, tokens: usize) -> u64 {
    tokens.next_multiple_of(PAGE).min(way.context) as u64 * KvCache::bytes_per_token(text, way.kv)
}

/// Bytes of the features.
fn feature_bytes(text: &TextConfig, rows: usize) -> u64 {
    rows as u64 * (text.hidden_size * size_of::<f32>()) as u64
}

/// What `way` takes in every phase, or which limit of the device it exceeds.
pub(super) fn footprint(
    config: &ModelConfig,
    weights: &Weights,
    way: &PlanCandidate,
    limit: u64,
) -> Result<Vec<PhaseBytes>> {
    check_limits(config, way, limit)?;
    let mut phases = vec![load(weights, way), text(config.text(), weights, way)];
    if let Some(vision) = config.vision() {
        let each = pictures(vision, way).into_iter().flat_map(|shape| picture(config, vision, weights, way, shape));
        phases.extend(each.max_by_key(|bytes| bytes.total));
    }
    Ok(phases)
}

fn resident(weights: &Weights, way: &PlanCandidate) -> u64 {
    if way.vision == Residency::Resident { weights.vision() } else { 0 }
}

fn load(weights: &Weights, way: &PlanCandidate) -> PhaseBytes {
    PhaseBytes::new(Phase::Load, [weights.text.bytes, resident(weights, way), 0, 0, 0, weights.shard])
}

fn text(text: &TextConfig, weights: &Weights, way: &PlanCandidate) -> PhaseBytes {
    let rows = way.rows.text;
    // While the cache grows, or is cut back, one layer is there twice.
    let kv = kv_bytes(text, way, way.context);
    let twice = kv_bytes(text, way, way.context.saturating_sub(PAGE)) / text.layers.len().max(1) as u64;
    let launches = (weights.text.parts + 6 * text.layers.len() + 2) as u64 * LAUNCH;
    let inputs = |tokens: usize| step::step_bytes(text, tokens) + (tokens * size_of::<u32>()) as u64;
    let forward = |tokens: usize| launches + inputs(tokens);
    // Of a step and of a draw, which are kept, and of passes over drafts.
    let recordings = 1 + verify::ROWS.into_iter().filter(|&step| step <= rows.step).count();
    let a_step = (2 * weights.text.parts + 4 * text.layers.len() + 4) as u64 * PARAMS;
    let kept = recordings as u64 * a_step;
    let read_back = (rows.head * text.vocab_size * size_of::<f32>()) as u64;
    let (work, _) = decoder::work_bytes(text, rows);
    let work = work + kept + Sampling::most_bytes(text.vocab_size);
    let features = feature_bytes(text, way.feature_rows);
    // A chunk of the prompt is waited for. Then logits are read, or an answer is begun: its head, its table, and what is kept.
    let begun = inputs(1) + a_step + 8 * text.vocab_size as u64 + 4 * LAUNCH;
    let staging = forward(rows.prompt).max(read_back + 4 * LAUNCH).max(begun);
    PhaseBytes::new(Phase::Text, [weights.text.bytes, resident(weights, way), kv + twice, work, features, staging])
}

/// A picture that comes when the cache holds as much as the context leaves beside it: its stem, its layers, the projector.
fn picture(
    config: &ModelConfig,
    vision: &VisionConfig,
    weights: &Weights,
    way: &PlanCandidate,
    shape: PictureShape,
) -> [PhaseBytes; 3] {
    let rows = way.rows.vision.min(shape.patches.next_multiple_of(vision_work::row_alignment(vision)));
    let size = PictureSize { patches: shape.patches, rows, text_hidden: config.text().hidden_size };
    let (work, _) = vision_work::work_bytes(vision, size);
    let pixels = shape.patches as u64 * (vision.patch_size * vision.patch_size * size_of::<u32>()) as u64;
    let kv = kv_bytes(config.text(), way, way.context.saturating_sub(shape.tokens));
    let features = feature_bytes(config.text(), way.feature_rows.max(shape.rows));
    let tables = (shape.patches as u64 * vision.head_dim as u64 + rows as u64) * size_of::<f32>() as u64;
    let chunks = shape.patches.div_ceil(rows) as u64;
    let launches = |parts: usize, others: usize| chunks * (parts + others) as u64 * LAUNCH;
    let widest = weights.layers.iter().map(|layer| layer.parts).max().unwrap_or(0);
    let a_layer = launches(widest, 7);
    let (whole, streamed) = (weights.vision(), way.vision == Residency::Streamed);
    let (together, coming) = weights.layers(way.slots);
    let phase = |held: u64, work: u64, staging: u64| {
        let held = if streamed { held } else { whole };
        PhaseBytes::new(Phase::Picture, [weights.text.bytes, held, kv, work, features, staging])
    };
    let sent = |bytes: u64| if streamed { bytes } else { 0 };
    let stem = pixels + tables + launches(weights.stem.parts, 2);
    let dropped = if way.vision == Residency::Dropped { weights.shard.min(whole) } else { 0 };
    let layers = if streamed { a_layer } else { VISION_LAYERS as u64 * a_layer };
    [
        phase(weights.stem.bytes, work + allocated(pixels), stem + dropped.max(sent(weights.stem.bytes))),
        phase(together, work, sent(coming) + layers),
        phase(weights.projector.bytes, work, sent(weights.projector.bytes) + launches(weights.projector.parts, 3)),
    ]
}

/// Whatever is bound as a whole must fit a binding.
fn check_limits(config: &ModelConfig, way: &PlanCandidate, limit: u64) -> Result<()> {
    let text = config.text();
    let widest = way.kv.head_bytes(text.head_dim).into_iter().max().unwrap_or(0);
    let keys = way.context as u64 * text.num_key_value_heads as u64 * widest;
    let (_, work) = decoder::work_bytes(text, way.rows.text);
    let features = feature_bytes(text, way.feature_rows);
    let mut buffers = vec![("keys of the context", keys), ("rows of a prompt", work), ("features", features)];
    if let Some(vision) = config.vision() {
        let patches = pictures(vision, way).iter().map(|shape| shape.patches).max().unwrap_or(0);
        let size = PictureSize { patches, rows: way.rows.vision, text_hidden: text.hidden_size };
        let pixels = patches as u64 * (vision.patch_size * vision.patch_size * size_of::<u32>()) as u64;
        buffers.extend([("a picture", vision_work::work_bytes(vision, size).1), ("pixels", pixels)]);
    }
    match buffers.into_iter().find(|(_, bytes)| allocated(*bytes) > limit) {
        None => Ok(()),
        Some((what, needed)) => {
            let name = "maxStorageBufferBindingSize";
            Err(Error::LimitsTooSmall { limit: name, what: what.into(), needed, available: limit })
        }
    }
}
