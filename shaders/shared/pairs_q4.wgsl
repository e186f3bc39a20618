// Two quads of a row in 4-bit integers: word j holds elements 4j .. 4j + 4 in its low nibbles and elements 16 + 4j .. 16 + 4j + 4
// in its high ones. A nibble is masked where it is and multiplied by what it is then worth too much: shifts are dear on processors.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]

const UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn quad(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word) & vec4u(0xfu, 0xf00u, 0xf0000u, 0xf000000u)));
}

// Elements 4j .. 4j + 4 and 16 + 4j .. 16 + 4j + 4 of block `at`, counted over all rows.
fn pair(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  let word = w_values[at * 4u + j];
  return array(quad(word) * (UNIT * scales.x) - scales.y, quad(word >> 4u) * (UNIT * scales.z) - scales.w);
}
