// The products of a block with four rows of Q6_K: d * scale * (q - 32), with an 8-bit scale to 16 elements and d to eight blocks.
@group(0) @binding($SCALES) var<storage, read> w_scales: array<vec2u>; // [rows / 4, blocks], four times two scales, a byte each
@group(0) @binding($SUPERS) var<storage, read> w_supers: array<vec2u>; // [rows / 4, blocks / 8], four times d, an f16 each

fn scaled(group: u32, block: u32, low: vec4f, high: vec4f, total: vec2f) -> vec4f {
  let four = bitcast<vec2i>(w_scales[group * p.blocks + block]);
  let supers = w_supers[group * (p.blocks >> 3u) + (block >> 3u)];
  let d = vec4f(unpack2x16float(supers.x), unpack2x16float(supers.y));
  let low_scale = vec4f((four.xxyy << vec4u(24u, 8u, 24u, 8u)) >> vec4u(24u));
  let high_scale = vec4f((four.xxyy << vec4u(16u, 0u, 16u, 0u)) >> vec4u(24u));
  return d * (low_scale * (low - 32.0 * total.x) + high_scale * (high - 32.0 * total.y));
}

