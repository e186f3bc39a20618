// Rounds to the nearest 16-bit floats, ties to even, because WGSL leaves the direction to the device. Numbers beyond 65504 and infinity become
// 65504; NaN stays NaN. Below 2^-14 the device rounds as it likes, or flushes to zero.
fn round_f16(x: vec4f) -> vec4f {
  let bits = bitcast<vec4u>(x);
  let size = bits & vec4u(0x7fffffffu);
  let nearest = (size + vec4u(0xfffu) + ((size >> vec4u(13u)) & vec4u(1u))) & vec4u(0xffffe000u);
  let normal = min(select(size, nearest, size >= vec4u(0x38800000u)), vec4u(0x477fe000u)); // 2^-14, 65504
  let kept = select(normal, size, size > vec4u(0x7f800000u));
  return bitcast<vec4f>(kept | (bits & vec4u(0x80000000u)));
}
