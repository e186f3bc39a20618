// sum + w * x, w by rows. Each product is added to the sum before it: one instruction where a device fuses them.
fn multiply_add(sum: vec4f, x: vec4f, w: mat4x4f) -> vec4f {
  let columns = transpose(w);
  return sum + x.x * columns[0] + x.y * columns[1] + x.z * columns[2] + x.w * columns[3];
}
