//! Rows of the kernels around the KV cache.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::kernels::attention_step::{Tuning, query_layout};
use ocelli::kernels::cases::{
    Attending, Case, Random, Rotation, Scores, attention_join, attention_step, exact_numbers, rope_append, signs,
};
use ocelli::kernels::rope_append::{HeadValues, Heads, RopeChoice};
use ocelli::kernels::{LaneLayout, Scoring};
use ocelli::reference::cache::{from_half, pack};

use super::{STEEP, SUNKEN, tiers};

pub(crate) fn append_rows() -> Vec<Case> {
    [rotated_rows(), stored_rows()].into_iter().flatten().collect()
}

/// Vectors of four numbers in 16 bytes.
fn vectors(precision: KvPrecision) -> usize {
    16 / precision.head_bytes(4)[0] as usize
}

fn rotated_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for precision in KvPrecision::ALL {
        for (index, dim) in [4, 12, 64, 80, 128, 256, 512].into_iter().enumerate() {
            let pairs = [RopePairs::Half, RopePairs::Interleaved][index % 2];
            let heads = Heads { q: [1, 4, 3][index % 3], kv: [1, 2][index / 2 % 2], dim, pairs };
            for (tokens, position, apart) in
                [(1, 0, false), (1, 31, true), (5, 7, false), (33, 240, false), (8, 250, true)]
            {
                let rotation = Rotation {
                    position,
                    table_first: position / 2,
                    rows: 33 + position,
                    exact: true,
                    apart,
                    rope: RopeChoice::ONLY,
                };
                rows.push(rope_append(tokens, (heads, None), precision, rotation, exact_numbers));
                rows.extend(
                    [HeadValues::Plain, HeadValues::Normed, HeadValues::Keys]
                        .map(|values| rope_append(tokens, (heads, Some(values)), precision, rotation, signs)),
                );
                let arranged = rope_append(tokens, (heads, None), precision, rotation, exact_numbers);
                rows.push(arranged.with_lane_layout(LaneLayout::for_keys(dim, vectors(precision))));
                let rope = RopeChoice { index: index % 2, of: 2, widest: dim * (1 + index % 3) / 4 * 4 };
                let of_two =
                    rope_append(tokens, (heads, None), precision, Rotation { rope, ..rotation }, exact_numbers);
                rows.push(of_two);
                if precision != KvPrecision::Int8 {
                    let rotation = Rotation { exact: false, ..rotation };
                    rows.extend(
                        [None, Some(HeadValues::Plain), Some(HeadValues::Normed), Some(HeadValues::Keys)]
                            .map(|norms| rope_append(tokens, (heads, norms), precision, rotation, exact_numbers)),
                    );
                }
            }
        }
        // More heads than one dimension of a grid has.
        let heads = Heads { q: 4, kv: 2, dim: 12, pairs: RopePairs::Interleaved };
        let rotation =
            Rotation { position: 1, table_first: 0, rows: 5600, exact: true, apart: false, rope: RopeChoice::ONLY };
        rows.push(rope_append(32_768 / 6 + 7, (heads, None), precision, rotation, exact_numbers));
    }
    rows
}

/// The least normal 16-bit float.
const LEAST: f32 = 1.0 / 16_384.0;

/// Replaces numbers that devices may round in either direction: below the normal 16-bit floats and, since a division may be off by 2.5
/// units in the last place, halfway between two integers.
fn make_certain(precision: KvPrecision, head: &mut [f32]) {
    let (_, scale) = pack(precision, head);
    let scale = from_half(scale);
    for x in head {
        let quant = *x / scale;
        match precision {
            KvPrecision::F32 => {}
            KvPrecision::F16 => *x = x.abs().max(LEAST).copysign(*x),
            KvPrecision::Int8 if (quant - quant.floor() - 0.5).abs() < 1e-3 => *x = quant.floor() * scale,
            KvPrecision::Int8 => {}
        }
    }
}

/// Keys and values up to `size` of `(tokens, past, kv_heads, head_dim)`. Quarter turns round nothing.
fn stored((tokens, past, kv, dim): (usize, usize, usize, usize), precision: KvPrecision, size: f32) -> Case {
    let heads = Heads { q: 1, kv, dim, pairs: RopePairs::Half };
    let rotation =
        Rotation { position: past, table_first: past, rows: tokens, exact: true, apart: false, rope: RopeChoice::ONLY };
    rope_append(tokens, (heads, None), precision, rotation, move |random: &mut Random, head_dim, len| {
        let mut numbers = random.numbers(len, size);
        numbers.chunks_exact_mut(head_dim).for_each(|head| make_certain(precision, head));
        numbers
    })
}

/// Rows of numbers that are stored without rotation.
fn stored_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for precision in KvPrecision::ALL {
        let tokens = [(1, 0), (1, 31), (3, 127), (33, 0), (65, 511)];
        for (tokens, past) in tokens {
            for (kv_heads, head_dim) in [(1, 4), (3, 44), (2, 64), (1, 256)] {
                rows.push(stored((tokens, past, kv_heads, head_dim), precision, 1.0));
            }
        }
        // Scales and 16-bit floats near their smallest and largest, and beyond.
        rows.extend([1e-2, 300.0, 6e4, 7e6, 1e9, 1e38].map(|size| stored((5, 3, 2, 128), precision, size)));
        // More heads than one dimension of a grid has.
        rows.push(stored((32_768 / 3 + 7, 1, 3, 12), precision, 1.0));
    }
    rows
}

/// Positions around the borders of tiles, splits and pages, all served by one pipeline.
const POSITIONS: [usize; 11] = [0, 5, 31, 63, 64, 65, 128, 143, 255, 300, 770];

pub(crate) fn attention_rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 7] = [(1, 1), (4, 1), (4, 2), (5, 1), (3, 3), (8, 2), (16, 1)];
    let wide = Tuning { threads: 32, positions: 4, ..Tuning::APART };
    let tunings = [Tuning::APART, Tuning::SOFTWARE, wide];
    let mut rows = Vec::new();
    for (turn, precision) in KvPrecision::ALL.into_iter().enumerate() {
        for (index, head_dim) in [4, 12, 40, 64, 96, 128, 160, 256].into_iter().enumerate() {
            let (heads, m) = (HEADS[(3 * index + turn) % 7], [1, 2, 4, 8, 1, 3, 1, 5][(index + turn) % 8]);
            let (tuning, splits) = (tunings[(index + turn) % 3], [1, 3, 1, 8][(index + 2 * turn) % 4]);
            let shape = |position| Attending { m, splits, position, ..Attending::of(heads, head_dim, tuning) };
            rows.extend(POSITIONS.map(|position| attention_step(shape(position), precision, Scores::MILD)));
        }
    }
    // Widths whose scale, head_dim^-0.5, is exact: so are the scores.
    for (index, head_dim) in [4, 16, 64, 256].into_iter().enumerate() {
        let (m, splits, tuning) = ([1, 8, 3, 1][index], 1 + index % 2, tunings[index % 2]);
        for position in [0, 65, 200] {
            let shape = Attending { m, splits, position, ..Attending::of((4, 2), head_dim, tuning) };
            rows.extend([STEEP, SUNKEN].map(|scores| attention_step(shape, KvPrecision::F32, scores)));
        }
    }
    rows.extend(sharing_rows());
    rows.extend(apart_rows());
    rows.extend(lane_rows());
    for (row, splits, dim) in [(1, 1, 4), (3, 2, 12), (32, 7, 128), (5, 32, 256), (9, 3, 80), (17, 5, 64)] {
        rows.push(attention_join(row, splits, dim, false));
    }
    for (m, heads, head_dim) in [(1, (4, 2), 64), (3, (8, 2), 40), (2, (3, 1), 128), (5, (6, 2), 256)] {
        for (turn, tuning) in [Tuning::HARDWARE, Tuning::SOFTWARE].into_iter().enumerate() {
            let (position, gated, arranged) = (70, turn == 1, LaneLayout::for_lanes(heads.0 * head_dim));
            let shape = Attending { m, position, apart: turn == 1, gated, ..Attending::of(heads, head_dim, tuning) };
            rows.push(attention_step(shape, KvPrecision::F16, Scores::MILD).with_lane_layout(arranged));
            rows.push(attention_join(2 * m, 3, head_dim, gated).with_lane_layout(LaneLayout::for_lanes(2 * head_dim)));
        }
    }
    rows.extend(gated_rows());
    rows.extend(scored_rows());
    rows
}

/// Scales, soft caps and windows: smaller and larger than tiles, splits and pages.
fn scored_rows() -> Vec<Case> {
    let tunings = [Tuning::APART, Tuning::SOFTWARE, Tuning::HARDWARE, Tuning::SUBGROUPS, Tuning::FEW_REGISTERS];
    let mut rows = Vec::new();
    for (turn, tuning) in tunings.into_iter().enumerate() {
        for (index, window) in [Some(1), Some(24), Some(64), Some(300), Some(10_000), None].into_iter().enumerate() {
            let (head_dim, heads) =
                ([64, 40, 128, 256][(index + turn) % 4], [(4, 2), (5, 1), (3, 3), (8, 1)][index % 4]);
            let (m, splits, apart) = ([1, 5, 2][(index + turn) % 3], [1, 4][(index + turn) % 2], turn % 3 == 2);
            let scoring = Scoring { scale: 0.3, soft_cap: [Some(0.75), None, Some(5.0)][(turn + index) % 3], window };
            let gated = splits == 1 && turn % 2 == 1;
            let base = Attending { m, splits, apart, scoring, gated, ..Attending::of(heads, head_dim, tuning) };
            let precision = KvPrecision::ALL[(index + turn) % 3];
            rows.extend(
                [0, 23, 64, 255, 300, 770].map(|position| with_key_layout(Attending { position, ..base }, precision)),
            );
        }
    }
    rows
}

/// An attention with queries in the layout of lanes that share a key.
fn with_key_layout(shape: Attending, precision: KvPrecision) -> Case {
    let Attending { m, heads: (q_heads, kv_heads), head_dim, tuning, apart, .. } = shape;
    let rows = q_heads / kv_heads * if apart { 1 } else { m };
    let q_layout = query_layout(head_dim, precision, rows, tuning);
    attention_step(Attending { q_layout, ..shape }, precision, Scores::MILD)
}

/// Neighbours share keys; heads are whole lines, whole loads and neither.
fn sharing_rows() -> Vec<Case> {
    const HEADS: [(usize, usize); 5] = [(4, 1), (1, 1), (8, 2), (5, 1), (16, 1)];
    let two = Tuning { positions: 2, ..Tuning::HARDWARE };
    let mut rows = Vec::new();
    for (turn, precision) in KvPrecision::ALL.into_iter().enumerate() {
        for (index, head_dim) in [128, 64, 40, 256, 96, 16, 12].into_iter().enumerate() {
            let (m, splits) = ([1, 2, 8][(index + turn) % 3], [1, 3, 8, 1][(index + turn) % 4]);
            let (heads, tuning) = (HEADS[(index + turn) % 5], [Tuning::HARDWARE, two][index / 2 % 2]);
            let shape = |position| Attending { m, splits, position, ..Attending::of(heads, head_dim, tuning) };
            rows.extend([0, 63, 65, 143, 300, 770].map(|position| with_key_layout(shape(position), precision)));
            rows.push(attention_step(shape(130), precision, Scores::MILD));
        }
    }
    for (m, splits, head_dim) in [(1, 1, 64), (8, 2, 256)] {
        for position in [0, 65, 200] {
            let shape = Attending { m, splits, position, ..Attending::of((4, 2), head_dim, Tuning::HARDWARE) };
            rows.extend([STEEP, SUNKEN].map(|scores| attention_step(shape, KvPrecision::F32, scores)));
        }
    }
    rows
}

/// Rows of several conversations; the query heads of a workgroup divide theirs.
fn apart_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, precision) in KvPrecision::ALL.into_iter().enumerate() {
        for (m, splits, heads, head_dim) in [(8, 1, (4, 1), 64), (4, 5, (8, 2), 128), (2, 8, (3, 3), 40)] {
            let tuning = [Tuning::HARDWARE, Tuning::SOFTWARE][(index + m) % 2];
            let shape =
                |position| Attending { m, splits, position, apart: true, ..Attending::of(heads, head_dim, tuning) };
            rows.extend([0, 61, 253, 770].map(|position| with_key_layout(shape(position), precision)));
        }
    }
    rows
}

/// Subgroups of the device's own size and emulated ones, smaller and larger than the workgroup.
fn lane_rows() -> Vec<Case> {
    let emulated = |threads, positions, emulated| Tuning { threads, positions, emulated, ..Tuning::APART };
    let emulated = [
        Tuning { emulated: 8, ..Tuning::HARDWARE },
        Tuning { emulated: 32, ..Tuning::HARDWARE },
        Tuning { emulated: 128, ..Tuning::HARDWARE },
        emulated(64, 1, 4),
        emulated(32, 2, 8),
        emulated(64, 1, 16),
        emulated(64, 2, 32),
        emulated(128, 1, 64),
        emulated(32, 1, 128),
    ];
    let tunings = tiers(&Tuning::ALL, |tuning| tuning.uses).into_iter().chain(emulated);
    let mut rows = Vec::new();
    for (index, tuning) in tunings.enumerate() {
        let (head_dim, precision) = ([64, 12, 128, 40][index % 4], KvPrecision::ALL[index % 3]);
        let (m, splits, heads) = ([1, 2, 5][index % 3], [1, 3][index % 2], [(4, 2), (5, 1), (3, 3), (8, 1)][index % 4]);
        let shape = |position| Attending {
            m,
            splits,
            position,
            apart: index % 2 == 1,
            ..Attending::of(heads, head_dim, tuning)
        };
        rows.extend([0, 63, 64, 300].map(|position| with_key_layout(shape(position), precision)));
    }
    let (heads, tuning) = ((4, 2), Tuning::SUBGROUPS);
    let shape = Attending { m: 2, position: 200, ..Attending::of(heads, 64, tuning) };
    rows.extend([STEEP, SUNKEN].map(|scores| attention_step(shape, KvPrecision::F32, scores)));
    rows
}

/// With gates.
fn gated_rows() -> Vec<Case> {
    let mut rows = Vec::new();
    for (index, head_dim) in [4, 12, 40, 64, 80, 128, 256].into_iter().enumerate() {
        for (turn, tuning) in [Tuning::APART, Tuning::SOFTWARE, Tuning::HARDWARE].into_iter().enumerate() {
            let (m, heads) = ([1, 2, 5][index % 3], [(4, 2), (5, 1), (3, 3), (8, 1)][(index + turn) % 4]);
            let apart = (index + turn) % 2 == 1;
            let shape =
                |position| Attending { m, position, apart, gated: true, ..Attending::of(heads, head_dim, tuning) };
            let precision = KvPrecision::ALL[(index + turn) % 3];
            rows.extend([0, 64, 300].map(|position| with_key_layout(shape(position), precision)));
        }
    }
    for (row, splits, dim) in [(2, 1, 4), (6, 2, 12), (32, 7, 128), (8, 32, 256)] {
        rows.push(attention_join(row, splits, dim, true));
    }
    rows
}
