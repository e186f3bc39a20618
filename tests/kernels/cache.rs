//! Cases of the cache of keys and values.

use ocelli::config::KvPrecision;
use ocelli::gpu::{Purpose, Recording, Slice};
use ocelli::kernels::kv_append::{Append, Cache};
use ocelli::reference::kv_append::{Precision, from_half, pack, unpack};
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

/// Numbers up to `size`; columns before the keys and behind the values belong to nobody.
pub(crate) fn kv_append(shape: Tokens, precision: KvPrecision, columns: (usize, usize), size: f32) -> Case {
    let sizes = format!("{shape:?} {precision} columns={columns:?} size={size}").replace("Tokens ", "");
    case("kv_append", EXACT, sizes, move |bench| {
        let Tokens { tokens, past, kv_heads, head_dim } = shape;
        let (k_offset, spare) = columns;
        let stride = k_offset + 2 * kv_heads * head_dim + spare;
        let mut qkv = bench.random.numbers(tokens * stride, size); // [tokens, stride]
        for row in qkv.chunks_exact_mut(stride) {
            row[k_offset..stride - spare].chunks_exact_mut(head_dim).for_each(|head| make_certain(precision, head));
        }
        // Room for two tokens more than there will be.
        let heads = (past + tokens + 2) * kv_heads;
        let plane = |bytes: u64| bench.output_words((heads as u64 * bytes / 4) as usize);
        let mut planes = precision.head_bytes(head_dim).into_iter().map(plane).collect::<ocelli::Result<Vec<_>>>()?;
        let slices = planes.iter().map(|plane| plane.slice.clone()).collect();
        let cache = Cache { precision, planes: slices };
        let append = Append { tokens, past, kv_heads, head_dim, stride, k_offset };
        let qkv_slice = bench.input(&qkv)?;
        kernels::kv_append::record(&mut bench.recording, append, &qkv_slice, &cache)?;

        let append = reference::kv_append::Append { tokens, past, kv_heads, head_dim, stride, k_offset };
        let mut words: Vec<&mut [u32]> = planes.iter_mut().map(|plane| plane.expected_words()).collect();
        let scales = if words.len() == 3 { words.pop() } else { None }.unwrap_or_default();
        let [k, v] = &mut words[..] else { unreachable!("two planes are left") };
        reference::kv_append::compute(append, twin(precision), &qkv, reference::kv_append::Cache { k, v, scales });
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

/// What is in the cache after heads of keys were appended, with their negatives for values. `// [heads, head_dim]` twice
fn through_the_cache(precision: KvPrecision, head_dim: usize, k: &[f32]) -> [Vec<f32>; 2] {
    let gpu = common::gpu();
    let kv_heads = k.len() / head_dim;
    let upload = |bytes: u64| {
        gpu.upload("plane", Purpose::KvCache, &vec![u32::MAX; (kv_heads as u64 * bytes / 4) as usize])
            .expect("a plane")
            .all()
    };
    let planes = precision.head_bytes(head_dim).into_iter().map(upload).collect();
    let qkv: Vec<f32> = k.iter().copied().chain(k.iter().map(|x| -x)).collect();
    let qkv = gpu.upload("qkv", Purpose::Activations, &qkv).expect("qkv").all();
    let (cache, mut recording) = (Cache { precision, planes }, Recording::new());
    let append = Append { tokens: 1, past: 0, kv_heads, head_dim, stride: 2 * k.len(), k_offset: 0 };
    kernels::kv_append::record(&mut recording, append, &qkv, &cache).expect("a recording");
    gpu.run("append", &recording).expect("a run");
    let read = |plane: &Slice| pollster::block_on(gpu.read_as::<u32>(plane)).expect("a plane");
    let scales = cache.planes.get(2).map_or_else(|| vec![0; kv_heads], read);
    [0, 1].map(|plane| {
        let words = read(&cache.planes[plane]);
        let heads = words[..kv_heads * words.len() / kv_heads].chunks_exact(words.len() / kv_heads).zip(&scales);
        heads.flat_map(|(words, scales)| unpack(twin(precision), words, (scales >> (16 * plane)) as u16)).collect()
    })
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
        let [k, v] = through_the_cache(precision, 4, &heads.concat());
        for (head, (k, v)) in k.chunks_exact(4).zip(v.chunks_exact(4)).enumerate() {
            let opposite = k.iter().zip(v).all(|(k, v)| k == &-v || k.is_nan() && v.is_nan());
            assert!(opposite, "{precision} head {head}: {k:?} {v:?}");
            match head {
                1 => assert!(k[1].is_nan(), "{precision}: {k:?}"),
                2 => assert!(k.iter().zip(heads[2]).all(|(k, x)| (k - x).abs() <= 0.5 / 127.0), "{precision}: {k:?}"),
                3 | 5 => assert_eq!((k[0], k[1]), (largest, -largest), "{precision}"),
                _ => assert!(k.iter().all(|k| k.abs() <= LEAST), "{precision}: {k:?}"),
            }
        }
    }
}
