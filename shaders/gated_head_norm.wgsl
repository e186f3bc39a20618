// x = x / sqrt(mean(x^2) + eps) * weight * silu(gate) over every head, in place. A workgroup computes a head of a token. One more row of
// workgroups, after those of all tokens, saves the last inputs of the convolution before this kernel, once nothing reads the former ones any more.
//: use lane_layout

struct Params {
  tokens: u32,
  heads: u32,
  dim: u32,
  channels: u32,
  stride: u32, // of a row
  offset: u32, // of its first gate
  first: u32, // row of workgroups that the launch begins with
  eps: f32,
  lane_layout: u32, // of a head of x afterwards, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [tokens, heads, dim]
@group(0) @binding(2) var<storage, read> rows: array<f32>; // [tokens, stride]: inputs of the convolution's channels; gates
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [dim]
@group(0) @binding(4) var<storage, read_write> seen: array<f32>; // [3, channels]: the last tokens' inputs, the oldest first

const THREADS: u32 = 64u;

const MAX_DIM: u32 = 256u;

var<workgroup> squares: array<f32, THREADS>;
// A head of x, which the threads overwrite in another order.
var<workgroup> values: array<f32, MAX_DIM>;

// Input of a channel at token t - 3 of the rows.
fn input(t: u32, c: u32) -> f32 {
  if t < 3u {
    return seen[t * p.channels + c];
  }
  return rows[(t - 3u) * p.stride + c];
}

fn keep_seen(first: u32) {
  for (var c = first; c < p.channels; c += p.heads * THREADS) {
    let last = vec3f(input(p.tokens, c), input(p.tokens + 1u, c), input(p.tokens + 2u, c));
    seen[c] = last.x;
    seen[p.channels + c] = last.y;
    seen[2u * p.channels + c] = last.z;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let t = p.first + wg.y;
  if t == p.tokens {
    keep_seen(wg.x * THREADS + thread);
    return;
  }
  let first = (t * p.heads + wg.x) * p.dim;
  let gate = t * p.stride + p.offset + wg.x * p.dim;
  var sum = 0.0;
  for (var i = thread; i < p.dim; i += THREADS) {
    values[i] = x[first + i];
    sum += values[i] * values[i];
  }
  squares[thread] = sum;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if thread < half {
      squares[thread] += squares[thread + half];
    }
  }
  // Other threads have read the numbers that this one overwrites.
  storageBarrier();
  workgroupBarrier();
  let scale = 1.0 / sqrt(squares[0] / f32(p.dim) + p.eps);
  for (var i = thread; i < p.dim; i += THREADS) {
    let z = rows[gate + i];
    x[first + 4u * lane_place(i / 4u, p.lane_layout) + i % 4u] = values[i] * scale * weight[i] * z / (1.0 + exp(min(-z, 80.0)));
  }
}
