// Two quads of a row in 8-bit integers, made positive by 128, which the scales take off again. A byte is masked where it is and
// multiplied by what it is then worth too much: shifts are dear on processors.
@group(0) @binding(4) var<storage, read> w_values: array<u32>; // [rows, blocks * 8]

const UNIT = vec4f(1.0, 0x1p-8, 0x1p-16, 1.0);

// The last byte is shifted: no sign is set then.
fn quad(signed: u32) -> vec4f {
  let word = signed ^ 0x80808080u;
  return vec4f(vec4i(vec4u(word & 0xffu, word & 0xff00u, word & 0xff0000u, word >> 24u)));
}

// Elements 4j .. 4j + 4 and 16 + 4j .. 16 + 4j + 4 of block `at`, counted over all rows.
fn pair(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  let low = quad(w_values[at * 8u + j]);
  let high = quad(w_values[at * 8u + 4u + j]);
  return array(low * (UNIT * scales.x) - scales.y, high * (UNIT * scales.z) - scales.w);
}
