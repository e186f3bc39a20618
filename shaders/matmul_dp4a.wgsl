// `matmul` in 8-bit integers: a workgroup rounds its ROWS rows of x, K_TILE blocks of 32 at a time, and its threads multiply these by the weights
// of their columns.
//: const THREADS ROWS GROUPS K_TILE NORM=0 INPUTS=4
//: use linear int8_input dequant

const STAGED = ROWS * K_TILE;

// Offset of a block in a row of x, and load `j` of a block, both in vec4s, as `int8_input` needs them.
fn inputs_of(block: u32) -> u32 {
  return block * 8u;
}

fn load_of(row: u32, first: u32, j: u32) -> vec4f {
  return input(row, first + j);
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
    for (var i = 0u; i < count; i++) {
//: each g GROUPS
      let w$g = load_block(group$g, first + i);
      let w$h_$c_$g = words$h_$c(w$g); //: each c 4 h 2
      let scales$g = half_scales(group$g, first + i);
//: end
//: each r ROWS
      let x$h_$r = staged[2u * ($ru * K_TILE + i) + $hu]; //: each h 2
      let info$r = staged_info[$ru * K_TILE + i];
//: each g GROUPS
//: each h 2
      let sums$h_$r_$g = vec4i(
        dots(x$h_$r, w$h_0_$g), dots(x$h_$r, w$h_1_$g), dots(x$h_$r, w$h_2_$g), dots(x$h_$r, w$h_3_$g),
      );
//: end
      acc$r_$g += info$r.x * (vec4f(sums0_$r_$g) * scales$g[0] + vec4f(sums1_$r_$g) * scales$g[2]);
      acc$r_$g -= info$r.z * scales$g[1] + info$r.w * scales$g[3];
//: end
//: end
    }
  }
  store_tile(row0, first_group, array(
    acc$r_$g, //: each r ROWS g GROUPS
  ));
}
