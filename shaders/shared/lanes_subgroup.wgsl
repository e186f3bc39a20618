// What the lanes of a subgroup make together. Their number is counted, not asked for: a workgroup may not fill its last subgroup,
// and a driver may choose another size than it says.
struct Ids {
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) team: u32,
  @builtin(num_subgroups) teams: u32,
}

struct Lanes {
  index: u32, // of this lane
  count: u32,
  team: u32, // number of the subgroup in the workgroup
  teams: u32,
}

fn lanes_of(ids: Ids) -> Lanes {
  return Lanes(subgroupExclusiveAdd(1u), subgroupAdd(1u), ids.team, ids.teams);
}

fn team_count(lanes: Lanes) -> u32 {
  return lanes.teams;
}

fn lane_sum(x: f32) -> f32 {
  return subgroupAdd(x);
}

fn lane_sum4(x: vec4f) -> vec4f {
  return subgroupAdd(x);
}

fn lane_max4(x: vec4f) -> vec4f {
  return subgroupMax(x);
}
