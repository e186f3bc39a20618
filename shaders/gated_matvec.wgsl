// y = act(x * gate^T) * (x * up^T) for a few rows of x, normed first with NORM. An output tile is four rows of the gate and the same rows of up.
//: const FUSED_OUTPUTS=2
//: use activations $GEMV

struct Params {
  m: u32,
  k4: u32, // inputs / 4
  blocks: u32,
  tiles: u32, // groups of four outputs
  eps: f32,
  activation: u32,
  y_layout: u32, // of a row of y, see `lane_place`
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [m, tiles]

fn group_of(tile: u32, output: u32) -> u32 {
  return tile + output * p.tiles;
}

fn write(row: u32, tile: u32, out: array<vec4f, FUSED_OUTPUTS>) {
  let gate = out[0];
  let act = vec4f(
    activate(p.activation, gate.x),
    activate(p.activation, gate.y),
    activate(p.activation, gate.z),
    activate(p.activation, gate.w),
  );
  y[lane_place(row * p.tiles + tile, p.y_layout)] = act * out[1];
}
