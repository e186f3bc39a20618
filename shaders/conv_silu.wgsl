// A short causal convolution of every channel over the tokens, then silu. A thread has a channel, and with it the last tokens that it saw.
struct Params {
  tokens: u32,
  channels: u32,
  stride: u32, // of a row of x
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [tokens, stride]
@group(0) @binding(2) var<storage, read_write> state: array<f32>; // [3, channels]: the last tokens' inputs, the oldest first
@group(0) @binding(3) var<storage, read> weight: array<vec4f>; // [channels], the newest token's last
@group(0) @binding(4) var<storage, read_write> y: array<f32>; // [tokens, channels]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let c = id.x;
  if c >= p.channels {
    return;
  }
  let w = weight[c];
  var seen = vec4f(0.0, state[c], state[p.channels + c], state[2u * p.channels + c]);
  for (var t = 0u; t < p.tokens; t++) {
    seen = vec4f(seen.yzw, x[t * p.stride + c]);
    let sum = dot(seen, w);
    y[t * p.channels + c] = sum / (1.0 + exp(-sum));
  }
  state[c] = seen.y;
  state[p.channels + c] = seen.z;
  state[2u * p.channels + c] = seen.w;
}
