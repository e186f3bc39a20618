// Rows of x in workgroup memory, STAGED blocks of 32 as 8-bit integers with a common scale, which the largest number of a block determines.
//: const NORM

var<workgroup> staged: array<vec4u, 2 * STAGED>; // elements 0 .. 16 and 16 .. 32 of a block, four to a word
var<workgroup> staged_info: array<vec4f, STAGED>; // of a block: its scale, the sum of its squares, the sums of either half of it

const SMALLEST: u32 = 0x03800000u; // 2^-120: what is smaller has no reciprocal

// The dot product of 16 integers.
fn dots(x: vec4u, w: vec4u) -> i32 {
  return dot4I8Packed(x.x, w.x) + dot4I8Packed(x.y, w.y) + dot4I8Packed(x.z, w.z) + dot4I8Packed(x.w, w.w);
}

// The larger magnitudes as bits, which have the order of the floats, with infinity and then NaN last.
fn peak_of(peak: vec4u, x: vec4f) -> vec4u {
  return max(peak, bitcast<vec4u>(x) & vec4u(0x7fffffffu));
}

fn round_block(at: u32, x: array<vec4f, 8>, square: f32) {
  var peaks = vec4u(0u);
  peaks = peak_of(peaks, x[$j]); //: each j 8
  let peak = max(max(peaks.x, peaks.y), max(peaks.z, peaks.w));
  // 127 / peak as a quotient of integers: quotients of floats differ among devices in the last bit.
  let divisor = max(peak, SMALLEST);
  let quotient = f32((127u << 25u) / ((divisor & 0x007fffffu) | 0x00800000u)); // 254 to 508
  let inverse = bitcast<f32>(bitcast<u32>(quotient) + (125u << 23u) - (divisor & 0x7f800000u));
  // An infinity or NaN makes the whole block infinite or NaN, so that it shows in the result.
  let scale = select(1.0 / inverse, bitcast<f32>(peak), peak >= 0x7f800000u);
  let word$j = pack4xI8(vec4i(round(x[$j] * inverse))); //: each j 8
  let low = vec4u(word0, word1, word2, word3);
  let high = vec4u(word4, word5, word6, word7);
  staged[2u * at] = low;
  staged[2u * at + 1u] = high;
  let kept = select(scale, 0.0, peak < SMALLEST);
  let ones = vec4u(0x01010101u);
  staged_info[at] = vec4f(kept, square, kept * f32(dots(low, ones)), kept * f32(dots(high, ones)));
}

// Rounds a block of a row to staged block `at`.
fn stage_block(at: u32, row: u32, block: u32) {
  let inputs = inputs_of(block);
  var square = 0.0;
//: each j 8
  var x$j = load_of(row, inputs, $ju);
//: when NORM
  square += dot(x$j, x$j);
  x$j *= gain_of(block, $ju);
//: end
//: end
  round_block(at, array(x0, x1, x2, x3, x4, x5, x6, x7), square);
}
