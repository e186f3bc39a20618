// Adds learned positions to patches: a square table is stretched over the picture, corner to corner, with linear interpolation between four of its
// rows. Patches come in squares of `merge` x `merge`, row by row of squares.
struct Params {
  patches: u32, // to add to
  first: u32, // patch to begin with
  rows: u32, // of patches in the picture
  columns: u32,
  merge: u32,
  side: u32, // of the table
  width4: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> table: array<vec4f>; // [side, side, width4]
@group(0) @binding(2) var<storage, read_write> x: array<vec4f>; // [patches, width4]

// Interpolation of place i of n on an axis: lower row of the table, upper row, weight of the upper one.
fn between(i: u32, n: u32) -> vec3f {
  let at = f32(i) * f32(p.side - 1u) / f32(max(n, 2u) - 1u);
  let low = min(floor(at), f32(p.side - 1u));
  return vec3f(low, min(low + 1.0, f32(p.side - 1u)), at - low);
}

fn entry(row: f32, column: f32, k4: u32) -> vec4f {
  return table[(u32(row) * p.side + u32(column)) * p.width4 + k4];
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.patches * p.width4 {
    return;
  }
  let index = p.first + i / p.width4;
  let k4 = i % p.width4;
  let square = index / (p.merge * p.merge);
  let inside = index % (p.merge * p.merge);
  let squares = p.columns / p.merge;
  let r = between(square / squares * p.merge + inside / p.merge, p.rows);
  let c = between(square % squares * p.merge + inside % p.merge, p.columns);
  let upper = entry(r.x, c.x, k4) * (1.0 - c.z) + entry(r.x, c.y, k4) * c.z;
  let lower = entry(r.y, c.x, k4) * (1.0 - c.z) + entry(r.y, c.y, k4) * c.z;
  x[i] += upper * (1.0 - r.z) + lower * r.z;
}
