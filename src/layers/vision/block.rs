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
use crate::gpu::{Recording, Slice};
use crate::kernels::rope_append::{HeadNorms, HeadValues};
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
    /// Norms of queries and keys, if heads are normed.
    head_norms: Option<HeadNorms>,
    /// Norms of the results of attention and feed-forward, if they have any.
    post_norms: Option<[PatchNorm; 2]>,
}

impl Block {
    /// Takes the weights of the block of that index; [`crate::Error::InvalidPackage`] if one is missing.
    pub fn new(options: &TowerOptions, weights: &mut WeightStore, index: usize) -> Result<Self> {
        let (names, hidden) = (options.names, options.hidden);
        let (all_biased, biased) = (options.biases == Biases::All, options.biases != Biases::None);
        let at = |name: &str| format!("vision.layers.{index}.{name}");
        let affine = |weights: &mut WeightStore, name: &str, biased| match options.clips {
            true => Affine::clipped(weights, name),
            false => Affine::new(weights, name, biased),
        };
        let norm = |weights: &mut WeightStore, name: &str| PatchNorm::new(weights, &at(name), hidden, options);
        let of_projection = |weights: &mut WeightStore, name: &str| affine(weights, name, all_biased);
        let of_up = |weights: &mut WeightStore, name: &str| affine(weights, name, biased);
        let head_norms = if options.head_norms {
            let [q, k] = [weights.vector(&at("attn.q_norm"))?, weights.vector(&at("attn.k_norm"))?];
            Some(HeadNorms { q, k, eps: options.eps, values: HeadValues::Normed })
        } else {
            None
        };
        let post_norms = match names.post_norms {
            Some([attention, feed_forward]) => Some([norm(weights, attention)?, norm(weights, feed_forward)?]),
            None => None,
        };
        Ok(Self {
            attention_norm: norm(weights, names.attention_norm)?,
            queries: names.queries.map(|name| affine(weights, &at(name), all_biased)).transpose()?,
            projections: Affine::side_by_side(weights, names.projections.iter().map(|name| at(name)), of_projection)?,
            output: affine(weights, &at(names.output), all_biased)?,
            feed_forward_norm: norm(weights, names.feed_forward_norm)?,
            up: Affine::side_by_side(weights, names.up.iter().map(|name| at(name)), of_up)?,
            down: affine(weights, &at(names.down), biased)?,
            head_norms,
            post_norms,
        })
    }

    /// Records the last product of attention or feed-forward, whose inputs `x` are overwritten, and adds it to the residual stream.
    fn add(
        &self,
        recording: &mut Recording,
        work: &Workspace,
        part: usize,
        x: &Slice,
        range: &Range<usize>,
    ) -> Result<()> {
        let (product, m, stream, h) =
            ([&self.output, &self.down][part], range.len(), work.residual(range), work.h.all());
        let Some(norms) = &self.post_norms else { return product.add(recording, x, m, &stream) };
        product.record_clipped(recording, (x, None), m, &h)?; // [range, hidden]
        norms[part].add(recording, m, &h, &stream)
    }

    fn keys_and_values(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (h, fresh) = (work.h.all(), work.in_wide(range.len(), self.projections.width()));
        self.attention_norm.record(recording, range.len(), &work.residual(range), &h)?;
        let scratch = work.act.all();
        self.projections.record_clipped(recording, (&h, Some(&scratch)), range.len(), &fresh)?; // [range, q | k | v] or [range, k | v]
        let parts = if self.queries.is_none() { Parts::All } else { Parts::KeysValues };
        work.take(recording, range, parts, self.head_norms.as_ref())
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
            work.take(recording, range, Parts::Queries, self.head_norms.as_ref())?;
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
        self.add(recording, work, 0, &out, range)
    }

    fn feed_forward(&self, recording: &mut Recording, work: &Workspace, range: &Range<usize>) -> Result<()> {
        let (x, h, wide, act) = (work.residual(range), work.h.all(), work.wide.all(), work.act.all());
        let (m, options) = (range.len(), &work.options.feed_forward);
        self.feed_forward_norm.record(recording, m, &x, &h)?;
        self.up.record_clipped(recording, (&h, Some(&act)), m, &wide)?; // [range, inner] or [range, gate | up]
        if options.gated {
            let shape = RowShape { rows: m, width: options.width };
            glu::record(recording, shape, options.activation, &wide, (&act, LaneLayout::NATURAL))?; // [range, inner]
            return self.add(recording, work, 1, &act, range);
        }
        activation::record(recording, m * options.width, options.activation, &wide)?;
        self.add(recording, work, 1, &wide, range)
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
