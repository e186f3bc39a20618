// Tests what kernels rely on in subgroups: all lanes of a subgroup have its number, no others have it, it is below the count, and lanes are
// numbered without gaps. Some drivers only emulate the number.
//: const SUBGROUPS THREADS
//: use $SUBGROUP_FILE
//: const NATIVE?=0

struct Params {
  groups: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read_write> y: array<u32>; // [groups, THREADS]: 1 where all is right

var<workgroup> threads_of: array<atomic<u32>, THREADS>; // by number of subgroup
var<workgroup> indices_of: array<atomic<u32>, THREADS>; // sums of the lanes' indices

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32, //: when NATIVE
  @builtin(num_subgroups) subgroups: u32, //: when NATIVE
) {
  let lanes = lanes_of(subgroup, subgroups); //: when NATIVE
  let lanes = lanes_of(thread); //: unless NATIVE
  atomicStore(&threads_of[thread], 0u);
  atomicStore(&indices_of[thread], 0u);
  workgroupBarrier();
  let number = min(lanes.subgroup, THREADS - 1u);
  atomicAdd(&threads_of[number], 1u);
  atomicAdd(&indices_of[number], lanes.index);
  workgroupBarrier();
  let both = vec4f(f32(number), -f32(number), 0.0, 0.0);
  let is_shared = all(lane_max4(both) == both);
  let is_own = atomicLoad(&threads_of[number]) == lanes.count;
  let is_counted = atomicLoad(&indices_of[number]) == lanes.count * (lanes.count - 1u) / 2u;
  let is_right = is_shared && is_own && is_counted && lanes.subgroup < subgroup_count(lanes);
  if wg.x < p.groups {
    y[wg.x * THREADS + thread] = u32(is_right);
  }
}
