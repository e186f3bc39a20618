// Scales of Q6_K: d * scale * (q - 32), with an 8-bit scale to 16 elements and d to eight blocks.
@group(0) @binding(6) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times two scales, a byte each
@group(0) @binding(7) var<storage, read> w_supers: array<vec2u>; // [rows / 4, blocks / 8], four times d, an f16 each

// A column for each of four rows: scale and what comes off afterwards, of its low quads and of its high ones.
fn scales(group: u32, block: u32) -> mat4x4f {
  let four = bitcast<vec2i>(w_scales[group * p.blocks + block]).xxyy;
  let supers = w_supers[group * (p.blocks >> 3u) + (block >> 3u)];
  let d = vec4f(unpack2x16float(supers.x), unpack2x16float(supers.y));
  let low = d * vec4f((four << vec4u(24u, 8u, 24u, 8u)) >> vec4u(24u));
  let high = d * vec4f((four << vec4u(16u, 0u, 16u, 0u)) >> vec4u(24u));
  return transpose(mat4x4f(low, 32.0 * low, high, 32.0 * high));
}
