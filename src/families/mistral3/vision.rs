//! The Pixtral tower: a bidirectional transformer over the patches of one picture (`transformers` `modeling_pixtral.py`).
//!
//! Pictures never see one another, so each runs alone, at its own size. Only the residual stream, the keys and the values of all
//! patches are kept; everything else is computed for some rows at a time.

use std::ops::Range;

use super::config::{Config, VisionConfig};
use super::projector::Projector;
use super::vision_work::{self, Workspace};
use crate::config::KvPrecision;
use crate::error::{Error, Result};
use crate::families::tower::{Pixels, Tower};
use crate::gpu::{Allocator, Buffer, Recording};
use crate::kernels::{Linear, glu, patchify};
use crate::layers::{Fresh, FusedLinear, Norm, project};
use crate::layout::LaneLayout;
use crate::weights::{Weight, WeightStore};

/// Weights between the pixels and the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Weight,
    ln_pre: Norm,
}

/// Weights of one layer.
#[derive(Debug)]
struct Layer {
    attention_norm: Norm,
    q_proj: Weight,
    k_proj: Weight,
    v_proj: Weight,
    o_proj: Weight,
    ffn_norm: Norm,
    gate_up_proj: FusedLinear,
    down_proj: Weight,
}

impl Stem {
    fn new(config: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self { patch_conv: weights.matrix("vision.patch_conv")?, ln_pre: norm(config, weights, "vision.ln_pre")? })
    }

    /// Records pixels to the first layer's input: patch convolution and its norm.
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        let Some(picture) = work.pixels.as_ref().map(Buffer::all) else { return Err(no_picture()) }; // [height, width]
        let (h, rows) = (work.h.all(), work.act.all());
        for range in work.chunks() {
            let x = work.rows(&work.x, &range, work.config.hidden_size); // [range, hidden]
            patchify::record(recording, &work.cut, range.clone(), &picture, &rows)?; // [range, 3 * side * side]
            project(recording, &self.patch_conv, &rows, range.len(), &h, false)?;
            self.ln_pre.record(recording, range.len(), &h, &x)?;
        }
        Ok(())
    }
}

fn norm(config: &VisionConfig, weights: &mut WeightStore, name: &str) -> Result<Norm> {
    Norm::new(weights, name, (config.hidden_size, config.rms_norm_eps))
}

fn no_picture() -> Error {
    Error::Internal { detail: "no picture was begun, or its weights are missing".into() }
}

impl Layer {
    fn new(config: &VisionConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("vision.layers.{layer}.{name}");
        Ok(Self {
            attention_norm: norm(config, weights, &at("attention_norm"))?,
            q_proj: weights.matrix(&at("attention.q_proj"))?,
            k_proj: weights.matrix(&at("attention.k_proj"))?,
            v_proj: weights.matrix(&at("attention.v_proj"))?,
            o_proj: weights.matrix(&at("attention.o_proj"))?,
            ffn_norm: norm(config, weights, &at("ffn_norm"))?,
            gate_up_proj: FusedLinear { matrices: weights.fused(&at("feed_forward.gate_up_proj"))? },
            down_proj: weights.matrix(&at("feed_forward.down_proj"))?,
        })
    }

    /// Records the layer over the residual stream in `work.x`. Once the keys and values of all patches are there, no row needs
    /// another.
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        for range in work.chunks() {
            self.keys_and_values(recording, work, &range)?;
        }
        for range in work.chunks() {
            self.self_attention(recording, work, &range)?;
            self.feed_forward(recording, work, &range)?;
        }
        Ok(())
    }

    fn normalise(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>, by: &Norm) -> Result<()> {
        let x = work.rows(&work.x, range, work.config.hidden_size); // [range, hidden]
        by.record(recording, range.len(), &x, &work.h.all())
    }

    fn keys_and_values(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (h, width, m) = (work.h.all(), work.width(), range.len());
        let y = work.rows(&work.wide, &(0..m), 2 * width); // [range, k | v]
        self.normalise(recording, work, range, &self.attention_norm)?;
        for (weight, y_offset) in [(&self.k_proj, 0), (&self.v_proj, width)] {
            Linear { x: &h, m, weight, bias: None, y: &y, y_stride: 2 * width, y_offset, accumulate: false }
                .record(recording)?;
        }
        Self::take(recording, work, range, (false, true))
    }

    /// Takes what is in `work.wide`, queries or keys and values, rotated by their patches' places; queries into `work.act`.
    fn take(recording: &mut Recording, work: &Workspace, range: &Range<usize>, has: (bool, bool)) -> Result<()> {
        let angles = Some(&work.rows(&work.angles, range, work.config.head_dim)); // [range, head_dim]
        work.keys.take(recording, range, &Fresh { x: &work.wide.all(), angles, has, q: &work.act.all() })
    }

    fn self_attention(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (x, h) = (work.rows(&work.x, range, work.config.hidden_size), work.h.all());
        let [wide, q] = [&work.wide, &work.act].map(|buffer| work.rows(buffer, &(0..range.len()), work.width())); // [range, heads * head_dim]
        if !work.is_one_chunk() {
            self.normalise(recording, work, range, &self.attention_norm)?;
        }
        project(recording, &self.q_proj, &h, range.len(), &wide, false)?;
        Self::take(recording, work, range, (true, false))?;
        work.keys.attend(recording, (&q, range.len()), work.patches, &wide)?;
        project(recording, &self.o_proj, &wide, range.len(), &x, true)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let config = &work.config;
        let x = work.rows(&work.x, range, config.hidden_size); // [range, hidden]
        let (h, gate_up, act) = (work.h.all(), work.wide.all(), work.act.all());
        self.normalise(recording, work, range, &self.ffn_norm)?;
        self.gate_up_proj.record(recording, &h, range.len(), &gate_up)?; // [range, gate | up]
        glu::record(
            recording,
            (range.len(), config.intermediate_size),
            config.hidden_act,
            &gate_up,
            (&act, LaneLayout::NATURAL),
        )?;
        project(recording, &self.down_proj, &act, range.len(), &x, true)
    }
}

/// The weights of a stage.
#[derive(Debug)]
enum Stage {
    Stem(Stem),
    Layer(Layer),
    Projector(Projector),
}

/// The Pixtral tower and the projector behind it.
#[derive(Debug)]
pub(super) struct Vision {
    config: Config,
    vision: VisionConfig,
    stages: Vec<Option<Stage>>,
    work: Option<Workspace>,
}

impl Vision {
    /// Of a model with a picture side.
    pub(super) fn new(config: &Config, vision: &VisionConfig) -> Self {
        let stages = std::iter::repeat_with(|| None).take(vision.num_hidden_layers + 2).collect();
        Self { config: config.clone(), vision: vision.clone(), stages, work: None }
    }
}

impl Tower for Vision {
    fn stages(&self) -> usize {
        self.stages.len()
    }

    fn patches(&self, pixels: &Pixels<'_>) -> usize {
        vision_work::cut(pixels, &self.vision).count()
    }

    fn row_alignment(&self) -> usize {
        vision_work::row_alignment(&self.vision)
    }

    fn widest_row(&self) -> usize {
        vision_work::widest_row(&self.vision, self.config.text.hidden_size)
    }

    fn load(&mut self, stage: usize, weights: &mut WeightStore) -> Result<()> {
        self.stages[stage] = Some(match stage.checked_sub(1) {
            None => Stage::Stem(Stem::new(&self.vision, weights)?),
            Some(layer) if layer < self.vision.num_hidden_layers => {
                Stage::Layer(Layer::new(&self.vision, weights, layer)?)
            }
            Some(_) => Stage::Projector(Projector::new(&self.config, &self.vision, weights)?),
        });
        Ok(())
    }

    fn unload(&mut self, stage: usize) {
        self.stages[stage] = None;
    }

    fn is_loaded(&self, stage: usize) -> bool {
        self.stages[stage].is_some()
    }

    fn begin(&mut self, gpu: &dyn Allocator, pixels: &Pixels<'_>, keeps: (usize, KvPrecision)) -> Result<()> {
        self.work = Some(Workspace::new(gpu, &self.vision, pixels, keeps, self.config.text.hidden_size)?);
        Ok(())
    }

    fn record(&mut self, stage: usize, recording: &mut Recording, into: (&Buffer, usize)) -> Result<()> {
        let work = self.work.as_ref().ok_or_else(no_picture)?;
        match self.stages[stage].as_ref().ok_or_else(no_picture)? {
            Stage::Stem(stem) => stem.record(recording, work),
            Stage::Layer(layer) => layer.record(recording, work),
            Stage::Projector(projector) => {
                let columns = work.cut.columns();
                let grid = [work.patches / columns.max(1), columns].map(|edge| edge / self.vision.spatial_merge_size);
                projector.record(recording, work, grid, into)
            }
        }
    }

    fn end_first_stage(&mut self) {
        if let Some(work) = &mut self.work {
            work.pixels = None;
        }
    }

    fn end(&mut self) {
        self.work = None;
    }
}
