// What `matmul` does, in 16-bit floats: a workgroup rounds its ROWS rows of x, K_TILE blocks of 32 at a time, and its threads multiply
// those by their columns' weights. A block is divided by a power of two first, so that nothing is too large or too small. Eight
// products are added in 16 bits, everything else in 32.
//: const THREADS ROWS GROUPS K_TILE INPUTS=4
//: use linear dequant

const STAGED = ROWS * K_TILE;

var<workgroup> staged: array<vec4h, STAGED * 8>;
var<workgroup> units: array<f32, STAGED>; // what a block was divided by

// Rounds a block of a row, and keeps it as staged block `at`.
fn stage_block(at: u32, row: u32, block: u32) {
  var peaks = vec4u(0u);
//: each j 8
  let x$j = input(row, block * 8u + $ju);
  peaks = max(peaks, bitcast<vec4u>(x$j) & vec4u(0x7f800000u));
//: end
  // The exponents of the largest number and of its reciprocal: both are those of numbers.
  let exponent = clamp(max(max(peaks.x, peaks.y), max(peaks.z, peaks.w)), 0x00800000u, 0x7e800000u);
  let inverse = bitcast<f32>(0x7f000000u - exponent);
  staged[at * 8u + $ju] = vec4h(x$j * inverse); //: each j 8
  units[at] = bitcast<f32>(exponent);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = wg.x * ROWS;
  let first_group = wg.y * THREADS * GROUPS + thread;
  let last_group = (p.n + 3u) / 4u - 1u;
//: each g GROUPS
  let group$g = min(first_group + $gu * THREADS, last_group);
  var acc$r_$g = vec4f(0.0); //: each r ROWS
//: end
  for (var first = 0u; first < p.blocks; first += K_TILE) {
    let count = min(K_TILE, p.blocks - first);
    stage_rows(row0, first, count, thread);
    for (var i = 0u; i < count * 4u; i++) {
      let block = first + i / 4u;
      let at = i / 4u * 8u + i % 4u;
//: each g GROUPS
      let scales$g = transpose(half_scales(group$g, block)); // a column for each of four columns of y
      let w$c_$g = dequant8((group$g * 4u + $cu) * p.blocks + block, i % 4u, scales$g[$c]); //: each c 4
      // What an input is multiplied by, of four columns.
      let half$h_$k_$g = vec4h(vec4f(w0_$g[$h][$k], w1_$g[$h][$k], w2_$g[$h][$k], w3_$g[$h][$k])); //: each k 4 h 2
//: end
//: each r ROWS
      let x$h_$r = staged[$ru * K_TILE * 8u + at + $hu * 4u]; //: each h 2
      let unit$r = units[$ru * K_TILE + i / 4u];
//: each g GROUPS
      // Each product is added to the sum before it: one instruction where a device fuses them.
      var sum$r_$g = x0_$r[0] * half0_0_$g;
      sum$r_$g += x1_$r[$k] * half1_$k_$g; //: each k 4
      sum$r_$g += x0_$r[1] * half0_1_$g;
      sum$r_$g += x0_$r[2] * half0_2_$g;
      sum$r_$g += x0_$r[3] * half0_3_$g;
      acc$r_$g += unit$r * vec4f(sum$r_$g);
//: end
//: end
    }
  }
  store_tile(row0, first_group, array(
    acc$r_$g, //: each r ROWS g GROUPS
  ));
}
