//! The tower: a transformer over the patches of all tiles that a picture may have (`transformers` `modeling_mllama.py`).
//!
//! Rows of tiles that are not there, and of padding, take part: those that are there read them. They themselves read only what is there.

use std::ops::Range;

use super::config::VisionConfig;
use super::work::{self, Workspace};
use crate::config::{Activation, KvPrecision};
use crate::error::{Error, Result};
use crate::families::tower::{Pixels, Tower};
use crate::gpu::{Allocator, Buffer, Recording, Slice};
use crate::kernels::{Linear, RowShape, activation, add_features, embed_rows, patchify};
use crate::layers::{Biased, Fresh, FusedLinear, LayerNorm, project};
use crate::layout::LaneLayout;
use crate::weights::{Weight, WeightStore};

/// Weights between the pixels and the first layer.
#[derive(Debug)]
struct Stem {
    patch_conv: Weight,
    /// `// [hidden]`
    class: Slice,
    /// `// [tile rows, hidden]`
    positions: Slice,
    /// `// [arrangements * tiles, tile rows * hidden]`
    tile_positions: Weight,
    /// `// [arrangements * tiles, hidden]`
    pre_tile: Slice,
    ln_pre: LayerNorm,
}

impl Stem {
    fn new(config: &VisionConfig, weights: &mut WeightStore) -> Result<Self> {
        Ok(Self {
            patch_conv: weights.matrix("vision.patch_conv")?,
            class: weights.vector("vision.class")?,
            positions: weights.vector("vision.positions")?,
            tile_positions: weights.matrix("vision.tile_positions")?,
            pre_tile: weights.vector("vision.pre_tile")?,
            ln_pre: LayerNorm::new(weights, "vision.ln_pre", (config.hidden_size, config.norm_eps))?,
        })
    }

    /// Records pixels to the first layer's input. The rows of padding stay zeros.
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        let Some(picture) = work.pixels.as_ref().map(Buffer::all) else { return Err(no_picture()) }; // [height, width]
        let (config, sources, pixels) = (&work.config, &work.sources, work.act.all());
        let (hidden, tile_rows) = (config.hidden_size, config.tile_rows());
        let rows = config.max_num_tiles * tile_rows;
        // The memory of the layers' queries is free.
        let x = work.q.all(); // [rows, hidden]
        let tables = &sources.tables.all();
        embed_rows::record(
            recording,
            &self.tile_positions,
            config.max_num_tiles,
            tables,
            &self.class,
            (&x, LaneLayout::NATURAL),
        )?;
        for (places, table) in
            [(&sources.positions, &self.positions), (&sources.class, &self.class), (&sources.patches, &self.pre_tile)]
        {
            add_features::record(recording, RowShape { rows, width: hidden }, 0, [&places.all(), table], &x)?;
        }
        for tile in 0..work.tiles {
            for range in work.chunks(tile_rows - 1) {
                let (m, first) = (range.len(), tile * (tile_rows - 1));
                let patches = first + range.start..first + range.end;
                patchify::record(recording, &work.cut, patches, &picture, &pixels)?; // [range, 3 * side * side]
                let y_offset = (tile * tile_rows + 1 + range.start) * hidden;
                let weight = &self.patch_conv;
                Linear { x: &pixels, m, weight, bias: None, y: &x, y_stride: hidden, y_offset, accumulate: true }
                    .record(recording)?;
            }
        }
        for range in work.chunks(rows) {
            let from = work.rows(&work.q, &range, hidden); // [range, hidden]
            self.ln_pre.record(recording, range.len(), &from, &work.rows(&work.x, &range, hidden))?;
        }
        Ok(())
    }
}

/// What comes between the layers and those behind them.
#[derive(Debug)]
struct Middle {
    ln_post: LayerNorm,
    /// `// [arrangements * tiles, hidden]`
    post_tile: Slice,
}

impl Middle {
    fn record(&self, recording: &mut Recording, work: &Workspace) -> Result<()> {
        let (rows, hidden, h) = (work::all_rows(&work.config), work.config.hidden_size, work.h.all());
        for range in work.chunks(rows) {
            let x = work.rows(&work.x, &range, hidden); // [range, hidden]
            self.ln_post.record(recording, range.len(), &x, &h)?;
            recording.copy(Slice { bytes: x.bytes, ..h.clone() }, x);
        }
        let tables = [&work.sources.tiles.all(), &self.post_tile];
        add_features::record(recording, RowShape { rows, width: hidden }, 0, tables, &work.x.all())
    }
}

/// A part of the projector: of a state before some layer, or of the tower's output.
#[derive(Debug)]
struct Projector {
    weight: Weight,
    /// Of the last part.
    bias: Option<Slice>,
    /// Whether other parts come before.
    accumulates: bool,
}

impl Projector {
    fn new(weights: &mut WeightStore, part: usize) -> Result<Self> {
        let bias = (part == 0).then(|| weights.vector("projector.bias")).transpose()?;
        Ok(Self { weight: weights.matrix(&format!("projector.{part}"))?, bias, accumulates: part != 1 })
    }

    /// Records the rows that are there to rows of features.
    fn record(&self, recording: &mut Recording, work: &Workspace, (features, first): (&Buffer, usize)) -> Result<()> {
        let (width, weight, y) = (self.weight.shape.rows, &self.weight, features.all()); // [features, text hidden]
        for range in work.chunks(work.present()) {
            let x = work.rows(&work.x, &range, work.config.hidden_size); // [range, hidden]
            let (m, y_offset, bias) = (range.len(), (first + range.start) * width, self.bias.as_ref());
            Linear { x: &x, m, weight, bias, y: &y, y_stride: width, y_offset, accumulate: self.accumulates }
                .record(recording)?;
        }
        Ok(())
    }
}

/// Weights of one layer.
#[derive(Debug)]
struct Layer {
    /// Of a layer whose input is part of the features.
    projector: Option<Projector>,
    /// Of the first layer behind the others.
    middle: Option<Middle>,
    norm1: LayerNorm,
    qkv: FusedLinear,
    o: Weight,
    norm2: LayerNorm,
    fc1: Biased,
    fc2: Biased,
}

impl Layer {
    fn new(config: &VisionConfig, weights: &mut WeightStore, layer: usize) -> Result<Self> {
        let at = |name: &str| format!("vision.layers.{layer}.{name}");
        let sizes = (config.hidden_size, config.norm_eps);
        let listed = config.intermediate_layers.iter().position(|&listed| listed == layer);
        let mut middle = None;
        if layer == config.num_hidden_layers {
            let post_tile = weights.vector("vision.post_tile")?;
            middle = Some(Middle { ln_post: LayerNorm::new(weights, "vision.ln_post", sizes)?, post_tile });
        }
        Ok(Self {
            projector: listed.map(|index| Projector::new(weights, 1 + index)).transpose()?,
            middle,
            norm1: LayerNorm::new(weights, &at("norm1"), sizes)?,
            qkv: FusedLinear { matrices: weights.fused(&at("attn.qkv"))? },
            o: weights.matrix(&at("attn.o"))?,
            norm2: LayerNorm::new(weights, &at("norm2"), sizes)?,
            fc1: Biased::new(weights, &at("mlp.fc1"))?,
            fc2: Biased::new(weights, &at("mlp.fc2"))?,
        })
    }

    /// Records the layer over the residual stream in `work.x`. Once the keys and values of all rows are there, no row needs another.
    fn record(&self, recording: &mut Recording, work: &Workspace, into: (&Buffer, usize)) -> Result<()> {
        self.projector.as_ref().map_or(Ok(()), |projector| projector.record(recording, work, into))?;
        self.middle.as_ref().map_or(Ok(()), |middle| middle.record(recording, work))?;
        let (rows, hidden, h) = (work::all_rows(&work.config), work.config.hidden_size, work.h.all());
        for range in work.chunks(rows) {
            let x = work.rows(&work.x, &range, hidden); // [range, hidden]
            self.norm1.record(recording, range.len(), &x, &h)?;
            let (qkv, q) = (work.act.all(), &work.rows(&work.q, &range, hidden)); // [range, q | k | v], [range, hidden]
            self.qkv.record(recording, &h, range.len(), &qkv)?;
            work.keys.take(recording, &range, &Fresh { x: &qkv, angles: None, has: (true, true), q })?;
        }
        for range in work.chunks(rows) {
            let (x, act, m) = (work.rows(&work.x, &range, hidden), work.act.all(), range.len());
            attend(recording, work, &range)?;
            project(recording, &self.o, &act, m, &x, true)?;
            self.norm2.record(recording, m, &x, &h)?;
            self.fc1.record(recording, &h, m, &act, false)?; // [range, intermediate]
            activation::record(recording, m * self.fc1.width(), Activation::Gelu, &act)?;
            self.fc2.record(recording, &act, m, &x, true)?;
        }
        Ok(())
    }
}

/// Records attention of the rows `range` into `work.act`: rows that are there look at all rows, the others at those that are there.
fn attend(recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
    let (hidden, present, all) = (work.config.hidden_size, work.present(), work::all_rows(&work.config));
    let attend = |recording: &mut Recording, rows: &Range<usize>, kv_tokens: usize| {
        let q = &work.rows(&work.q, rows, hidden); // [rows, hidden]
        work.keys.attend(recording, (q, rows.len()), kv_tokens, &work.act.all())
    };
    // Both kinds may be in one chunk, whose first row alone lies where a binding may begin: then what is there is computed last.
    if range.end > present {
        attend(recording, range, present)?;
    }
    if range.start < present {
        attend(recording, &(range.start..range.end.min(present)), all)?;
    }
    Ok(())
}

fn no_picture() -> Error {
    Error::Internal { detail: "no picture was begun, or its weights are missing".into() }
}

/// The weights of a stage.
#[derive(Debug)]
enum Stage {
    Stem(Stem),
    Layer(Box<Layer>),
    Projector(Projector),
}

/// The tower and the projector.
#[derive(Debug)]
pub(super) struct Vision {
    config: VisionConfig,
    stages: Vec<Option<Stage>>,
    work: Option<Workspace>,
}

impl Vision {
    /// Without weights.
    pub(super) fn new(config: &VisionConfig) -> Self {
        let stages = std::iter::repeat_with(|| None).take(config.depth() + 2).collect();
        Self { config: config.clone(), stages, work: None }
    }
}

impl Tower for Vision {
    fn stages(&self) -> usize {
        self.stages.len()
    }

    fn patches(&self, _pixels: &Pixels<'_>) -> usize {
        work::all_rows(&self.config)
    }

    fn row_alignment(&self) -> usize {
        work::row_alignment(&self.config)
    }

    fn widest_row(&self) -> usize {
        work::widest_row(&self.config)
    }

    fn load(&mut self, stage: usize, weights: &mut WeightStore) -> Result<()> {
        self.stages[stage] = Some(match stage.checked_sub(1) {
            None => Stage::Stem(Stem::new(&self.config, weights)?),
            Some(layer) if layer < self.config.depth() => {
                Stage::Layer(Box::new(Layer::new(&self.config, weights, layer)?))
            }
            Some(_) => Stage::Projector(Projector::new(weights, 0)?),
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

    fn record(&mut self, stage: usize, recording: &mut Recording, into: (&Buffer, usize)) -> Result<()> {
        let work = self.work.as_ref().ok_or_else(no_picture)?;
        match self.stages[stage].as_ref().ok_or_else(no_picture)? {
            Stage::Stem(stem) => stem.record(recording, work),
            Stage::Layer(layer) => layer.record(recording, work, into),
            Stage::Projector(projector) => projector.record(recording, work, into),
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
