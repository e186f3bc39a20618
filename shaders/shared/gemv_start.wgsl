// A few rows of x times rows of weights: what comes before the loop over blocks. A lane takes whole blocks of 32 inputs for SLOTS
// slots; a slot is PARTS groups of four rows of weights, those of which the kernel makes one result. The lanes of a team share the
// inputs of a slot, and M rows of x are seen at a time. LANES lanes are a team and TEAMS teams a workgroup, and their sums meet in
// workgroup memory behind one barrier. With SUBGROUPS, a team is a subgroup of any size, and however many there are, they take
// TEAMS teams' work in turns.
// The kernel says where the groups of a slot are (`group_of`) and what becomes of their sums (`write`). With NORM, x is multiplied
// by `gain` and the sums by the reciprocal of x's root mean square, whose terms meet as the sums do. With RAGGED, the last block
// goes beyond the inputs.
//: when REDUCE
var<workgroup> sums: array<vec4f, M * SLOTS * PARTS * THREADS>;
//: when NORM
var<workgroup> squares: array<f32, M * THREADS>;
//: end
//: end

//: when NORM
@group(0) @binding($GAIN) var<storage, read> gain: array<vec4f>; // [k4]

fn root(square: f32) -> f32 {
  return inverseSqrt(square / f32(p.k4 * 4u) + p.eps);
}

//: end
fn input(row: u32, i: u32) -> vec4f {
//: when RAGGED
  return select(vec4f(0.0), x[row * p.k4 + min(i, p.k4 - 1u)], i < p.k4);
//: end
//: unless RAGGED
  return x[row * p.k4 + i];
//: end
}

fn sum_of(four: vec4f) -> f32 {
  return (four.x + four.y) + (four.z + four.w);
}

@compute @workgroup_size(THREADS)
//: when SUBGROUPS
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, ids: Ids) {
  let lanes = lanes_of(ids);
  let team0 = (wg.y * grid.x + wg.x) * TEAMS;
  for (var turn = 0u; turn < TEAMS; turn += team_count(lanes)) {
  let team = turn + lanes.team;
  // Where there are more subgroups than teams, or teams than slots, some have nothing to do until sums meet.
  let blocks = select(0u, p.blocks, team < TEAMS && (team0 + team) * SLOTS < p.slots);
//: end
//: unless SUBGROUPS
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let team0 = (wg.y * grid.x + wg.x) * TEAMS;
  let team = thread / LANES;
  let lane = thread % LANES;
//: end
//: each s SLOTS
//: each q PARTS
  // Past the last slot, or the last team, there is work nobody looks at, so that all lanes meet where sums do.
  let group$s_$q = group_of(min((team0 + team) * SLOTS + $su, p.slots - 1u), $qu);
//: end
//: end
//: each m M
  let row$m = min(wg.z * M + $mu, p.m - 1u);
  var square$m = 0.0;
//: each s SLOTS
//: each q PARTS
  var acc$m_$s_$q = vec4f(0.0);
//: end
//: end
//: end
