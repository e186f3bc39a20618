// 4-bit quants that select one of 16 signed bytes, four of them to a word of CODES.
//: const TILED
//: use nibble_plane
//: unless TILED

const OFFSET = 0.0;
const UNIT0 = vec4f(1.0);
const UNIT1 = UNIT0;

fn code(quant: u32) -> i32 {
  return bitcast<i32>(CODES[quant >> 2u] << (24u - 8u * (quant & 3u))) >> 24u;
}

fn codes(nibbles: u32) -> vec4f {
  let quants = (vec4u(nibbles) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(15u);
  return vec4f(vec4i(code(quants.x), code(quants.y), code(quants.z), code(quants.w)));
}

fn quants0(bits: u32) -> vec4f {
  return codes(nibbles0(bits));
}

fn quants1(bits: u32) -> vec4f {
  return codes(nibbles1(bits));
}
//: else

// 128 is added to make the integers positive.
const OFFSET = 128.0;
//: end

// The signed bytes of four nibbles.
fn packed_codes(nibbles: u32) -> u32 {
  let words = (vec4u(nibbles) >> vec4u(2u, 10u, 18u, 26u)) & vec4u(3u);
  let shifts = ((vec4u(nibbles) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(3u)) << vec4u(3u);
  let bytes$c = ((CODES[words[$c]] >> shifts[$c]) & 0xffu) << (8u * $cu); //: each c 4
  return bytes0 | bytes1 | bytes2 | bytes3;
}
//: when TILED

fn bytes_of(group: u32, j: u32, is_high: u32) -> vec4u {
  let nibbles = nibbles_of(group, j, is_high);
  let codes = vec4u(packed_codes(nibbles.x), packed_codes(nibbles.y), packed_codes(nibbles.z), packed_codes(nibbles.w));
  return codes ^ vec4u(0x80808080u);
}
//: else

fn bytes0(bits: u32) -> u32 {
  return packed_codes(nibbles0(bits));
}

fn bytes1(bits: u32) -> u32 {
  return packed_codes(nibbles1(bits));
}
//: end
