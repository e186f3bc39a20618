// Normalises a picture and lays every patch out as a row, channel by channel, so that the patch convolution is a matmul.
struct Params {
  patches: u32, // to make
  columns: u32, // patches in a row of the picture
  side: u32, // side of a patch
  width: u32, // of the picture
  scale: vec4f, // per channel: 1 / (255 * std)
  shift: vec4f, // per channel: -mean / std
  first: u32, // patch to begin with
  merge: u32, // side of the squares of patches that come one after another
}

@group(0) @binding(0) var<uniform> p: Params;
@group(0) @binding(1) var<storage, read> pixels: array<u32>; // [height, width], RGBX in bytes
@group(0) @binding(2) var<storage, read_write> rows: array<f32>; // [patches, 3 * patch * patch]

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) groups: vec3u, @builtin(local_invocation_index) lane: u32) {
  let i = (wg.y * groups.x + wg.x) * 64u + lane;
  let area = p.side * p.side;
  if i >= p.patches * area * 3u {
    return;
  }
  let index = p.first + i / (3u * area);
  let channel = i / area % 3u;
  let square = index / (p.merge * p.merge);
  let inside = index % (p.merge * p.merge);
  let squares = p.columns / p.merge;
  let y = (square / squares * p.merge + inside / p.merge) * p.side + i % area / p.side;
  let x = (square % squares * p.merge + inside % p.merge) * p.side + i % p.side;
  let level = (pixels[y * p.width + x] >> (8u * channel)) & 255u;
  rows[i] = f32(level) * p.scale[channel] + p.shift[channel];
}
