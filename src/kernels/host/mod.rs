//! Kernels as operations of a processor, see [`crate::gpu::host`].

use ocelli_cpu::{Held, Norms, Op, Plain, Results, Scores, Source};

use super::{ScoreOptions, Variant, attention, attention_step, peak, rms_norm};
use crate::config::{KvPrecision, RopePairs};
use crate::gpu::{Features, Origin};
use crate::kernels::gemv::{Gemv, LaneLayouts};
use crate::kernels::rope_append::HeadValues;
use crate::layout::{LaneLayout, Layout};

impl Origin for Variant {
    /// The operation, for variants that a recording for [`crate::gpu::DeviceClass::Processor`] has. A processor reads rows in their natural order.
    fn op(&self) -> Option<Op> {
        Some(match *self {
            Self::Plain(name) => Op::Plain(Plain::ALL.iter().find(|(_, known)| *known == name)?.0),
            Self::Attention { head_dim, source, is_gated, scores, tuning } => {
                let exponents_are_natural = tuning.fitting(head_dim, source).columns == 0;
                let (head_dim, held) = (width(head_dim)?, held(source.precision()));
                let source = match source {
                    attention::Source::Rows(_) => Source::Rows,
                    attention::Source::Cache(_) => Source::Cache,
                };
                let op = Op::Attention { head_dim, source, held, is_gated, scores: scores_of(scores) };
                return exponents_are_natural.then_some(op);
            }
            Self::AttentionJoin { head_dim, is_gated } => Op::AttentionJoin { head_dim: width(head_dim)?, is_gated },
            Self::AttentionStep { head_dim, precision, rows, q_layout, results, scores, tuning } => {
                let results = match results {
                    attention_step::Results::Plain => Results::Plain,
                    attention_step::Results::Gated => Results::Gated,
                    attention_step::Results::Partial => Results::Partial,
                };
                let tile = width(attention_step::tile(tuning, head_dim, precision, rows))?;
                let (head_dim, held) = (width(head_dim)?, held(precision));
                let op = Op::AttentionStep { head_dim, held, results, scores: scores_of(scores), tile };
                return (q_layout == LaneLayout::NATURAL).then_some(op);
            }
            Self::DeltaScan { dim } => Op::DeltaScan { dim: width(dim)? },
            Self::EmbedRows { layout, parts, is_scaled } => {
                Op::EmbedRows { layout: layout_of(layout), parts: u8::try_from(parts).ok()?, is_scaled }
            }
            Self::GatedMatvec(gemv) => {
                Op::GatedMatvec { layout: natural(gemv)?, has_norm: gemv.norm, rounds: gemv.rounds() }
            }
            Self::Matmul { layout, tuning, .. } => {
                Op::Matmul { layout: layout_of(layout), rounds: tuning.uses.contains(Features::DOT) }
            }
            Self::Matvec(gemv) => Op::Matvec { layout: natural(gemv)?, has_norm: gemv.norm, rounds: gemv.rounds() },
            Self::Peak(numbers) => return (numbers == peak::Numbers::F32).then_some(Op::Plain(Plain::Peak)),
            Self::QkvMatvec { gemv, head_dim, pairs, precision, has_bias } => Op::QkvMatvec {
                layout: natural(gemv)?,
                head_dim: width(head_dim)?,
                is_interleaved: pairs == RopePairs::Interleaved,
                held: held(precision),
                has_bias,
                rounds: gemv.rounds(),
            },
            Self::RmsNorm { results, .. } => {
                Op::RmsNorm { adds: results != rms_norm::Results::Stored, scales: results == rms_norm::Results::Scaled }
            }
            Self::Rope { is_rotated, has_norms, precision } => {
                Op::Rope { is_rotated, has_norms, held: held(precision) }
            }
            Self::RopeAppend { head_dim, norms, ropes, precision } => Op::RopeAppend {
                head_dim: width(head_dim)?,
                norms: match norms {
                    None => Norms::None,
                    Some(HeadValues::Plain) => Norms::Plain,
                    Some(HeadValues::Normed) => Norms::Values,
                    Some(HeadValues::Keys) => Norms::Keys,
                },
                ropes: u8::try_from(ropes).ok()?,
                held: held(precision),
            },
            // Processors have no subgroups.
            Self::SubgroupProbe { .. } => return None,
        })
    }
}

fn width(width: usize) -> Option<u16> {
    u16::try_from(width).ok()
}

/// The layout of a product whose rows are in their natural order.
fn natural(gemv: Gemv) -> Option<ocelli_cpu::Layout> {
    let LaneLayouts { x, gain, .. } = gemv.lane_layouts;
    (x == LaneLayout::NATURAL && gain == LaneLayout::NATURAL).then(|| layout_of(gemv.layout))
}

fn layout_of(layout: Layout) -> ocelli_cpu::Layout {
    use ocelli_cpu::Layout as Cpu;
    match layout {
        Layout::F32 => Cpu::F32,
        Layout::F16 => Cpu::F16,
        Layout::Q8_0 => Cpu::Q8_0,
        Layout::Q6K => Cpu::Q6K,
        Layout::Q5K => Cpu::Q5K,
        Layout::Q5_1 => Cpu::Q5_1,
        Layout::Q5_0 => Cpu::Q5_0,
        Layout::Q4_1 => Cpu::Q4_1,
        Layout::Q4K => Cpu::Q4K,
        Layout::Iq4Nl => Cpu::Iq4Nl,
        Layout::Iq4Xs => Cpu::Iq4Xs,
        Layout::Q4_0 => Cpu::Q4_0,
        Layout::Q4_64 => Cpu::Q4_64,
        Layout::Mxfp4 => Cpu::Mxfp4,
        Layout::Q3K => Cpu::Q3K,
        Layout::Q2K => Cpu::Q2K,
    }
}

fn held(precision: KvPrecision) -> Held {
    match precision {
        KvPrecision::F32 => Held::F32,
        KvPrecision::F16 => Held::F16,
        KvPrecision::Int8 => Held::Int8,
    }
}

fn scores_of(ScoreOptions { is_windowed, is_capped }: ScoreOptions) -> Scores {
    Scores { is_windowed, is_capped }
}
