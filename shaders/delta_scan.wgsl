// The gated delta rule, token by token: S = e^g S, d = beta (v - S^T k), S += k d^T, o = S^T q. Queries, keys and values first pass a causal
// convolution over four tokens and silu; queries and keys are then normed to length 1. A workgroup computes COLUMNS columns of a head's S, a thread
// a quarter of a column, which it keeps in registers with the last inputs of the channels that it convolves. Columns are independent. Sums over the
// lanes of keys use the state before the token, so that one reduction a token suffices for S^T q, S^T k and the products of q and k.
// LANES is the number of a key's lanes in a quarter, OWN that of the lanes that a thread convolves. What it keeps of them has a variable each, because
// some compilers leave an array that a loop indexes in memory; `qk` has constant last indices, which need no bounds checks.
//: const DIM LANES OWN

struct Params {
  tokens: u32,
  heads: u32, // value heads
  key_heads: u32,
  tiled: u32, // 1: value head i has key head i % key_heads; 0: neighbours share one
  stride: u32, // of a row
  offset: u32, // of its first gate
  keeps: u32, // 0: the state stays as it is
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> rows: array<f32>; // [tokens, stride]: q | k | v, heads of DIM; gates: b of every head, a of every head
// Read only. Declared read_write because it may share a buffer with `state`, and WebGPU allows a buffer one kind of use in a dispatch.
@group(0) @binding(2) var<storage, read_write> before: array<f32>; // [3, channels]: the last tokens' inputs, the oldest first
@group(0) @binding(3) var<storage, read> weight: array<vec4f>; // [channels], the newest token's last
@group(0) @binding(4) var<storage, read> rate: array<f32>; // [heads]
@group(0) @binding(5) var<storage, read> dt: array<f32>; // [heads]
@group(0) @binding(6) var<storage, read_write> state: array<f32>; // [heads, DIM, DIM]: a key's lane, then a value's
@group(0) @binding(7) var<storage, read_write> o: array<f32>; // [tokens, heads, DIM]

const COLUMNS: u32 = 32u;
const PARTS: u32 = 4u;
const THREADS: u32 = COLUMNS * PARTS;
const EPS: f32 = 1e-6;

var<workgroup> qk: array<array<vec2f, LANES>, 2u * PARTS>; // of this token and of the next, [2, PARTS, LANES]
var<workgroup> of_state: array<vec2f, THREADS>; // S^T q, S^T k
var<workgroup> of_keys: array<vec3f, PARTS>; // q q, k k, q k

// Inputs of a channel before the first token, the newest last.
fn seen_before(c: u32) -> vec4f {
  let channels = (2u * p.key_heads + p.heads) * DIM;
  return vec4f(0.0, before[c], before[channels + c], before[2u * channels + c]);
}

// Bounds keep every exp finite.
fn silu(x: f32) -> f32 {
  return x / (1.0 + exp(min(-x, 80.0)));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = wg.x;
  let column = thread % COLUMNS;
  let part = thread / COLUMNS;
  let q_first = select(head / (p.heads / p.key_heads), head % p.key_heads, p.tiled == 1u) * DIM;
  let k_first = q_first + p.key_heads * DIM;
  let lane = wg.y * COLUMNS + column; // of the values
  let v_channel = (2u * p.key_heads + head) * DIM + lane;
  let first = (head * DIM + part * LANES) * DIM + lane;
  var s$i = state[first + $iu * DIM]; //: each i LANES
//: each j OWN
  let own$j = $ju * THREADS + thread;
  var q_seen$j = seen_before(q_first + min(own$j, DIM - 1u));
  var k_seen$j = seen_before(k_first + min(own$j, DIM - 1u));
//: end
  var v_seen = seen_before(v_channel);
  for (var t = 0u; t < p.tokens; t++) {
    let row = t * p.stride;
    let here = (t % 2u) * PARTS;
//: each j OWN
    if own$j < DIM {
      q_seen$j = vec4f(q_seen$j.yzw, rows[row + q_first + own$j]);
      k_seen$j = vec4f(k_seen$j.yzw, rows[row + k_first + own$j]);
      let sums = vec2f(dot(q_seen$j, weight[q_first + own$j]), dot(k_seen$j, weight[k_first + own$j]));
      qk[here + own$j / LANES][own$j % LANES] = vec2f(silu(sums.x), silu(sums.y));
    }
//: end
    v_seen = vec4f(v_seen.yzw, rows[row + v_channel]);
    let v = silu(dot(v_seen, weight[v_channel]));
    workgroupBarrier();
    var products = vec3f(0.0);
    var sums = vec2f(0.0);
//: each i LANES
    let both$i = qk[here + part][$i];
    products += both$i.xyx * both$i.xyy;
    sums += s$i * both$i;
//: end
    of_state[thread] = sums;
    if column == 0u {
      of_keys[part] = products;
    }
    workgroupBarrier();
    sums = of_state[column] + of_state[COLUMNS + column] + of_state[2u * COLUMNS + column] + of_state[3u * COLUMNS + column];
    products = of_keys[0] + of_keys[1] + of_keys[2] + of_keys[3];
    let q_scale = 1.0 / sqrt(products.x + EPS) / sqrt(f32(DIM));
    let k_scale = 1.0 / sqrt(products.y + EPS);
    let gate = row + p.offset + head;
    let a = rows[gate + p.heads] + dt[head];
    let decay = exp(rate[head] * select(a, log(1.0 + exp(min(a, 20.0))), a <= 20.0));
    let d = (v - decay * k_scale * sums.y) / (1.0 + exp(min(-rows[gate], 80.0)));
    s$i = decay * s$i + k_scale * d * qk[here + part][$i].y; //: each i LANES
    if part == 0u {
      o[(t * p.heads + head) * DIM + lane] = q_scale * (decay * sums.x + k_scale * products.z * d);
    }
  }
  if p.keeps == 1u {
    state[first + $iu * DIM] = s$i; //: each i LANES
  }
}
