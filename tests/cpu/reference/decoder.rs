//! Decoder layers composed of references, each against the one `transformers` ran (`text_long`: 333 tokens, two query heads a key-value
//! head, YaRN, five steps of query scaling).

use ocelli::config::{Activation, KvPrecision, RopePairs};
use ocelli::reference::attention::{self, Heads, Scoring, Shape};
use ocelli::reference::cache::{self, Append, Cache, unpack};
use ocelli::reference::{embed_rows, glu, rope};

use super::fixture::{Tensors, add_linear, assert_close, linear, rms_norm};

const LAYERS: usize = 4;
const HIDDEN: usize = 64;
const FEED_FORWARD: usize = 160;
const HEAD_DIM: usize = 32;
const Q_HEADS: usize = 4;
const KV_HEADS: usize = 2;
const Q_WIDTH: usize = Q_HEADS * HEAD_DIM;
const KV_WIDTH: usize = KV_HEADS * HEAD_DIM;
const STRIDE: usize = Q_WIDTH + 2 * KV_WIDTH;

/// `// [tokens, HEAD_DIM / 2, (cos, sin)]`
fn angles(frequencies: &[f32], tokens: usize) -> Vec<f32> {
    let turn = |angle: f32| [angle.cos(), angle.sin()];
    (0..tokens).flat_map(|position| frequencies.iter().flat_map(move |f| turn(position as f32 * f))).collect()
}

/// Attention over a cache that is written and read chunk by chunk. `// [tokens, Q_WIDTH]`
fn attend(qkv: &[f32], chunks: &[usize]) -> Vec<f32> {
    let tokens: usize = chunks.iter().sum();
    let mut caches = [vec![u32::MAX; tokens * KV_WIDTH], vec![u32::MAX; tokens * KV_WIDTH]];
    let mut out = vec![f32::NAN; tokens * Q_WIDTH];
    let mut past = 0;
    for &chunk in chunks {
        let rows = &qkv[past * STRIDE..(past + chunk) * STRIDE];
        let (pages, kv_heads, head_dim) = (&[0, 1], KV_HEADS, HEAD_DIM);
        let append = Append { tokens: chunk, past, pages, kv_heads, head_dim, stride: STRIDE, k_offset: Q_WIDTH };
        let [k, v] = &mut caches;
        cache::append(append, KvPrecision::F32, rows, Cache { k, v, scales: &mut [] });
        let [k, v] = [k, v].map(|words| unpack(KvPrecision::F32, words, 0));
        let shape = Shape {
            q_tokens: chunk,
            kv_tokens: past + chunk,
            q_heads: Q_HEADS,
            kv_heads: KV_HEADS,
            head_dim: HEAD_DIM,
            causal_past: Some(past),
        };
        fn cache(values: &[f32]) -> Heads<'_> {
            Heads { values, stride: KV_WIDTH, offset: 0 }
        }
        let q = Heads { values: rows, stride: STRIDE, offset: 0 };
        attention::compute(
            shape,
            Scoring::of_heads(shape.head_dim),
            q,
            cache(&k),
            cache(&v),
            &mut out[past * Q_WIDTH..(past + chunk) * Q_WIDTH],
        );
        past += chunk;
    }
    out
}

fn layer(weights: &Tensors, index: usize, angles: &[f32], q_scale: &[f32], mut x: Vec<f32>) -> Vec<f32> {
    let name = |name: &str| format!("model.layers.{index}.{name}.weight");
    let stacked = |names: &[&str]| weights.stacked(&names.iter().map(|n| name(n)).collect::<Vec<_>>());

    let normed = rms_norm(&x, &weights.get(&name("input_layernorm")));
    let qkv_proj = stacked(&["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]);
    let mut qkv = linear(&normed, HIDDEN, &qkv_proj); // [tokens, STRIDE]
    let heads = rope::Heads { q: Q_HEADS, kv: KV_HEADS, dim: HEAD_DIM, pairs: RopePairs::Half };
    rope::compute(heads, STRIDE, angles, q_scale, &mut qkv);
    let tokens = x.len() / HIDDEN;
    let attended = attend(&qkv, &[100, 1, tokens - 101]);
    add_linear(&attended, Q_WIDTH, &weights.get(&name("self_attn.o_proj")), &mut x);

    let normed = rms_norm(&x, &weights.get(&name("post_attention_layernorm")));
    let gate_up = linear(&normed, HIDDEN, &stacked(&["mlp.gate_proj", "mlp.up_proj"])); // [tokens, 2 * FEED_FORWARD]
    let mut gated = vec![f32::NAN; tokens * FEED_FORWARD];
    glu::compute(FEED_FORWARD, Activation::Silu, &gate_up, &mut gated);
    add_linear(&gated, FEED_FORWARD, &weights.get(&name("mlp.down_proj")), &mut x);
    x
}

#[test]
fn decoder_layers_are_those_of_transformers() {
    let (weights, expected) =
        (Tensors::read("text_long/model.safetensors"), Tensors::read("text_long/expected.safetensors"));
    let hidden = |layer: usize| expected.get(&format!("long.hidden.{layer}"));
    let embedding = weights.get("model.embed_tokens.weight");

    let input_ids: Vec<u32> = expected.get("long.input_ids").iter().map(|&id| id as u32).collect();
    let mut embedded = vec![f32::NAN; input_ids.len() * HIDDEN];
    embed_rows::compute(HIDDEN, 1.0, &embedding, &input_ids, &[], &mut embedded);
    assert_eq!(embedded, hidden(0));

    let angles = angles(&expected.get("text_inv_freq"), input_ids.len());
    let q_scale = expected.get("long.q_scale");
    for index in 0..LAYERS {
        let x = layer(&weights, index, &angles, &q_scale, hidden(index));
        assert_close(&x, &hidden(index + 1), &format!("hidden.{}", index + 1));
    }

    let normed = rms_norm(&hidden(LAYERS), &weights.get("model.norm.weight"));
    assert_close(&normed, &expected.get("long.final_norm"), "final_norm");
    assert_close(&linear(&normed, HIDDEN, &embedding), &expected.get("long.logits"), "logits");
}
