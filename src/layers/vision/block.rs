//! A block: attention of all rows to one another and a feed-forward, each after a norm and added to the residual stream.

use std::ops::Range;

use super::affine::Affine;
use super::attention::Parts;
use super::norm::PatchNorm;
use super::options::{Biases, TowerOptions};
use super::picture::FeatureRows;
use super::stage::Stage;
use super::workspace::Workspace;
use crate::error::Result;
use crate::gpu::Recording;
use crate::kernels::{LaneLayout, RowShape, activation, glu};
use crate::weights::WeightStore;

/// Weights of one block.
#[derive(Debug)]
pub struct Block {
    attention_norm: PatchNorm,
    /// Makes queries where they are apart from keys and values.
    queries: Option<Affine>,
    /// Makes keys and values, and queries where they are not apart.
    projections: Affine,
    output: Affine,
    feed_forward_norm: PatchNorm,
    up: Affine,
    down: Affine,
}

impl Block {
    /// Takes the weights of the block of that index; [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Self> {
        let (names, hidden) = (options.names, options.hidden);
        let (all_biased, biased) = (options.biases == Biases::All, options.biases != Biases::None);
        let at = |name: &str| format!("vision.layers.{index}.{name}");
        Ok(Self {
            attention_norm: PatchNorm::new(weights, &at(names.attention_norm), hidden, options)?,
            queries: names.queries.map(|name| Affine::new(weights, &at(name), all_biased)).transpose()?,
            projections: Affine::side_by_side(weights, names.projections.iter().map(|name| at(name)), all_biased)?,
            output: Affine::new(weights, &at(names.output), all_biased)?,
            feed_forward_norm: PatchNorm::new(weights, &at(names.feed_forward_norm), hidden, options)?,
            up: Affine::new(weights, &at(names.up), biased)?,
            down: Affine::new(weights, &at(names.down), biased)?,
        })
    }

    fn keys_and_values(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (h, fresh) = (work.h.all(), work.in_wide(range.len(), self.projections.width()));
        self.attention_norm.record(recording, range.len(), &work.residual(range), &h)?;
        self.projections.record(recording, &h, range.len(), &fresh)?; // [range, q | k | v] or [range, k | v]
        work.take(recording, range, if self.queries.is_none() { Parts::All } else { Parts::KeysValues })
    }

    fn attend(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (x, h, m) = (work.residual(range), work.h.all(), range.len());
        let out = work.in_wide(m, work.options.heads_width()); // [range, heads * head_dim]
        if let Some(queries) = &self.queries {
            // The normed rows of a single chunk are still there.
            if !work.is_one_chunk() {
                self.attention_norm.record(recording, m, &x, &h)?;
            }
            queries.record(recording, &h, m, &out)?;
            work.take(recording, range, Parts::Queries)?;
        }
        let (all, present) = (work.rows.all, work.rows.present);
        // A binding can only begin at the chunk's first row. So where a chunk has rows of both kinds, all are computed as padding, then the
        // present ones are overwritten.
        if range.end > present {
            work.keys.attend(recording, &work.queries(range), m, present, &out)?;
        }
        if range.start < present {
            let seen = range.start..range.end.min(present);
            work.keys.attend(recording, &work.queries(&seen), seen.len(), all, &out)?;
        }
        self.output.add(recording, &out, m, &x)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (x, h, wide, act) = (work.residual(range), work.h.all(), work.wide.all(), work.act.all());
        let (m, options) = (range.len(), &work.options.feed_forward);
        self.feed_forward_norm.record(recording, m, &x, &h)?;
        self.up.record(recording, &h, m, &wide)?; // [range, inner] or [range, gate | up]
        if options.gated {
            let shape = RowShape { rows: m, width: options.width };
            glu::record(recording, shape, options.activation, &wide, (&act, LaneLayout::NATURAL))?; // [range, inner]
            return self.down.add(recording, &act, m, &x);
        }
        activation::record(recording, m * options.width, options.activation, &wide)?;
        self.down.add(recording, &wide, m, &x)
    }
}

impl Stage for Block {
    /// Records the block over the residual stream. Once the keys and values of all rows are there, no row needs another.
    fn record(&self, recording: &mut Recording, work: &Workspace, _features: FeatureRows<'_>) -> Result<()> {
        for range in work.chunks() {
            self.keys_and_values(recording, work, &range)?;
        }
        for range in work.chunks() {
            self.attend(recording, work, &range)?;
            self.feed_forward(recording, work, &range)?;
        }
        Ok(())
    }
}
