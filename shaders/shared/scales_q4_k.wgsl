// Scales of Q4_K and Q5_K: d * scale * q - dmin * min, with a 6-bit scale and minimum to a block and d and dmin to eight.
@group(0) @binding($SCALES) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times scale and minimum, a byte each
@group(0) @binding($SUPERS) var<storage, read> w_supers: array<vec4u>; // [rows / 4, blocks / 8], four times d and dmin, an f16 each

// Of one row, from its two bytes: scale and what comes off afterwards, of its low quads and of its high ones.
fn scale_and_least(pair: u32, supers: u32) -> vec4f {
  return (unpack2x16float(supers) * vec2f(vec2i(vec2u(pair & 255u, (pair >> 8u) & 255u)))).xyxy;
}

// A column for each of four rows.
fn scales(group: u32, block: u32) -> mat4x4f {
  let four = w_scales[group * p.blocks + block];
  let supers = w_supers[group * (p.blocks >> 3u) + (block >> 3u)];
  return mat4x4f(
    scale_and_least(four.x, supers.x),
    scale_and_least(four.x >> 16u, supers.y),
    scale_and_least(four.y, supers.z),
    scale_and_least(four.y >> 16u, supers.w),
  );
}
