//! The tower: a bidirectional transformer over the patches of one picture (`transformers` `modeling_qwen3_vl.py`).
//!
//! Pictures never see one another, so each runs alone, at its own size. Only the residual stream and the queries, keys and values of all
//! patches are kept; everything else is computed for some rows at a time.

use std::ops::Range;

use super::config::VisionConfig;
use super::merger::{Into, Merger};
use super::work::{self, EPS, Workspace};
use crate::config::{Activation, KvPrecision};
use crate::error::{Error, Result};
use crate::families::tower::{Pixels, Tower};
use crate::gpu::{Allocator, Buffer, Recording, Slice};
use crate::kernels::position_rows::{self, PositionTable};
use crate::kernels::{activation, patchify};
use crate::layers::{Biased, Fresh, LayerNorm};
use crate::weights::WeightStore;

/// Weights between the pixels and the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Biased,
    /// `// [side, side, hidden]`
    positions: Slice,
}

impl Stem {
    /// Records pixels to the first layer's input: patch convolution and positions.
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        let Some(picture) = work.pixels.as_ref().map(Buffer::all) else { return Err(no_picture()) }; // [height, width]
        let pixels = work.act.all();
        let table = PositionTable { side: work.config.position_side, width: work.config.hidden_size };
        for range in work.chunks() {
            let x = work.rows(&work.x, &range, work.config.hidden_size); // [range, hidden]
            patchify::record(recording, &work.cut, range.clone(), &picture, &pixels)?; // [range, 3 * side * side]
            self.patch_conv.record(recording, &pixels, range.len(), &x, false)?;
            position_rows::record(recording, work.cut.grid(), range, table, &self.positions, &x)?;
        }
        Ok(())
    }
}

/// Weights of one layer.
#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    qkv: Biased,
    proj: Biased,
    norm2: LayerNorm,
    linear_fc1: Biased,
    linear_fc2: Biased,
    /// The merger of the layer's output, and which row of a token it makes.
    merger: Option<(usize, Merger)>,
}

impl Layer {
    fn new(config: &VisionConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("vision.layers.{layer}.{name}");
        let deepstack = config.deepstack.iter().position(|&deep| deep == layer);
        let merger = |index: usize| Merger::deepstack(config, weights, index).map(|merger| (1 + index, merger));
        Ok(Self {
            merger: deepstack.map(merger).transpose()?,
            norm1: LayerNorm::new(weights, &at("norm1"), (config.hidden_size, EPS))?,
            qkv: Biased::new(weights, &at("attn.qkv"))?,
            proj: Biased::new(weights, &at("attn.proj"))?,
            norm2: LayerNorm::new(weights, &at("norm2"), (config.hidden_size, EPS))?,
            linear_fc1: Biased::new(weights, &at("mlp.linear_fc1"))?,
            linear_fc2: Biased::new(weights, &at("mlp.linear_fc2"))?,
        })
    }

    /// Records the layer over the residual stream in `work.x`. Once the keys and values of all patches are there, no row needs
    /// another.
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        for range in work.chunks() {
            self.queries_keys_values(recording, work, &range)?;
        }
        for range in work.chunks() {
            self.self_attention(recording, work, &range)?;
            self.feed_forward(recording, work, &range)?;
        }
        Ok(())
    }

    fn queries_keys_values(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let hidden = work.config.hidden_size;
        let (x, h, qkv) = (work.rows(&work.x, range, hidden), work.h.all(), work.act.all()); // [range, q | k | v]
        self.norm1.record(recording, range.len(), &x, &h)?;
        self.qkv.record(recording, &h, range.len(), &qkv, false)?;
        let angles = Some(&work.rows(&work.angles, range, work.config.head_dim())); // [range, head_dim]
        let q = &work.rows(&work.q, range, hidden); // [range, hidden]
        work.keys.take(recording, range, &Fresh { x: &qkv, angles, has: (true, true), q })
    }

    fn self_attention(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let [x, q] = [&work.x, &work.q].map(|buffer| work.rows(buffer, range, work.config.hidden_size)); // [range, hidden]
        let out = work.act.all(); // [range, hidden]
        work.keys.attend(recording, (&q, range.len()), work.patches, &out)?;
        self.proj.record(recording, &out, range.len(), &x, true)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let x = work.rows(&work.x, range, work.config.hidden_size); // [range, hidden]
        let (h, act) = (work.h.all(), work.act.all());
        self.norm2.record(recording, range.len(), &x, &h)?;
        self.linear_fc1.record(recording, &h, range.len(), &act, false)?; // [range, intermediate]
        activation::record(recording, range.len() * self.linear_fc1.width(), Activation::GeluTanh, &act)?;
        self.linear_fc2.record(recording, &act, range.len(), &x, true)
    }
}

fn no_picture() -> Error {
    Error::Internal { detail: "no picture was begun, or its weights are missing".into() }
}

/// The weights of a stage.
#[derive(Debug)]
enum Stage {
    Stem(Stem),
    Layer(Box<Layer>),
    Merger(Merger),
}

/// The tower and its mergers.
#[derive(Debug)]
pub(in crate::families) struct Vision {
    config: VisionConfig,
    stages: Vec<Option<Stage>>,
    work: Option<Workspace>,
}

impl Vision {
    /// Without weights.
    pub(in crate::families) fn new(config: &VisionConfig) -> Self {
        let stages = std::iter::repeat_with(|| None).take(config.num_hidden_layers + 2).collect();
        Self { config: config.clone(), stages, work: None }
    }
}

impl Tower for Vision {
    fn stages(&self) -> usize {
        self.stages.len()
    }

    fn patches(&self, pixels: &Pixels<'_>) -> usize {
        work::cut(pixels, &self.config).count()
    }

    fn row_alignment(&self) -> usize {
        work::row_alignment(&self.config)
    }

    fn widest_row(&self) -> usize {
        work::widest_row(&self.config)
    }

    fn load(&mut self, stage: usize, weights: &mut WeightStore) -> Result<()> {
        self.stages[stage] = Some(match stage.checked_sub(1) {
            None => Stage::Stem(Stem {
                patch_conv: Biased::new(weights, "vision.patch_conv")?,
                positions: weights.vector("vision.positions")?,
            }),
            Some(layer) if layer < self.config.num_hidden_layers => {
                Stage::Layer(Box::new(Layer::new(&self.config, weights, layer)?))
            }
            Some(_) => Stage::Merger(Merger::last(&self.config, weights)?),
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
        self.work = Some(Workspace::new(gpu, &self.config, pixels, keeps)?);
        Ok(())
    }

    fn record(&mut self, stage: usize, recording: &mut Recording, (features, first): (&Buffer, usize)) -> Result<()> {
        let work = self.work.as_ref().ok_or_else(no_picture)?;
        let row = |index: usize| Into { features, first: first + index, step: self.config.rows_of_token() };
        match self.stages[stage].as_ref().ok_or_else(no_picture)? {
            Stage::Stem(stem) => stem.record(recording, work),
            Stage::Layer(layer) => {
                layer.record(recording, work)?;
                layer.merger.as_ref().map_or(Ok(()), |(index, merger)| merger.record(recording, work, row(*index)))
            }
            Stage::Merger(merger) => merger.record(recording, work, row(0)),
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
