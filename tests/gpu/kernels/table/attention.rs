//! Rows of attention over keys and values at once.

use ocelli::config::KvPrecision;
use ocelli::kernels::Scoring;
use ocelli::kernels::attention::{Shape, Source, Tuning};
use ocelli::kernels::cases::{self, Case, Scores};

use super::{STEEP, SUNKEN, tiers};

/// An attention of a prompt or a picture.
#[derive(Clone, Copy)]
struct Attention {
    /// Number of queries, and of keys and values.
    tokens: (usize, usize),
    /// Query heads, and key and value heads.
    heads: (usize, usize),
    head_dim: usize,
    /// Position of the first query, if the attention is causal.
    past: Option<usize>,
    tuning: Tuning,
}

fn attention(of: Attention, source: Source, scores: Scores) -> Case {
    let Attention { tokens: (q_tokens, kv_tokens), heads: (q_heads, kv_heads), head_dim, past, tuning } = of;
    let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past: past };
    cases::attention(shape, Scoring::of_heads(head_dim), tuning, (source, false), scores)
}

/// Sources with rows of matrices in either precision.
const ROWS: [Source; 2] = [Source::Rows(KvPrecision::F32), Source::Rows(KvPrecision::F16)];

/// With gates.
fn gated_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, head_dim) in [4, 12, 40, 64, 80, 128, 256, 512].into_iter().enumerate() {
        let cache = Source::Cache(KvPrecision::ALL[index % 3]);
        for (turn, tuning) in Tuning::ALL.into_iter().enumerate() {
            let (q_heads, kv_heads) = [(4, 2), (5, 1), (3, 3), (8, 2)][(index + turn) % 4];
            for (q_tokens, kv_tokens, causal_past, source) in
                [(33, 70, Some(37), cache), (1, 128, Some(127), cache), (9, 9, None, ROWS[index % 2])]
            {
                let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past };
                let scoring = Scoring::of_heads(head_dim);
                rows.push(cases::attention(shape, scoring, tuning, (source, true), Scores::MILD));
            }
        }
    }
    rows
}

/// Tunings without staged keys, for hardware and software in turns.
fn tuning(index: usize) -> Tuning {
    [Tuning::UNSTAGED, Tuning::SOFTWARE][index % 2]
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
        ((65, 65), None, ROWS[0]),
        ((3, 129), None, F32),
        // Across a border between pages, and after one.
        causal(9, 250),
        causal(3, 515),
        ((1, 1), None, ROWS[0]),
        ((33, 33), Some(0), ROWS[0]),
    ];
    let mut rows = Vec::new();
    for head_dim in [4, 24, 32, 40, 64, 80, 96, 128, 160, 256, 512] {
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
        for head_dim in [4, 12, 40, 64, 96, 128, 160, 256, 512] {
            for (tokens, past, source) in modes {
                let source = match source {
                    Source::Cache(_) => Some(Source::Cache(precision)),
                    Source::Rows(_) => (precision == KvPrecision::F16).then_some(Source::Rows(precision)),
                };
                if let Some(source) = source {
                    let heads = HEADS[(rows.len() + rows.len() / modes.len()) % HEADS.len()];
                    let shape = Attention { tokens, heads, head_dim, past, tuning: tuning(rows.len()) };
                    rows.push(attention(shape, source, Scores::MILD));
                }
            }
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact: so are the scores.
    for head_dim in [4, 16, 64, 256] {
        for (tokens, past, source) in [causal(33, 0), causal(2, 127), ((65, 65), None, ROWS[0])] {
            let shape = Attention { tokens, heads: (4, 2), head_dim, past, tuning: tuning(rows.len()) };
            rows.extend([STEEP, SUNKEN].map(|scores| attention(shape, source, scores)));
        }
    }
    rows.extend(staged_rows());
    rows.extend(tier_rows());
    rows.extend(gated_rows());
    rows.extend(scored_rows());
    rows
}

/// Scales, soft caps and windows: smaller and larger than tiles and pages, and than what a workgroup's rows are apart.
fn scored_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, head_dim) in [12, 40, 64, 128, 256, 512].into_iter().enumerate() {
        for (turn, tuning) in Tuning::ALL.into_iter().enumerate() {
            let source = Source::Cache(KvPrecision::ALL[(index + turn) % 3]);
            let (q_heads, kv_heads) = [(4, 2), (5, 1), (3, 3), (8, 2)][(index + turn) % 4];
            for (case, (q_tokens, past)) in [(33, 37), (1, 127), (65, 0), (5, 515), (40, 300)].into_iter().enumerate() {
                let window =
                    [Some(1), Some(24), Some(64), Some(100), Some(256), Some(10_000), None][(index + turn + case) % 7];
                let soft_cap = [Some(0.75), None, Some(5.0)][(turn + case) % 3];
                let scoring = Scoring { scale: 0.3, soft_cap, window };
                let kv_tokens = past + q_tokens;
                let shape = Shape { q_tokens, kv_tokens, q_heads, kv_heads, head_dim, causal_past: Some(past) };
                rows.push(cases::attention(shape, scoring, tuning, (source, turn == 1), Scores::MILD));
            }
        }
    }
    let shape = Shape { q_tokens: 65, kv_tokens: 65, q_heads: 2, kv_heads: 2, head_dim: 64, causal_past: None };
    let scoring = Scoring { scale: 1.0, soft_cap: Some(2.0), window: None };
    rows.extend(ROWS.map(|source| cases::attention(shape, scoring, Tuning::HARDWARE, (source, false), Scores::MILD)));
    rows
}

/// Tunings that stage keys and values.
fn staged_rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 5] = [(1, 1), (3, 1), (4, 2), (5, 1), (8, 2)];
    let staged: Vec<Tuning> = Tuning::ALL.into_iter().filter(|tuning| tuning.columns > 0).collect();
    let mut rows = Vec::new();
    let mut all_modes = |head_dim, precision, tuning| {
        let cache = Source::Cache(precision);
        let modes =
            [(1, Some(0)), (33, Some(0)), (1, Some(63)), (5, Some(31)), (65, Some(127)), (2, Some(510)), (130, None)];
        let cached = modes.map(|(q, past): (usize, Option<usize>)| ((q, past.unwrap_or(3) + q), past, cache));
        let fused = [(1, None), (33, None), (65, None), (129, None), (33, Some(0))]
            .map(|(q, past)| ((q, q), past, Source::Rows(precision)));
        let fused = fused.into_iter().filter(|_| precision != KvPrecision::Int8);
        for (tokens, past, source) in cached.into_iter().chain(fused) {
            let heads = HEADS[rows.len() % HEADS.len()];
            rows.push(attention(Attention { tokens, heads, head_dim, past, tuning }, source, Scores::MILD));
        }
    };
    // Some widths are not whole slices or packs, or are narrower than a workgroup.
    for (index, head_dim) in [32, 64, 80, 96, 128, 192, 256, 512, 40, 72, 100, 104, 12].into_iter().enumerate() {
        all_modes(head_dim, KvPrecision::ALL[index % 3], staged[0]);
        all_modes(head_dim, KvPrecision::ALL[(index + 1) % 3], staged[index % staged.len()]);
    }
    for head_dim in [64, 128] {
        for (precision, &tuning) in
            KvPrecision::ALL.into_iter().flat_map(|precision| staged.iter().map(move |tuning| (precision, tuning)))
        {
            all_modes(head_dim, precision, tuning);
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact.
    for (head_dim, tuning) in [(64, staged[0]), (256, staged[0]), (64, staged[1])] {
        for (tokens, past) in [((33, 33), Some(0)), ((2, 129), Some(127)), ((65, 65), None)] {
            let shape = Attention { tokens, heads: (4, 2), head_dim, past, tuning };
            rows.extend([STEEP, SUNKEN].map(|scores| attention(shape, Source::Cache(KvPrecision::F32), scores)));
        }
    }
    rows
}

/// Tunings that use optional features.
fn tier_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (turn, tuning) in tiers(&Tuning::ALL, |tuning| tuning.uses).into_iter().enumerate() {
        for (index, head_dim) in [4, 40, 64, 128].into_iter().enumerate() {
            let heads = [(5, 1), (4, 2), (3, 3)][(index + turn) % 3];
            let cache = Source::Cache(KvPrecision::ALL[(index + turn) % 3]);
            let modes =
                [((33, 70), Some(37), cache), ((1, 128), Some(127), cache), ((65, 65), None, ROWS[(index + turn) % 2])];
            for (tokens, past, source) in modes {
                rows.push(attention(Attention { tokens, heads, head_dim, past, tuning }, source, Scores::MILD));
            }
        }
    }
    rows
}
