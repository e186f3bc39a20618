// Maxima of scores and sums of weights over a workgroup's rows, four rows at a time: across the lanes of subgroups, then across subgroups through
// workgroup memory.
//: const ROWS4 THREADS
//: use $SUBGROUP_FILE

var<workgroup> subgroup_values: array<vec4f, ROWS4 * THREADS>; // [subgroups, ROWS4], of which there may be as many as threads

fn share_peak(four: u32, peaks: vec4f, lanes: Lanes) {
  let highest = lane_max4(peaks);
  if lanes.index == 0u {
    subgroup_values[lanes.subgroup * ROWS4 + four] = highest;
  }
}

fn share_total(four: u32, totals: vec4f, lanes: Lanes) {
  let sum = lane_sum4(totals);
  if lanes.index == 0u {
    subgroup_values[lanes.subgroup * ROWS4 + four] = sum;
  }
}

fn wait_for_peaks(lanes: Lanes) {
  workgroupBarrier();
}

fn wait_for_totals(lanes: Lanes) {
  workgroupBarrier();
}

fn peak_of(four: u32, lanes: Lanes) -> vec4f {
  var peaks = subgroup_values[four];
  for (var t = 1u; t < subgroup_count(lanes); t++) {
    peaks = max(peaks, subgroup_values[t * ROWS4 + four]);
  }
  return peaks;
}

fn total_of(row: u32, lanes: Lanes) -> f32 {
  var total = 0.0;
  for (var t = 0u; t < subgroup_count(lanes); t++) {
    total += subgroup_values[t * ROWS4 + row / 4u][row % 4u];
  }
  return total;
}
