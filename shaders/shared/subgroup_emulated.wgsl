// Subgroups of EMULATED lanes, emulated in workgroup memory, so that any subgroup size can be tested on any device.
//: const EMULATED THREADS

struct Lanes {
  index: u32, // of this lane
  count: u32,
  subgroup: u32, // its number in the workgroup
}

var<workgroup> lane_values: array<vec4f, THREADS>;
var<private> this_thread: u32;

fn lanes_of(thread: u32) -> Lanes {
  this_thread = thread;
  let subgroup = thread / EMULATED;
  let count = min(EMULATED, THREADS - subgroup * EMULATED);
  return Lanes(thread % EMULATED, count, subgroup);
}

fn subgroup_count(lanes: Lanes) -> u32 {
  return (THREADS + EMULATED - 1u) / EMULATED;
}

fn lane_sum4(x: vec4f) -> vec4f {
  workgroupBarrier();
  lane_values[this_thread] = x;
  workgroupBarrier();
  var sum = vec4f(0.0);
  let first = this_thread / EMULATED * EMULATED;
  for (var thread = first; thread < min(first + EMULATED, THREADS); thread++) {
    sum += lane_values[thread];
  }
  return sum;
}

fn lane_sum(x: f32) -> f32 {
  return lane_sum4(vec4f(x)).x;
}

fn lane_max4(x: vec4f) -> vec4f {
  workgroupBarrier();
  lane_values[this_thread] = x;
  workgroupBarrier();
  var largest = x;
  let first = this_thread / EMULATED * EMULATED;
  for (var thread = first; thread < min(first + EMULATED, THREADS); thread++) {
    largest = max(largest, lane_values[thread]);
  }
  return largest;
}
