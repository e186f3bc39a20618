// Inputs of a product of a few rows. With RAGGED, the last block of 32 goes beyond the inputs. With NORM, inputs are multiplied by `gain`, and
// sums by the reciprocal of x's root mean square.
//: const NORM RAGGED

fn input(row: u32, k4: u32) -> vec4f {
  return select(vec4f(0.0), x[row * p.k4 + min(k4, p.k4 - 1u)], k4 < p.k4); //: when RAGGED
  return x[row * p.k4 + k4]; //: unless RAGGED
}

fn sum_of(four: vec4f) -> f32 {
  return (four.x + four.y) + (four.z + four.w);
}
//: when NORM

@group(0) @binding(next) var<storage, read> gain: array<vec4f>; // [k4]

// The reciprocal root mean square of k inputs, from the sum of their squares.
fn inverse_rms(square: f32) -> f32 {
  return inverseSqrt(square / f32(p.k4 * 4u) + p.eps);
}
//: end
