//! NaN, infinities and extreme numbers in the cache.

use ocelli::config::{KvPrecision, RopePairs};
use ocelli::gpu::{Purpose, Recording, Slice};
use ocelli::kernels::cache::{Cache, PAGE};
use ocelli::kernels::cases::step_words;
use ocelli::kernels::rope_append::{Heads, RopeAppend, RopeChoice};
use ocelli::kernels::{self, LaneLayout};
use ocelli::reference::cache::unpack;

use crate::device;

/// The least normal 16-bit float.
const LEAST: f32 = 1.0 / 16_384.0;
/// The largest 16-bit float.
const LARGEST: f32 = 65_504.0;

/// A step buffer at position 0 for one token, without rotation and scale.
fn unrotated(head_dim: usize) -> Vec<u32> {
    let row: Vec<f32> = [1.0, 0.0].into_iter().cycle().take(head_dim).chain([1.0, 0.0, 0.0, 0.0]).collect();
    step_words(0, 0, &[0], &row)
}

/// Heads of values, stored in the cache without rotation and read back. `// [heads, head_dim]`
fn through_the_cache(precision: KvPrecision, head_dim: usize, v: &[f32]) -> Vec<f32> {
    let gpu = device::gpu();
    let kv_heads = v.len() / head_dim;
    // One row of keys and values, and the page of its scales.
    let upload = |(plane, bytes): (usize, u64)| {
        let words = [1, 1, PAGE][plane] * kv_heads * bytes as usize / 4;
        gpu.upload("plane", Purpose::KvCache, &vec![u32::MAX; words]).expect("a plane").all()
    };
    let planes = precision.head_bytes(head_dim).into_iter().enumerate().map(upload).collect();
    let before = vec![0.0; head_dim + v.len()];
    let qkv: Vec<f32> = before.into_iter().chain(v.iter().copied()).collect();
    let (stride, qkv) = (qkv.len(), gpu.upload("qkv", Purpose::Activations, &qkv).expect("qkv").all());
    let (cache, mut recording) = (Cache { precision, planes }, Recording::new());
    let step = gpu.upload("step", Purpose::Activations, &unrotated(head_dim)).expect("a step").all();
    let heads = Heads { q: 1, kv: kv_heads, dim: head_dim, pairs: RopePairs::Half };
    let (q_layout, norms) = (LaneLayout::NATURAL, None);
    let (tokens, rope) = (1, RopeChoice::ONLY);
    let launch = RopeAppend { qkv: &qkv, stride, tokens, heads, q_layout, norms, rope, step: &step, cache: &cache };
    kernels::rope_append::record(&mut recording, &launch).expect("a recording");
    gpu.run("append", &recording).expect("a run");
    let read = |plane: &Slice| pollster::block_on(gpu.read_as::<u32>(plane)).expect("a plane");
    let scales = cache.planes.get(2).map_or_else(|| vec![0; kv_heads], read);
    let words = read(&cache.planes[1]);
    let of_heads = scales.iter().step_by(scales.len() / kv_heads);
    let heads = words[..kv_heads * words.len() / kv_heads].chunks_exact(words.len() / kv_heads).zip(of_heads);
    heads.flat_map(|(words, scales)| unpack(precision, words, (scales >> 16) as u16)).collect()
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
