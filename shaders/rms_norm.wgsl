// y = x / sqrt(mean(x^2) + eps) * weight, or with ADD y += the same, one workgroup a row. With SCALED, the sum is multiplied by a factor. With SUBGROUPS,
// squares are added across subgroups first.
//: use lane_layout
//: const SUBGROUPS THREADS ADD SCALED
//: use $SUBGROUP_FILE //: when SUBGROUPS
//: const NATIVE?=0

struct Params {
  width4: u32,
  eps: f32,
  weight_layout: u32, // see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [rows, width4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [rows, width4]
@group(0) @binding(3) var<storage, read> weight: array<vec4f>; // [width4]
@group(0) @binding(4) var<storage, read> factor: array<f32>; //: when SCALED // [1]

var<workgroup> partial: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32, //: when NATIVE
  @builtin(num_subgroups) subgroups: u32, //: when NATIVE
) {
//: when SUBGROUPS
  let lanes = lanes_of(subgroup, subgroups); //: when NATIVE
  let lanes = lanes_of(thread); //: unless NATIVE
//: end
  let first = wg.x * p.width4;
  var sum = 0.0;
  // Every lane takes the same number of turns.
  for (var turn = 0u; turn < p.width4; turn += THREADS) {
    let v = x[first + min(turn + thread, p.width4 - 1u)];
    sum += select(0.0, dot(v, v), turn + thread < p.width4);
  }
//: when SUBGROUPS
  sum = lane_sum(sum);
  if lanes.index == 0u {
    partial[lanes.subgroup] = sum;
  }
  workgroupBarrier();
  var total = 0.0;
  for (var t = 0u; t < subgroup_count(lanes); t++) {
    total += partial[t];
  }
//: else
  partial[thread] = sum;
  for (var half = THREADS / 2u; half > 0u; half >>= 1u) {
    workgroupBarrier();
    if thread < half {
      partial[thread] += partial[thread + half];
    }
  }
  workgroupBarrier();
  let total = partial[0];
//: end
  let scale = 1.0 / sqrt(total / f32(p.width4 * 4u) + p.eps);
  for (var i = thread; i < p.width4; i += THREADS) {
    y[first + i] = x[first + i] * scale * weight[lane_place(i, p.weight_layout)]; //: unless ADD
    y[first + i] += x[first + i] * scale * weight[lane_place(i, p.weight_layout)]; //: when ADD
    y[first + i] *= factor[0]; //: when SCALED
  }
}
