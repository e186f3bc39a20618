// Inputs of a product of a few rows. With RAGGED, the last block of 32 extends past the row. With NORM, inputs are multiplied by `gain`, and sums
// by the reciprocal root mean square of x. A block is eight loads of four inputs; X_LAYOUT and GAIN_LAYOUT are arguments of `lane_place`.
//: use lane_layout
//: const NORM RAGGED X_LAYOUT

// Offset of the first load of a block in a row.
fn inputs_of(block: u32) -> u32 {
  return lane_place(block * 8u, X_LAYOUT);
}

// Load `j` of the block whose first load is at `first`.
fn load_of(row: u32, first: u32, j: u32) -> vec4f {
  let k4 = first + (j << X_LAYOUT);
  return select(vec4f(0.0), x[row * p.k4 + min(k4, p.k4 - 1u)], k4 < p.k4); //: when RAGGED
  return x[row * p.k4 + k4]; //: unless RAGGED
}

fn sum_of(four: vec4f) -> f32 {
  return (four.x + four.y) + (four.z + four.w);
}
//: when NORM

//: const GAIN_LAYOUT
@group(0) @binding(next) var<storage, read> gain: array<vec4f>; // [k4]

// Norm weights of load `j` of a block.
fn gain_of(block: u32, j: u32) -> vec4f {
  let k4 = lane_place(block * 8u, GAIN_LAYOUT) + (j << GAIN_LAYOUT);
  return gain[min(k4, p.k4 - 1u)]; //: when RAGGED
  return gain[k4]; //: unless RAGGED
}

// The reciprocal root mean square of the inputs, from the sum of their squares.
fn inverse_rms(square: f32) -> f32 {
  return inverseSqrt(square / f32(p.k4 * 4u) + p.eps);
}
//: end
