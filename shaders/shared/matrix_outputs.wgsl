// Outputs of a matrix product; uses p.n, p.y_stride, p.y_offset, p.flags and p.first_row of the kernel.
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [m, y_stride], columns y_offset .. y_offset + n
@group(0) @binding(3) var<storage, read> bias: array<f32>; // [first_row + n ..]

// Stores the products of columns `col0` to `col0 + 3` at y[first] to y[first + 3].
fn store(first: u32, col0: u32, products: vec4f) {
  for (var i = 0u; i < 4u; i++) {
    let col = col0 + i;
    if col < p.n {
      let at = first + i;
      var value = products[i];
      if (p.flags & 1u) != 0u {
        value += bias[p.first_row + col];
      }
      if (p.flags & 2u) != 0u {
        value += y[at];
      }
      y[at] = value;
    }
  }
}
