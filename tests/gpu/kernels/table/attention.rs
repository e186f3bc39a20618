//! Rows of attention over keys and values at once.

use ocelli::config::KvPrecision;
use ocelli::kernels::attention::{Shape, Source, Tuning};
use ocelli::kernels::cases::{self, Case, Scores};

use super::{STEEP, SUNKEN, tiers};

/// An attention of a prompt or a picture.
#[derive(Clone, Copy)]
struct Attention {
    /// Of queries, and of keys and values.
    tokens: (usize, usize),
    /// Query heads, and key and value heads.
    heads: (usize, usize),
    head_dim: usize,
    /// Position of the first query, if it is causal.
    past: Option<usize>,
    tuning: Tuning,
}

fn attention(of: Attention, source: Source, scores: Scores) -> Case {
    let Attention { tokens: (q_tokens, kv_tokens), heads: (q_heads, kv_heads), head_dim, past, tuning } = of;
    let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past: past };
    cases::attention(shape, tuning, source, scores)
}

/// As for hardware or as for software, in turns.
fn tuning(index: usize) -> Tuning {
    [Tuning::HARDWARE, Tuning::SOFTWARE][index % 2]
}

pub(crate) fn rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 6] = [(1, 1), (3, 1), (4, 2), (5, 1), (3, 3), (8, 2)];
    const F32: Source = Source::Cache(KvPrecision::F32);
    let causal = |q, past| ((q, past + q), Some(past), F32);
    let modes = [
        causal(1, 0),
        causal(33, 0),
        causal(1, 31),
        causal(5, 31),
        causal(1, 127),
        causal(31, 127),
        ((65, 65), None, Source::Rows),
        ((3, 129), None, F32),
        // Over a border between pages, and behind one.
        causal(9, 250),
        causal(3, 515),
        ((1, 1), None, Source::Rows),
        ((33, 33), Some(0), Source::Rows),
    ];
    let mut rows = Vec::new();
    for head_dim in [4, 24, 32, 40, 64, 80, 96, 128, 160, 256] {
        for (tokens, past, source) in modes {
            let heads = HEADS[(rows.len() + rows.len() / modes.len()) % HEADS.len()];
            rows.push(attention(
                Attention { tokens, heads, head_dim, past, tuning: tuning(rows.len()) },
                source,
                Scores::MILD,
            ));
        }
    }
    for heads in HEADS {
        for (tokens, past, source) in modes {
            rows.push(attention(
                Attention { tokens, heads, head_dim: 12, past, tuning: tuning(rows.len()) },
                source,
                Scores::MILD,
            ));
        }
    }
    for precision in [KvPrecision::F16, KvPrecision::Int8] {
        for head_dim in [4, 12, 40, 64, 96, 128, 160, 256] {
            for (tokens, past, source) in modes {
                if let Source::Cache(_) = source {
                    let heads = HEADS[(rows.len() + rows.len() / modes.len()) % HEADS.len()];
                    let shape = Attention { tokens, heads, head_dim, past, tuning: tuning(rows.len()) };
                    rows.push(attention(shape, Source::Cache(precision), Scores::MILD));
                }
            }
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact: so are the scores.
    for head_dim in [4, 16, 64, 256] {
        for (tokens, past, source) in [causal(33, 0), causal(2, 127), ((65, 65), None, Source::Rows)] {
            let shape = Attention { tokens, heads: (4, 2), head_dim, past, tuning: tuning(rows.len()) };
            rows.extend([STEEP, SUNKEN].map(|scores| attention(shape, source, scores)));
        }
    }
    rows.extend(tier_rows());
    rows
}

/// Tunings that use optional features.
fn tier_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (turn, tuning) in tiers(&Tuning::ALL, |tuning| tuning.uses).into_iter().enumerate() {
        for (index, head_dim) in [4, 40, 64, 128].into_iter().enumerate() {
            let heads = [(5, 1), (4, 2), (3, 3)][(index + turn) % 3];
            let cache = Source::Cache(KvPrecision::ALL[(index + turn) % 3]);
            let modes = [((33, 70), Some(37), cache), ((1, 128), Some(127), cache), ((65, 65), None, Source::Rows)];
            for (tokens, past, source) in modes {
                rows.push(attention(Attention { tokens, heads, head_dim, past, tuning }, source, Scores::MILD));
            }
        }
    }
    rows
}
