// Sums and maxima across the lanes of a subgroup. The shader counts its lanes, because a workgroup may not fill its last subgroup and a driver may
// choose another size than it reports.
//: const NATIVE=1

struct Lanes {
  index: u32, // of this lane
  count: u32,
  subgroup: u32, // its number in the workgroup
  subgroups: u32,
}

fn lanes_of(subgroup: u32, subgroups: u32) -> Lanes {
  return Lanes(subgroupExclusiveAdd(1u), subgroupAdd(1u), subgroup, subgroups);
}

fn subgroup_count(lanes: Lanes) -> u32 {
  return lanes.subgroups;
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
