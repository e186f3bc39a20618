// Peaks and totals of a workgroup's rows, in fours: across the lanes of subgroups, then across subgroups through workgroup memory.
var<workgroup> of_teams: array<vec4f, FOURS * THREADS>; // [subgroups, FOURS], of which there may be as many as threads

fn tell_peak(four: u32, peaks: vec4f, lanes: Lanes) {
  let highest = lane_max4(peaks);
  if lanes.index == 0u {
    of_teams[lanes.team * FOURS + four] = highest;
  }
}

fn tell_total(four: u32, totals: vec4f, lanes: Lanes) {
  let sum = lane_sum4(totals);
  if lanes.index == 0u {
    of_teams[lanes.team * FOURS + four] = sum;
  }
}

fn meet_for_peaks(lanes: Lanes) {
  workgroupBarrier();
}

fn meet_for_totals(lanes: Lanes) {
  workgroupBarrier();
}

fn peak_of(four: u32, lanes: Lanes) -> vec4f {
  var peaks = of_teams[four];
  for (var t = 1u; t < team_count(lanes); t++) {
    peaks = max(peaks, of_teams[t * FOURS + four]);
  }
  return peaks;
}

fn total_of(row: u32, lanes: Lanes) -> f32 {
  var total = 0.0;
  for (var t = 0u; t < team_count(lanes); t++) {
    total += of_teams[t * FOURS + row / 4u][row % 4u];
  }
  return total;
}
