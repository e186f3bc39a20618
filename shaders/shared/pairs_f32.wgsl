// Two quads of a row in 32-bit floats.
@group(0) @binding(4) var<storage, read> w_values: array<vec4f>; // [rows, blocks * 8]

fn scales(group: u32, block: u32) -> mat4x4f {
  return mat4x4f();
}

// Elements 4j .. 4j + 4 and 16 + 4j .. 16 + 4j + 4 of block `at`, counted over all rows.
fn pair(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  return array(w_values[at * 8u + j], w_values[at * 8u + 4u + j]);
}
