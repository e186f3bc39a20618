// Converts four integers below 128, a byte each, to floats. Bytes are masked in place, and the factors UNIT0 and UNIT1 undo their scale, because
// shifts are slow on processors.
const UNIT0 = vec4f(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const UNIT1 = UNIT0;

fn unpack_bytes(bytes: u32) -> vec4f {
  return vec4f(vec4i(vec4u(bytes) & vec4u(0xffu, 0xff00u, 0xff0000u, 0xff000000u)));
}
