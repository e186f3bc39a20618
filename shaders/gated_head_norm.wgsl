// x = x / sqrt(mean(x^2) + eps) * weight * silu(gate) over every head, in place. A workgroup has a head of a token.
struct Params {
  heads: u32,
  dim: u32,
  stride: u32, // of a row of gates
  offset: u32, // of its first gate
  eps: f32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>; // [tokens, heads, dim]
@group(0) @binding(2) var<storage, read> gates: array<f32>; // [tokens, stride]
@group(0) @binding(3) var<storage, read> weight: array<f32>; // [dim]

const THREADS: u32 = 64u;

var<workgroup> squares: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let first = (wg.y * p.heads + wg.x) * p.dim;
  let gate = wg.y * p.stride + p.offset + wg.x * p.dim;
  var sum = 0.0;
  for (var i = thread; i < p.dim; i += THREADS) {
    sum += x[first + i] * x[first + i];
  }
  squares[thread] = sum;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if thread < half {
      squares[thread] += squares[thread + half];
    }
  }
  workgroupBarrier();
  let scale = 1.0 / sqrt(squares[0] / f32(p.dim) + p.eps);
  for (var i = thread; i < p.dim; i += THREADS) {
    let z = gates[gate + i];
    x[first + i] = x[first + i] * scale * weight[i] * z / (1.0 + exp(-z));
  }
}
