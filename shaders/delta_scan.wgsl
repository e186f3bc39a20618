// The gated delta rule, token by token: S = e^g S, d = beta (v - S^T k), S += k d^T, o = S^T q. Queries and keys are normed to length 1 first. A
// workgroup has COLUMNS columns of a head's S, a thread a quarter of a column in registers; columns need nothing of one another. What is
// summed over the keys' lanes is of the state before, and joined once a token: S^T q, S^T k, and the products of q and k.
//: const DIM

struct Params {
  tokens: u32,
  heads: u32, // value heads
  key_heads: u32,
  tiled: u32, // 1: value head i has key head i % key_heads; 0: neighbours share one
  stride: u32, // of a row of gates
  offset: u32, // of its first gate
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> y: array<f32>; // [tokens, q | k | v], heads of DIM
@group(0) @binding(2) var<storage, read> gates: array<f32>; // [tokens, stride]: b of every head, a of every head
@group(0) @binding(3) var<storage, read> rate: array<f32>; // [heads]
@group(0) @binding(4) var<storage, read> dt: array<f32>; // [heads]
@group(0) @binding(5) var<storage, read_write> state: array<f32>; // [heads, DIM, DIM]: a key's lane, then a value's
@group(0) @binding(6) var<storage, read_write> o: array<f32>; // [tokens, heads, DIM]

const COLUMNS: u32 = 32u;
const PARTS: u32 = 4u;
const LANES: u32 = DIM / PARTS;
const EPS: f32 = 1e-6;

var<workgroup> qk: array<vec2f, 2u * DIM>; // of this token and of the next
var<workgroup> of_state: array<vec2f, PARTS * COLUMNS>; // S^T q, S^T k
var<workgroup> of_keys: array<vec3f, PARTS>; // q q, k k, q k

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let head = wg.x;
  let column = thread % COLUMNS;
  let part = thread / COLUMNS;
  let key_head = select(head / (p.heads / p.key_heads), head % p.key_heads, p.tiled == 1u);
  let width = (2u * p.key_heads + p.heads) * DIM;
  let lane = wg.y * COLUMNS + column; // of the values
  let first = (head * DIM + part * LANES) * DIM + lane;
  var s: array<f32, LANES>;
  for (var i = 0u; i < LANES; i++) {
    s[i] = state[first + i * DIM];
  }
  for (var t = 0u; t < p.tokens; t++) {
    let here = (t % 2u) * DIM;
    for (var i = thread; i < DIM; i += COLUMNS * PARTS) {
      let at = t * width + key_head * DIM + i;
      qk[here + i] = vec2f(y[at], y[at + p.key_heads * DIM]);
    }
    workgroupBarrier();
    var products = vec3f(0.0);
    var sums = vec2f(0.0);
    for (var i = 0u; i < LANES; i++) {
      let both = qk[here + part * LANES + i];
      products += both.xyx * both.xyy;
      sums += s[i] * both;
    }
    of_state[thread] = sums;
    if column == 0u {
      of_keys[part] = products;
    }
    workgroupBarrier();
    sums = of_state[column] + of_state[COLUMNS + column] + of_state[2u * COLUMNS + column] + of_state[3u * COLUMNS + column];
    products = of_keys[0] + of_keys[1] + of_keys[2] + of_keys[3];
    let q_scale = 1.0 / sqrt(products.x + EPS) / sqrt(f32(DIM));
    let k_scale = 1.0 / sqrt(products.y + EPS);
    let gate = t * p.stride + p.offset + head;
    let b = gates[gate];
    let a = gates[gate + p.heads] + dt[head];
    let decay = exp(rate[head] * select(log(1.0 + exp(a)), a, a > 20.0));
    let v = y[t * width + (2u * p.key_heads + head) * DIM + lane];
    let d = (v - decay * k_scale * sums.y) / (1.0 + exp(-b));
    for (var i = 0u; i < LANES; i++) {
      s[i] = decay * s[i] + k_scale * d * qk[here + part * LANES + i].y;
    }
    if part == 0u {
      o[(t * p.heads + head) * DIM + lane] = q_scale * (decay * sums.x + k_scale * products.z * d);
    }
  }
  for (var i = 0u; i < LANES; i++) {
    state[first + i * DIM] = s[i];
  }
}
