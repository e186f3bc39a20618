// A cache of keys and values in 8-bit integers: x = scale * quant, with scale = max|x| / 127 over a head's keys or values, as a 16-bit float. The
// scale is at least 2^-14, the smallest that no device flushes to zero, and at most 65504: numbers beyond 127 * 65504 are clamped. A NaN makes the
// scale NaN, so that a fault shows in the answer.
//: const LOADS
//: use round_f16

@group(0) @binding(next) var<storage, read_write> k_cache: array<u32>; // [capacity, kv_heads, HEAD_DIM4], four quants each
@group(0) @binding(next) var<storage, read_write> v_cache: array<u32>; // [capacity, kv_heads, HEAD_DIM4]
@group(0) @binding(next) var<storage, read_write> scales: array<u32>; // [pages, kv_heads, PAGE], f16 of the keys | f16 of the values

const SMALLEST: f32 = 0.00006103515625; // 2^-14
const LARGEST: u32 = 0x4afde040u; // bits of 127 * 65504

// Bits of the largest magnitudes: compared as integers they have the order of the floats, with infinity and then NaN last.
var<workgroup> k_peak: atomic<u32>;
var<workgroup> v_peak: atomic<u32>;

fn peak(x: vec4f) -> u32 {
  let size = bitcast<vec4u>(x) & vec4u(0x7fffffffu);
  return max(max(size.x, size.y), max(size.z, size.w));
}

fn scale_of(peak: u32) -> f32 {
  let scale = max(bitcast<f32>(min(peak, LARGEST)) * (1.0 / 127.0), SMALLEST);
  return select(scale, bitcast<f32>(peak), peak > 0x7f800000u);
}

fn quants(x: vec4f, scale: f32) -> u32 {
  let nearest = vec4i(round(clamp(x / scale, vec4f(-127.0), vec4f(127.0))));
  let bytes = bitcast<vec4u>(nearest) & vec4u(255u);
  return bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}

// Stores a head of a cache row: lane `lane` has every 64th of its vectors from that index on, zeros past the head's width. All lanes of the workgroup
// call this.
fn store_head(row: u32, kv_head: u32, kv_heads: u32, lane: u32, k: array<vec4f, LOADS>, v: array<vec4f, LOADS>) {
  if lane == 0u {
    atomicStore(&k_peak, 0u);
    atomicStore(&v_peak, 0u);
  }
  workgroupBarrier();
//: each n LOADS
  atomicMax(&k_peak, peak(k[$n]));
  atomicMax(&v_peak, peak(v[$n]));
//: end
  workgroupBarrier();
  let scale = round_f16(vec4f(scale_of(atomicLoad(&k_peak)), scale_of(atomicLoad(&v_peak)), 0.0, 0.0));
//: each n LOADS
  if lane + $nu * 64u < HEAD_DIM4 {
    let at = (row * kv_heads + kv_head) * HEAD_DIM4 + lane + $nu * 64u;
    k_cache[at] = quants(k[$n], scale.x);
    v_cache[at] = quants(v[$n], scale.y);
  }
//: end
  if lane == 0u {
    scales[(row / PAGE * kv_heads + kv_head) * PAGE + row % PAGE] = pack2x16float(scale.xy);
  }
}
