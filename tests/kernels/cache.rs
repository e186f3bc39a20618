//! Cases of the cache of keys and values.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::{Purpose, Recording, Slice};
use ocelli::kernels::cache::Cache;
use ocelli::kernels::rope_append::{Heads, RopeAppend, TABLE};
use ocelli::reference::cache::{Precision, from_half, pack, unpack};
use ocelli::{kernels, reference};

use crate::case::{Case, EXACT, case};
use crate::common;

/// The reference's name for a precision.
pub(crate) fn twin(precision: KvPrecision) -> Precision {
    match precision {
        KvPrecision::F32 => Precision::F32,
        KvPrecision::F16 => Precision::F16,
        KvPrecision::Int8 => Precision::Int8,
    }
}

/// New tokens, tokens before them, key-value heads and their width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tokens {
    pub(crate) tokens: usize,
    pub(crate) past: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

/// The words of a step at `position` that turns nothing and scales nothing, for `tokens` tokens.
fn unturned(position: usize, tokens: usize, head_dim: usize) -> Vec<u32> {
    let mut words = vec![0; TABLE];
    (words[1], words[3]) = (position as u32, position as u32);
    let pairs = [1.0_f32, 0.0].into_iter().cycle().take(head_dim);
    let row: Vec<u32> = pairs.chain([1.0, 0.0, 0.0, 0.0]).map(f32::to_bits).collect();
    words.extend(row.iter().cycle().take(tokens * row.len()));
    words
}

/// Keys and values up to `size`, stored as they are.
pub(crate) fn stored(shape: Tokens, precision: KvPrecision, size: f32) -> Case {
    let sizes = format!("stored {shape:?} {precision} size={size}").replace("Tokens ", "");
    case("rope_append", EXACT, sizes, move |bench| {
        let Tokens { tokens, past, kv_heads, head_dim } = shape;
        let stride = (1 + 2 * kv_heads) * head_dim;
        let mut qkv = bench.random.numbers(tokens * stride, size); // [tokens, stride]
        qkv.chunks_exact_mut(head_dim).for_each(|head| make_certain(precision, head));
        // Room for two tokens more than there will be.
        let heads = (past + tokens + 2) * kv_heads;
        let plane = |bytes: u64| bench.output_words((heads as u64 * bytes / 4) as usize);
        let mut planes = precision.head_bytes(head_dim).into_iter().map(plane).collect::<ocelli::Result<Vec<_>>>()?;
        let cache = Cache { precision, planes: planes.iter().map(|plane| plane.slice.clone()).collect() };
        let (qkv_slice, step) = (bench.input(&qkv)?, bench.words(&unturned(past, tokens, head_dim))?);
        let heads = Heads { q: 1, kv: kv_heads, dim: head_dim, pairs: RopePairs::Half };
        let launch = RopeAppend { qkv: &qkv_slice, tokens, heads, step: &step, cache: &cache };
        kernels::rope_append::record(&mut bench.recording, &launch)?;

        let append = reference::cache::Append { tokens, past, kv_heads, head_dim, stride, k_offset: head_dim };
        let mut words: Vec<&mut [u32]> = planes.iter_mut().map(|plane| plane.expected_words()).collect();
        let scales = if words.len() == 3 { words.pop() } else { None }.unwrap_or_default();
        let [k, v] = &mut words[..] else { unreachable!("two planes are left") };
        reference::cache::append(append, twin(precision), &qkv, reference::cache::Cache { k, v, scales });
        planes.into_iter().for_each(|plane| bench.expect(plane));
        Ok(())
    })
}

/// Moves numbers that devices may round one way or the other: below the normal 16-bit floats, and, since a division may be off by
/// 2.5 units in the last place, half way between two integers.
fn make_certain(precision: KvPrecision, head: &mut [f32]) {
    let (_, scale) = pack(twin(precision), head);
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

/// The least normal 16-bit float.
const LEAST: f32 = 1.0 / 16_384.0;
/// The largest 16-bit float.
const LARGEST: f32 = 65_504.0;

/// What the cache holds of heads of values, which are not turned. `// [heads, head_dim]`
fn through_the_cache(precision: KvPrecision, head_dim: usize, v: &[f32]) -> Vec<f32> {
    let gpu = common::gpu();
    let kv_heads = v.len() / head_dim;
    let upload = |bytes: u64| {
        gpu.upload("plane", Purpose::KvCache, &vec![u32::MAX; (kv_heads as u64 * bytes / 4) as usize])
            .expect("a plane")
            .all()
    };
    let planes = precision.head_bytes(head_dim).into_iter().map(upload).collect();
    let before = vec![0.0; head_dim + v.len()];
    let qkv: Vec<f32> = before.into_iter().chain(v.iter().copied()).collect();
    let qkv = gpu.upload("qkv", Purpose::Activations, &qkv).expect("qkv").all();
    let (cache, mut recording) = (Cache { precision, planes }, Recording::new());
    let step = gpu.upload("step", Purpose::Activations, &unturned(0, 1, head_dim)).expect("a step").all();
    let heads = Heads { q: 1, kv: kv_heads, dim: head_dim, pairs: RopePairs::Half };
    let launch = RopeAppend { qkv: &qkv, tokens: 1, heads, step: &step, cache: &cache };
    kernels::rope_append::record(&mut recording, &launch).expect("a recording");
    gpu.run("append", &recording).expect("a run");
    let read = |plane: &Slice| pollster::block_on(gpu.read_as::<u32>(plane)).expect("a plane");
    let scales = cache.planes.get(2).map_or_else(|| vec![0; kv_heads], read);
    let words = read(&cache.planes[1]);
    let heads = words[..kv_heads * words.len() / kv_heads].chunks_exact(words.len() / kv_heads).zip(&scales);
    heads.flat_map(|(words, scales)| unpack(twin(precision), words, (scales >> 16) as u16)).collect()
}

#[test]
fn faults_and_extremes_stay_in_their_head() {
    const TINY: f32 = 1e-30;
    let heads = [
        [0.0, -0.0, 0.0, 0.0],
        [1.0, f32::NAN, 1.0, 1.0],
        [1.0, -0.5, 0.25, 0.0],
        [f32::INFINITY, f32::NEG_INFINITY, 1.0, 0.0],
        [TINY, -TINY, 0.0, TINY],
        [f32::MAX, -f32::MAX, 1.0, 0.0],
    ];
    for precision in [KvPrecision::F16, KvPrecision::Int8] {
        let largest = if precision == KvPrecision::F16 { LARGEST } else { 127.0 * LARGEST };
        for (head, v) in through_the_cache(precision, 4, &heads.concat()).chunks_exact(4).enumerate() {
            match head {
                1 => assert!(v[1].is_nan(), "{precision}: {v:?}"),
                2 => assert!(v.iter().zip(heads[2]).all(|(v, x)| (v - x).abs() <= 0.5 / 127.0), "{precision}: {v:?}"),
                3 | 5 => assert_eq!((v[0], v[1]), (largest, -largest), "{precision}"),
                _ => assert!(v.iter().all(|v| v.abs() <= LEAST), "{precision}: {v:?}"),
            }
        }
    }
}
