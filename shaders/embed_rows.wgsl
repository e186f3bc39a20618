// Gathers the rows that start a forward pass: embeddings of tokens, or features of pictures. A launch binds PARTS parts of the embedding, of
// `part_rows` rows each. An embedding with more parts takes several launches, each of which gathers the rows of its own parts.
//: use lane_layout
//: const PARTS MULTIPLIED
//: use dequant as part$i //: each i PARTS

struct Params {
  tokens: u32,
  width4: u32, // hidden / 4
  blocks: u32,
  first_row: u32, // of the embedding's rows that are bound
  rows: u32,
  with_features: u32, // 0: leave rows of features alone
  part_rows: u32, // of every part but the last
  lane_layout: u32, // of a row of out, see `lane_place`
  scale: f32, //: when MULTIPLIED // of rows of the embedding, not of features
}

const FEATURE: u32 = 0x80000000u; // set where the rest is a row of `features`

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> sources: array<u32>; // [tokens]
@group(0) @binding(2) var<storage, read> features: array<vec4f>; // [rows, width4]
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>; // [tokens, width4]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.tokens * p.width4 {
    return;
  }
  let source = sources[i / p.width4];
  let k4 = i % p.width4;
  let to = lane_place(i, p.lane_layout);
  if (source & FEATURE) != 0u {
    if p.with_features == 1u {
      out[to] = features[(source & ~FEATURE) * p.width4 + k4];
    }
  } else if source - p.first_row < p.rows {
    // For a row before `first_row` the difference wraps around to a large number.
    let row = source - p.first_row;
    switch row / p.part_rows {
//: each i PARTS
      case $iu: {
        out[to] = part$i_dequant4(row - $iu * p.part_rows, k4); //: unless MULTIPLIED
        out[to] = p.scale * part$i_dequant4(row - $iu * p.part_rows, k4); //: when MULTIPLIED
      }
//: end
      default: {}
    }
  }
}
