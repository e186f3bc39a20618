// Two quads of a row of a Q5_K matrix: nibbles as in Q4_0, and bit j of byte i of a block's top is the fifth of element 4j + i.
// A byte is masked where it is and multiplied by what it is then worth too much.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 4]
@group(0) @binding(5) var<storage, read> w_tops: array<u32>; // [rows, blocks]

const UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn quad(nibbles: u32, top: u32) -> vec4f {
  let word = (nibbles & 0x0f0f0f0fu) | ((top & 0x01010101u) << 4u);
  return vec4f(vec4i(vec4u(word) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}

// Elements 4j .. 4j + 4 and 16 + 4j .. 16 + 4j + 4 of block `at`, counted over all rows.
fn pair(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  let word = w_values[at * 4u + j];
  let top = w_tops[at] >> j;
  return array(quad(word, top) * (UNIT * scales.x) - scales.y, quad(word >> 4u, top >> 4u) * (UNIT * scales.z) - scales.w);
}
