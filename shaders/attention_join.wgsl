// Joins the partial results of a split `attention_step`, each weighted by its share of the sum of exponentials. With GATED, results are multiplied
// by the sigmoid of their gates.
//: const HEAD_DIM4 GATED AT_ONCE=4
//: use lane_layout
//: use gates //: when GATED

struct Params {
  rows: u32, // (token, query head)
  splits: u32,
  heads: u32, // of queries
  q_stride4: u32,
  gate_offset4: u32,
  lane_layout: u32, // of a token's results, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> partials: array<vec4f>; // [splits, rows, HEAD_DIM4 + 1], last (peak, total, 0, 0)
@group(0) @binding(2) var<storage, read_write> out: array<vec4f>; // [rows, HEAD_DIM4]
@group(0) @binding(3) var<storage, read> q: array<vec4f>; //: when GATED // [rows / heads, q_stride4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.rows * HEAD_DIM4 {
    return;
  }
  let row = i / HEAD_DIM4 * (HEAD_DIM4 + 1u);
  let split = p.rows * (HEAD_DIM4 + 1u);
  let last = p.splits - 1u;
  var peak = -1e30;
  // Loads of several splits at a time wait for memory once. The last split is repeated where fewer are left, with weight 0.
  for (var s = 0u; s < p.splits; s += AT_ONCE) {
    let peak$n = partials[min(s + $nu, last) * split + row + HEAD_DIM4].x; //: each n AT_ONCE
    peak = max(peak, peak$n); //: each n AT_ONCE
  }
  var total = 0.0;
  var sum = vec4f(0.0);
  for (var s = 0u; s < p.splits; s += AT_ONCE) {
    let share$n = partials[min(s + $nu, last) * split + row + HEAD_DIM4].xy; //: each n AT_ONCE
    let part$n = partials[min(s + $nu, last) * split + row + i % HEAD_DIM4]; //: each n AT_ONCE
//: each n AT_ONCE
    let weight$n = select(0.0, exp(share$n.x - peak), s + $nu <= last);
    total += weight$n * share$n.y;
    sum += weight$n * part$n;
//: end
  }
  sum /= total;
//: when GATED
  let width = p.heads * HEAD_DIM4;
  sum = gated(sum, i / width, i % width);
//: end
  out[lane_place(i, p.lane_layout)] = sum;
}
