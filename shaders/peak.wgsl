// Arithmetic throughput: every thread computes 12 chains of dependent multiply-adds, or of dot products of four 8-bit integers. The chains are
// independent of each other and of memory.
//: const F16 DOT

struct Params {
  threads: u32,
  turns: u32,
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>; // [threads], -1 to 1
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [threads]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  if i >= p.threads {
    return;
  }
  let own = x[i];
//: when DOT
  let w = bitcast<u32>(own);
  var a$c = bitcast<i32>(w) + $c; //: each c 12
  for (var turn = 0u; turn < p.turns; turn++) {
//: each t 4
    a$c += dot4I8Packed(bitcast<u32>(a$c), w); //: each c 12
//: end
  }
  var sum = 0;
  sum += a$c; //: each c 12
  // The masked sum is exact as a float.
  y[i] = f32(sum & 0xffffff);
//: else
//: when F16
  let addend = f16(own);
  var a$c = vec4h(addend + $c); //: each c 3
//: else
  let addend = own;
  var a$c = vec4f(addend + $c); //: each c 3
//: end
  let factor = addend * 0.5;
  for (var turn = 0u; turn < p.turns; turn++) {
//: each t 4
    a$c = a$c * factor + addend; //: each c 3
//: end
  }
  y[i] = f32(dot(a0 + a1 + a2, vec4(1.0)));
//: end
}
