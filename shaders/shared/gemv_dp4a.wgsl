// `gemv` in 8-bit integers: a workgroup rounds its rows of x, K_TILE blocks at a time, and its threads multiply these by their rows of weights:
// blocks, or with PIECES either half of one. For a given LANES the order of a row's sums does not depend on M and K_TILE.
//: const M TILES FUSED_OUTPUTS LANES LANE_GROUPS THREADS K_TILE NORM PIECES
//: use gemv_input int8_input gemv_sums dequant

const STAGED = M * K_TILE;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let group0 = (wg.y * grid.x + wg.x) * LANE_GROUPS;
  let lane_group = thread / LANES;
  let lane = thread % LANES;
  let tile0 = (group0 + lane_group) * TILES;
//: each s TILES q FUSED_OUTPUTS
  // Lanes past the last tile compute it again, so that all take part in the sums; their results are not written.
  let group$s_$q = group_of(min(tile0 + $su, p.tiles - 1u), $qu);
//: end
//: each m M
  var square$m = 0.0;
  var acc$m_$s_$q = vec4f(0.0); //: each s TILES q FUSED_OUTPUTS
//: end
  for (var first = 0u; first < p.blocks; first += K_TILE) {
    let count = min(K_TILE, p.blocks - first);
    // No thread still reads the previous blocks.
    workgroupBarrier();
    for (var i = thread; i < M * count; i += THREADS) {
      stage_block(i / count * K_TILE + i % count, min(wg.z * M + i / count, p.m - 1u), first + i % count);
    }
    workgroupBarrier();
//: when PIECES
    for (var piece = lane; piece < count * PIECES; piece += LANES) {
      let i = piece / PIECES;
      let half = piece % PIECES;
      let block = first + i;
//: each m M
      let x$m = staged[2u * ($mu * K_TILE + i) + half];
      let info$m = staged_info[$mu * K_TILE + i];
      square$m += select(0.0, info$m.y, half == 0u); //: when NORM
//: end
//: each s TILES q FUSED_OUTPUTS
      let w$s_$q = load_piece(group$s_$q, block, half);
//: each m M
      let sums$m_$s_$q = vec4i(
        dots(x$m, w$s_$q[0]), dots(x$m, w$s_$q[1]), dots(x$m, w$s_$q[2]), dots(x$m, w$s_$q[3]),
      );
      let products$m_$s_$q = info$m.x * vec4f(sums$m_$s_$q);
      let scaled$m_$s_$q = scaled(group$s_$q, block, products$m_$s_$q, vec4f(0.0), vec2f(info$m[2u + half], 0.0));
      acc$m_$s_$q += scaled$m_$s_$q;
//: end
//: end
    }
//: else
    for (var i = lane; i < count; i += LANES) {
      let block = first + i;
//: each m M
      let x$h_$m = staged[2u * ($mu * K_TILE + i) + $hu]; //: each h 2
      let info$m = staged_info[$mu * K_TILE + i];
      square$m += info$m.y; //: when NORM
//: end
//: each s TILES q FUSED_OUTPUTS
      let w$s_$q = load_block(group$s_$q, block);
      let w$h_$r_$s_$q = words$h_$r(w$s_$q); //: each r 4 h 2
//: each m M
//: each h 2
      let sums$h_$m_$s_$q = vec4i(
        dots(x$h_$m, w$h_0_$s_$q), dots(x$h_$m, w$h_1_$s_$q), dots(x$h_$m, w$h_2_$s_$q), dots(x$h_$m, w$h_3_$s_$q),
      );
      let products$h_$m_$s_$q = info$m.x * vec4f(sums$h_$m_$s_$q);
//: end
      let scaled$m_$s_$q = scaled(group$s_$q, block, products0_$m_$s_$q, products1_$m_$s_$q, info$m.zw);
      acc$m_$s_$q += scaled$m_$s_$q;
//: end
//: end
    }
//: end
  }
  let sums = array(
    acc$m_$s_$q, //: each m M s TILES q FUSED_OUTPUTS
  );
  let squares = array(
    square$m, //: each m M
  );
  finish(wg.z * M, group0 * TILES, sums, squares, thread);
}
