// y = act(x * gate^T) * (x * up^T) for a few rows of x, normed first if asked. A slot is four rows of the gate and the same of up.
struct Params {
  m: u32,
  k4: u32, // inputs / 4
  blocks: u32,
  slots: u32, // groups of four outputs
  eps: f32,
  activation: u32,
  padding0: u32,
  padding1: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [m, k4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [m, slots]

fn group_of(slot: u32, part: u32) -> u32 {
  return slot + part * p.slots;
}

fn write(row: u32, slot: u32, out: array<vec4f, PARTS>) {
  let gate = out[0];
  let act = vec4f(
    activate(p.activation, gate.x),
    activate(p.activation, gate.y),
    activate(p.activation, gate.z),
    activate(p.activation, gate.w),
  );
  y[row * p.slots + slot] = act * out[1];
}

