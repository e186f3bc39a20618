// Subgroups of EMULATED lanes that meet in workgroup memory: what kernels make of subgroups, at any width on any device.
const EMULATED: u32 = $EMULATEDu;

struct Ids {
  @builtin(local_invocation_index) thread: u32,
}

struct Lanes {
  index: u32, // of this lane
  count: u32,
  team: u32, // number of the subgroup in the workgroup
}

var<workgroup> of_lanes_of: array<vec4f, THREADS>;
var<private> this_thread: u32;

fn lanes_of(ids: Ids) -> Lanes {
  this_thread = ids.thread;
  let team = ids.thread / EMULATED;
  let count = min(EMULATED, THREADS - team * EMULATED);
  return Lanes(ids.thread % EMULATED, count, team);
}

fn team_count(lanes: Lanes) -> u32 {
  return (THREADS + EMULATED - 1u) / EMULATED;
}

fn lane_sum4(x: vec4f) -> vec4f {
  workgroupBarrier();
  of_lanes_of[this_thread] = x;
  workgroupBarrier();
  var sum = vec4f(0.0);
  let first = this_thread / EMULATED * EMULATED;
  for (var thread = first; thread < min(first + EMULATED, THREADS); thread++) {
    sum += of_lanes_of[thread];
  }
  return sum;
}

fn lane_sum(x: f32) -> f32 {
  return lane_sum4(vec4f(x)).x;
}

fn lane_max4(x: vec4f) -> vec4f {
  workgroupBarrier();
  of_lanes_of[this_thread] = x;
  workgroupBarrier();
  var largest = x;
  let first = this_thread / EMULATED * EMULATED;
  for (var thread = first; thread < min(first + EMULATED, THREADS); thread++) {
    largest = max(largest, of_lanes_of[thread]);
  }
  return largest;
}
