// Main function of `matvec`, `gated_matvec` and `qkv_matvec`: a few rows of x times rows of weights, in floats. The kernel's own file maps output
// tiles to rows of weights (`group_of`) and stores the sums (`write`).
// A lane takes whole blocks of 32 inputs, with HALVED half of the loads of both halves of a block, or with PIECES one of that many pieces of a
// block, for TILES output tiles: HALVES times LOADS loads of four inputs. A tile is FUSED_OUTPUTS groups of four rows of weights, which the kernel
// combines to one result. LANES lanes share the inputs of a tile, LANE_GROUPS such groups are a workgroup, and each computes M rows of x.
// With SUBGROUPS a lane group is a subgroup of any size; the subgroups of a workgroup do the work of LANE_GROUPS groups in turns.
//: use gemv_input gemv_sums multiply_add dequant
//: const M TILES FUSED_OUTPUTS LANES LANE_GROUPS THREADS SUBGROUPS NORM SPLIT_SCALE PIECES HALVED HALVES LOADS NATIVE?=0

fn pieces_of(blocks: u32) -> u32 {
  return blocks * PIECES; //: when PIECES
  return blocks << HALVED; //: unless PIECES
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32, //: when NATIVE
  @builtin(num_subgroups) subgroups: u32, //: when NATIVE
) {
  let group0 = (wg.y * grid.x + wg.x) * LANE_GROUPS;
//: when SUBGROUPS
  let lanes = lanes_of(subgroup, subgroups); //: when NATIVE
  let lanes = lanes_of(thread); //: unless NATIVE
  for (var turn = 0u; turn < LANE_GROUPS; turn += subgroup_count(lanes)) {
  let lane_group = turn + lanes.subgroup;
  // A subgroup without work reads nothing, but takes part in the sums.
  let pieces = select(0u, pieces_of(p.blocks), lane_group < LANE_GROUPS && (group0 + lane_group) * TILES < p.tiles);
//: else
  let lane_group = thread / LANES;
  let lane = thread % LANES;
//: end
  let tile0 = (group0 + lane_group) * TILES;
//: each s TILES q FUSED_OUTPUTS
  // Lanes past the last tile compute it again, so that all take part in the sums; their results are not written.
  let group$s_$q = group_of(min(tile0 + $su, p.tiles - 1u), $qu);
//: end
//: each m M
  let row$m = min(wg.z * M + $mu, p.m - 1u);
  var square$m = 0.0;
  var acc$m_$s_$q = vec4f(0.0); //: each s TILES q FUSED_OUTPUTS
//: end
//: when SUBGROUPS
  // Every lane of a subgroup takes the same number of turns.
  for (var first = 0u; first < pieces; first += lanes.count) {
    let is_own = first + lanes.index < pieces;
    let piece = min(first + lanes.index, pieces - 1u);
//: else
  for (var piece = lane; piece < pieces_of(p.blocks); piece += LANES) {
//: end
//: when PIECES
    let block = piece / PIECES;
    let first_load = piece % PIECES * LOADS;
    let w$s_$q = load_piece(group$s_$q, block, piece % PIECES); //: each s TILES q FUSED_OUTPUTS
//: else
    let block = piece >> HALVED;
    let first_load = (piece & HALVED) * LOADS; //: when HALVED
    let w$s_$q = load_block(group$s_$q, piece); //: each s TILES q FUSED_OUTPUTS
//: end
    let inputs = inputs_of(block);
//: each m M
    var own_square$m = 0.0;
    var total$m = vec2f(0.0);
    var products$h_$m_$s_$q = vec4f(0.0); //: each s TILES q FUSED_OUTPUTS h 2
//: end
//: each j LOADS h HALVES
//: when PIECES
    let load$h_$j = first_load + $ju;
//: else
    let load$h_$j = first_load + $hu * 4u + $ju; //: when HALVED
    const load$h_$j = $hu * LOADS + $ju; //: unless HALVED
//: end
    let gain$h_$j = gain_of(block, load$h_$j); //: when NORM
    let w$h_$j_$s_$q = rows$h_$j(w$s_$q); //: each s TILES q FUSED_OUTPUTS // four rows, [4, 4]
//: each m M
    var x$h_$j_$m = load_of(row$m, inputs, load$h_$j);
//: when NORM
    own_square$m += dot(x$h_$j_$m, x$h_$j_$m);
    x$h_$j_$m *= gain$h_$j;
//: end
    total$m[$h] += sum_of(x$h_$j_$m);
    x$h_$j_$m *= UNIT$h;
//: each s TILES q FUSED_OUTPUTS
    products$h_$m_$s_$q = multiply_add(products$h_$m_$s_$q, x$h_$j_$m, w$h_$j_$s_$q); //: when SPLIT_SCALE
    products0_$m_$s_$q = multiply_add(products0_$m_$s_$q, x$h_$j_$m, w$h_$j_$s_$q); //: unless SPLIT_SCALE
//: end
//: end
//: end
//: each m M
    square$m += select(0.0, own_square$m, is_own); //: when SUBGROUPS
    square$m += own_square$m; //: unless SUBGROUPS
//: each s TILES q FUSED_OUTPUTS
    let scaled$m_$s_$q = scaled(group$s_$q, block, products0_$m_$s_$q, products1_$m_$s_$q, total$m);
    acc$m_$s_$q += select(vec4f(0.0), scaled$m_$s_$q, is_own); //: when SUBGROUPS
    acc$m_$s_$q += scaled$m_$s_$q; //: unless SUBGROUPS
//: end
//: end
  }
  let sums = array(
    acc$m_$s_$q, //: each m M s TILES q FUSED_OUTPUTS
  );
  let squares = array(
    square$m, //: each m M
  );
//: when SUBGROUPS
  finish(wg.z * M, tile0, lane_group < LANE_GROUPS, sums, squares, lanes);
  }
//: else
  finish(wg.z * M, group0 * TILES, sums, squares, thread);
//: end
}
