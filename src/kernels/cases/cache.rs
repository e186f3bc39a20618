//! Cases of the kernels that write the KV cache.

use super::harness::{Harness, Holds, Output, POISON, Random};
use super::products::arrange;
use super::{Case, POINTWISE, label};
use crate::config::KvPrecision;
use crate::error::Result;
use crate::kernels::cache::{Cache, PAGE, PAGES, rope_table_at};
use crate::kernels::rope::{self, Rope, table};
use crate::kernels::rope_append::{self as append, HeadNorms, HeadValues, Heads, RopeAppend, RopeChoice, table_row};
use crate::reference;
use crate::reference::rope_append::Step;

/// Positions of a step and content of its rope table.
#[derive(Debug, Clone, Copy)]
pub struct Rotation {
    /// Position of the first new token.
    pub position: usize,
    /// Position of the first row of the table.
    pub table_first: usize,
    /// Rows of the table.
    pub rows: usize,
    /// Use only quarter turns, and scales of queries that are powers of two, so that nothing is rounded.
    pub exact: bool,
    /// Each new token belongs to another conversation.
    pub apart: bool,
    /// The rope of the layer.
    pub rope: RopeChoice,
}

impl Rotation {
    /// Random angles, and scales of queries. `// [rows, ropes, words]`
    pub(super) fn table(self, harness: &mut Harness<'_>, head_dim: usize) -> Vec<f32> {
        let rows = self.rows * self.rope.of;
        let words = self.rope.words(head_dim);
        let mut table = Vec::with_capacity(rows * words);
        for row in 1..=rows {
            let mut rotation = || {
                let angle = harness.random.number() * 4.0;
                let quarter = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]][harness.random.bits() as usize % 4];
                if self.exact { quarter } else { [angle.cos(), angle.sin()] }
            };
            let rotations: Vec<_> = (0..head_dim / 2).map(|_| rotation()).collect();
            let scale = if self.exact { 2.0 } else { 1.5 + harness.random.number() };
            table.extend(table_row(&rotations, scale));
            table.resize(row * words, f32::NAN);
        }
        table
    }

    /// Step buffers of `tokens` new tokens, as the kernels read them.
    pub(super) fn words(self, tokens: usize, pages: &[u32], table: &[f32]) -> Vec<u32> {
        if !self.apart {
            return step_words(self.position, self.table_first, pages, table);
        }
        let stride = table.len() / self.rows;
        let rotations = table.chunks_exact(stride).skip(self.position - self.table_first);
        let positions = self.position..self.position + tokens;
        positions.zip(rotations).flat_map(|(position, rotation)| words_apart(position, 1, pages, rotation)).collect()
    }

    /// The step as the reference reads it.
    pub(super) fn step<'a>(self, pages: &'a [u32], table: &'a [f32]) -> Step<'a> {
        Step { position: self.position, table_first: self.table_first, table, rope: self.rope, pages }
    }
}

/// A step buffer for a position, with a rope table that starts at `table_first`; token and count are unset.
pub fn step_words(position: usize, table_first: usize, pages: &[u32], table: &[f32]) -> Vec<u32> {
    let mut words = vec![u32::MAX; rope_table_at(pages.len())];
    (words[1], words[3], words[4], words[5]) = (position as u32, table_first as u32, words.len() as u32, 0);
    words[PAGES..PAGES + pages.len()].copy_from_slice(pages);
    words.extend(table.iter().map(|x| x.to_bits()));
    words
}

/// The step buffer of one of several conversations: pages up to that of its position, and the rotation of that position only.
pub(super) fn words_apart(position: usize, splits: usize, pages: &[u32], rotation: &[f32]) -> Vec<u32> {
    let mut own = pages.to_vec();
    own[position / PAGE + 1..].fill(u32::MAX);
    let mut words = step_words(position, position, &own, rotation);
    words.resize(words.len().next_multiple_of(64), u32::MAX);
    (words[5], words[6]) = (words.len() as u32 / 4, splits as u32);
    words
}

/// Pages that hold `tokens` tokens: consecutive ones if memory is scarce, otherwise in reverse order and without page 0.
pub(super) fn pages_of(harness: &Harness<'_>, tokens: usize) -> Vec<u32> {
    let count = tokens.div_ceil(PAGE) as u32;
    if harness.is_lean() { (0..count).collect() } else { (1..=count).rev().collect() }
}

/// Rows of the cache up to the end of these pages.
pub(super) fn rows_of(pages: &[u32], tokens: usize) -> usize {
    let of_page = |(index, page): (usize, &u32)| *page as usize * PAGE + (tokens - index * PAGE).min(PAGE);
    pages.iter().enumerate().map(of_page).max().unwrap_or(0)
}

/// Words of the planes of a cache of `rows` rows. Scales occupy whole pages.
pub(super) fn plane_words(precision: KvPrecision, kv_heads: usize, head_dim: usize, rows: usize) -> Vec<usize> {
    let rows_of = |plane: usize| if plane < 2 { rows } else { rows.next_multiple_of(PAGE) };
    let planes = precision.head_bytes(head_dim).into_iter().enumerate();
    planes.map(|(plane, bytes)| rows_of(plane) * kv_heads * bytes as usize / 4).collect()
}

/// A cache to be written, with two rows to spare; with `exact`, all bits are compared, otherwise the numbers that they encode.
pub(super) fn new_cache(
    harness: &Harness<'_>,
    precision: KvPrecision,
    heads: Heads,
    rows: usize,
    exact: bool,
) -> Result<(Vec<Output>, Cache)> {
    let holds = match precision {
        _ if exact => Holds::Words,
        KvPrecision::F16 => Holds::Halves,
        _ => Holds::Numbers,
    };
    let planes = plane_words(precision, heads.kv, heads.dim, rows + 2).into_iter();
    let outputs = planes.map(|words| harness.output(words, holds)).collect::<Result<Vec<_>>>()?;
    let planes = outputs.iter().map(|output| output.slice.clone()).collect();
    Ok((outputs, Cache { precision, planes }))
}

/// The planes of a cache for the reference to write.
pub(super) fn reference_cache(planes: &mut [Output]) -> reference::cache::Cache<'_> {
    let mut words = planes.iter_mut().map(Output::expected_words);
    let mut plane = || words.next().unwrap_or_default();
    reference::cache::Cache { k: plane(), v: plane(), scales: plane() }
}

/// Multiples of 1/128, the largest of every head 127/128: exact in every precision.
pub fn exact_numbers(random: &mut Random, head_dim: usize, len: usize) -> Vec<f32> {
    let number = |i: usize, bits: u32| if i.is_multiple_of(head_dim) { 127 } else { (bits % 255) as i32 - 127 };
    (0..len).map(|i| number(i, random.bits() >> 8) as f32 / 128.0).collect()
}

/// Ones of either sign, whose mean square is 1.
pub fn signs(random: &mut Random, _: usize, len: usize) -> Vec<f32> {
    (0..len).map(|_| [1.0, -1.0][random.bits() as usize % 2]).collect()
}

/// Rotates new tokens; `values`: how values are made beside normed queries and keys. `numbers` makes the queries, keys and values from the head width and a length; they must be
/// exact in 8-bit integers if the cache has these.
pub fn rope_append(
    tokens: usize,
    (heads, values): (Heads, Option<HeadValues>),
    precision: KvPrecision,
    rotation: Rotation,
    numbers: impl Fn(&mut Random, usize, usize) -> Vec<f32> + Send + Sync + 'static,
) -> Case {
    let sizes = label(format_args!("tokens={tokens} {heads:?} norms={values:?} {rotation:?}"));
    let kernel = append::kernel(heads.dim, values, rotation.rope.of, precision);
    Case::new(kernel, POINTWISE, sizes, move |harness| {
        // Normed heads may be followed by other columns.
        let of_values = if values == Some(HeadValues::Keys) { 0 } else { heads.kv };
        let stride = (heads.q + heads.kv + of_values + usize::from(values.is_some())) * heads.dim;
        let mut qkv = numbers(&mut harness.random, heads.dim, tokens * stride); // [tokens, stride]
        let table = rotation.table(harness, heads.dim);
        let held = rotation.position + tokens;
        let pages = pages_of(harness, held);
        let (step, mut out) = (harness.words(&rotation.words(tokens, &pages, &table))?, harness.in_place(&qkv)?);
        let (mut planes, cache) = new_cache(harness, precision, heads, rows_of(&pages, held), rotation.exact)?;
        // For exact results the mean square of the numbers is 1.
        let eps = if rotation.exact { 0.0 } else { 1e-6 };
        let gain = |random: &mut Random| match random.bits() % 2 {
            _ if !rotation.exact => 1.5 + random.number(),
            0 => 1.0,
            _ => 0.25,
        };
        let gains: [Vec<f32>; 2] = [(); 2].map(|()| (0..heads.dim).map(|_| gain(&mut harness.random)).collect());
        let [q, k] = [harness.input(&gains[0])?, harness.input(&gains[1])?];
        let norms = values.map(|values| HeadNorms { q, k, eps, values });
        let norms = norms.as_ref();
        let launch = RopeAppend {
            qkv: &out.slice,
            stride,
            tokens,
            heads,
            q_layout: harness.lane_layout,
            norms,
            rope: rotation.rope,
            step: &step,
            cache: &cache,
        };
        append::record(&mut harness.recording, &launch)?;
        let written = reference_cache(&mut planes);
        let known = values.map(|values| ([&gains[0][..], &gains[1]], eps, values));
        reference::rope_append::compute(
            (heads, stride),
            known,
            rotation.step(&pages, &table),
            &mut qkv,
            precision,
            written,
        );
        for row in qkv.chunks_exact_mut(stride) {
            arrange(harness.lane_layout, &mut row[..heads.q * heads.dim]);
        }
        out.expected().copy_from_slice(&qkv);
        planes.iter_mut().for_each(|plane| plane.magnitude = 2.0);
        planes.push(out);
        Ok(planes)
    })
}

/// Splits rows into heads; `spare` columns belong to no head. Without rotation every bit must stay.
pub fn rope(
    tokens: usize,
    heads: Heads,
    (is_rotated, has_norms): (bool, bool),
    precision: KvPrecision,
    spare: usize,
) -> Case {
    let sizes = label(format_args!("tokens={tokens} {heads:?} spare={spare}"));
    Case::new(rope::kernel(is_rotated, has_norms, precision), POINTWISE, sizes, move |harness| {
        let width = (heads.q + 2 * heads.kv) * heads.dim;
        let stride = width + spare;
        let mut x = exact_numbers(&mut harness.random, heads.dim, tokens * stride); // [tokens, stride]
        x.chunks_exact_mut(stride).for_each(|row| row[width..].fill(POISON));
        let angles = harness.random.numbers(tokens * heads.dim / 2, 4.0);
        let angles: Vec<[f32; 2]> = angles.iter().map(|angle| [angle.cos(), angle.sin()]).collect(); // [tokens, dim / 2, (cos, sin)]
        let turns = harness.input(&table(heads.pairs, heads.dim, &angles))?;
        let (mut planes, cache) = new_cache(harness, precision, heads, tokens, !is_rotated && !has_norms)?;
        let (mut q, x_slice) = (harness.output(tokens * heads.q * heads.dim, Holds::Numbers)?, harness.input(&x)?);
        let kv = &[cache.planes[0].clone(), cache.planes[1].clone()];
        let turns = is_rotated.then_some(&turns);
        let gains = [(); 2].map(|()| harness.random.numbers(heads.dim, 2.0));
        let values = HeadValues::Normed;
        let norms = HeadNorms { q: harness.input(&gains[0])?, k: harness.input(&gains[1])?, eps: 1e-6, values };
        let norms = has_norms.then_some(&norms);
        let launch = Rope { x: &x_slice, stride, tokens, heads, angles: turns, norms, q: &q.slice, kv, precision };
        rope::record(&mut harness.recording, &launch)?;
        let (written, angles) = (reference_cache(&mut planes), is_rotated.then_some(angles.as_flattened()));
        let known = has_norms.then_some(([&gains[0][..], &gains[1]], 1e-6, HeadValues::Normed));
        reference::rope::apart((heads, stride), known, angles, &x, q.expected(), (precision, written));
        planes.iter_mut().for_each(|plane| plane.magnitude = 2.0);
        planes.push(q);
        Ok(planes)
    })
}
