//! Operations as words of a job, which a launch sends to the processor's threads.

use crate::op::{Held, Layout, Norms, Op, Plain, Results, Scores, Source};

/// Writes the fields of an operation one after the other into bits of 64.
struct Packer(u64, u32);

impl Packer {
    fn put(mut self, value: u32, bits: u32) -> Self {
        self.0 |= u64::from(value) << self.1;
        self.1 += bits;
        self
    }
}

/// Reads the fields that a [`Packer`] wrote.
struct Unpacker(u64);

impl Unpacker {
    fn take(&mut self, bits: u32) -> u32 {
        let value = (self.0 & ((1 << bits) - 1)) as u32;
        self.0 >>= bits;
        value
    }

    fn flag(&mut self) -> bool {
        self.take(1) == 1
    }

    fn dim(&mut self) -> u16 {
        self.take(16) as u16
    }

    fn layout(&mut self) -> Option<Layout> {
        Layout::ALL.get(self.take(8) as usize).copied()
    }

    fn held(&mut self) -> Option<Held> {
        [Held::F32, Held::F16, Held::Int8].get(self.take(8) as usize).copied()
    }

    fn scores(&mut self) -> Scores {
        Scores { is_windowed: self.flag(), is_capped: self.flag() }
    }
}

impl Op {
    /// The operation as words of a job.
    pub fn words(self) -> [u32; 2] {
        let kind = |kind: u32| Packer(0, 0).put(kind, 4);
        let scored =
            |packer: Packer, scores: Scores| packer.put(scores.is_windowed.into(), 1).put(scores.is_capped.into(), 1);
        let packer = match self {
            Self::Attention { head_dim, source, held, is_gated, scores } => {
                let packer = kind(0).put(head_dim.into(), 16).put(source as u32, 8).put(held as u32, 8);
                scored(packer.put(is_gated.into(), 1), scores)
            }
            Self::AttentionJoin { head_dim, is_gated } => kind(1).put(head_dim.into(), 16).put(is_gated.into(), 1),
            Self::AttentionStep { head_dim, held, results, scores, tile } => {
                scored(kind(2).put(head_dim.into(), 16).put(held as u32, 8).put(results as u32, 8), scores)
                    .put(tile.into(), 16)
            }
            Self::DeltaScan { dim } => kind(3).put(dim.into(), 16),
            Self::EmbedRows { layout, parts, is_scaled } => {
                kind(4).put(layout as u32, 8).put(parts.into(), 8).put(is_scaled.into(), 1)
            }
            Self::GatedMatvec { layout, has_norm, rounds } => {
                kind(5).put(layout as u32, 8).put(has_norm.into(), 1).put(rounds.into(), 1)
            }
            Self::Matmul { layout, rounds } => kind(6).put(layout as u32, 8).put(rounds.into(), 1),
            Self::Matvec { layout, has_norm, rounds } => {
                kind(7).put(layout as u32, 8).put(has_norm.into(), 1).put(rounds.into(), 1)
            }
            Self::Plain(plain) => kind(8).put(plain as u32, 8),
            Self::QkvMatvec { layout, head_dim, is_interleaved, held, has_bias, rounds } => kind(9)
                .put(layout as u32, 8)
                .put(head_dim.into(), 16)
                .put(is_interleaved.into(), 1)
                .put(held as u32, 8)
                .put(has_bias.into(), 1)
                .put(rounds.into(), 1),
            Self::RmsNorm { adds, scales } => kind(10).put(adds.into(), 1).put(scales.into(), 1),
            Self::Rope { is_rotated, has_norms, held } => {
                kind(11).put(is_rotated.into(), 1).put(has_norms.into(), 1).put(held as u32, 8)
            }
            Self::RopeAppend { head_dim, norms, ropes, held } => {
                kind(12).put(head_dim.into(), 16).put(norms as u32, 2).put(ropes.into(), 8).put(held as u32, 8)
            }
        };
        [packer.0 as u32, (packer.0 >> 32) as u32]
    }

    /// The operation of these words; `None` if they are not those of one.
    pub fn of_words([low, high]: [u32; 2]) -> Option<Self> {
        let mut from = Unpacker(u64::from(low) | u64::from(high) << 32);
        let source = |number: u32| [Source::Rows, Source::Cache].get(number as usize).copied();
        let results = |number: u32| [Results::Plain, Results::Gated, Results::Partial].get(number as usize).copied();
        let op = match from.take(4) {
            0 => Self::Attention {
                head_dim: from.dim(),
                source: source(from.take(8))?,
                held: from.held()?,
                is_gated: from.flag(),
                scores: from.scores(),
            },
            1 => Self::AttentionJoin { head_dim: from.dim(), is_gated: from.flag() },
            2 => Self::AttentionStep {
                head_dim: from.dim(),
                held: from.held()?,
                results: results(from.take(8))?,
                scores: from.scores(),
                tile: from.dim(),
            },
            3 => Self::DeltaScan { dim: from.dim() },
            4 => Self::EmbedRows { layout: from.layout()?, parts: from.take(8) as u8, is_scaled: from.flag() },
            5 => Self::GatedMatvec { layout: from.layout()?, has_norm: from.flag(), rounds: from.flag() },
            6 => Self::Matmul { layout: from.layout()?, rounds: from.flag() },
            7 => Self::Matvec { layout: from.layout()?, has_norm: from.flag(), rounds: from.flag() },
            8 => Self::Plain(Plain::ALL.get(from.take(8) as usize)?.0),
            9 => Self::QkvMatvec {
                layout: from.layout()?,
                head_dim: from.dim(),
                is_interleaved: from.flag(),
                held: from.held()?,
                has_bias: from.flag(),
                rounds: from.flag(),
            },
            10 => Self::RmsNorm { adds: from.flag(), scales: from.flag() },
            11 => Self::Rope { is_rotated: from.flag(), has_norms: from.flag(), held: from.held()? },
            12 => Self::RopeAppend {
                head_dim: from.dim(),
                norms: [Norms::None, Norms::Plain, Norms::Values, Norms::Keys][from.take(2) as usize],
                ropes: from.take(8) as u8,
                held: from.held()?,
            },
            _ => return None,
        };
        (from.0 == 0).then_some(op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        let scores = Scores { is_windowed: true, is_capped: false };
        let ops = [
            Op::Attention { head_dim: 512, source: Source::Cache, held: Held::Int8, is_gated: true, scores },
            Op::AttentionStep { head_dim: 128, held: Held::F16, results: Results::Partial, scores, tile: 64 },
            Op::EmbedRows { layout: Layout::Q4_64, parts: 5, is_scaled: true },
            Op::Plain(Plain::SoftCap),
            Op::QkvMatvec {
                layout: Layout::Q6K,
                head_dim: 96,
                is_interleaved: true,
                held: Held::F16,
                has_bias: true,
                rounds: true,
            },
            Op::Matmul { layout: Layout::Q4K, rounds: true },
            Op::RopeAppend { head_dim: 512, norms: Norms::Keys, ropes: 2, held: Held::F32 },
        ];
        for op in ops {
            assert_eq!(Op::of_words(op.words()), Some(op));
        }
        assert_eq!(Op::of_words([15, 0]), None);
        assert_eq!(Op::of_words([6 | 200 << 4, 0]), None, "there is no such layout");
        assert!(Layout::ALL.iter().enumerate().all(|(number, &layout)| layout as usize == number));
        assert!(Plain::ALL.iter().enumerate().all(|(number, &(plain, _))| plain as usize == number));
    }
}
