// Adds up the sums of the lanes of a group and writes the results: across a subgroup with SUBGROUPS, through workgroup memory with REDUCE, and
// directly where one lane has all blocks. Squares are added in the same way.
//: const M TILES FUSED_OUTPUTS LANES LANE_GROUPS THREADS SUBGROUPS REDUCE NORM
//: use $SUBGROUP_FILE //: when SUBGROUPS

alias Sums = array<vec4f, M * TILES * FUSED_OUTPUTS>; // [M, TILES, FUSED_OUTPUTS]
alias Squares = array<f32, M>;
//: when SUBGROUPS

fn finish(row0: u32, tile0: u32, has_tiles: bool, sums: Sums, squares: Squares, lanes: Lanes) {
//: each m M
  let inverse$m = inverse_rms(lane_sum(squares[$m])); //: when NORM
  let sum$m_$s_$q = lane_sum4(sums[($mu * TILES + $su) * FUSED_OUTPUTS + $qu]); //: each s TILES q FUSED_OUTPUTS
//: end
  for (var first = 0u; first < M * TILES; first += lanes.count) {
    let i = first + lanes.index;
    var out: array<vec4f, FUSED_OUTPUTS>;
//: each m M s TILES
    if i == $mu * TILES + $su {
//: each q FUSED_OUTPUTS
      out[$q] = sum$m_$s_$q * inverse$m; //: when NORM
      out[$q] = sum$m_$s_$q; //: unless NORM
//: end
    }
//: end
    let m = i / TILES;
    let tile = tile0 + i % TILES;
    if has_tiles && m < M && row0 + m < p.m && tile < p.tiles {
      write(row0 + m, tile, out);
    }
  }
}
//: else
//: when REDUCE

var<workgroup> lane_sums: array<vec4f, M * TILES * FUSED_OUTPUTS * THREADS>; // [M, TILES, FUSED_OUTPUTS, THREADS]
var<workgroup> lane_squares: array<f32, M * THREADS>; //: when NORM

fn finish(row0: u32, tile0: u32, sums: Sums, squares: Squares, thread: u32) {
//: each m M
//: each s TILES q FUSED_OUTPUTS
  lane_sums[(($mu * TILES + $su) * FUSED_OUTPUTS + $qu) * THREADS + thread] = sums[($mu * TILES + $su) * FUSED_OUTPUTS + $qu];
//: end
  lane_squares[$mu * THREADS + thread] = squares[$m]; //: when NORM
//: end
  workgroupBarrier();
  for (var i = thread; i < M * TILES * LANE_GROUPS; i += THREADS) {
    let m = i / (TILES * LANE_GROUPS);
    let lane_group = i / TILES % LANE_GROUPS;
    var out: array<vec4f, FUSED_OUTPUTS>;
//: when NORM
    var square = 0.0;
    square += lane_squares[m * THREADS + lane_group * LANES + $lu]; //: each l LANES
//: end
//: each q FUSED_OUTPUTS
    var sum$q = vec4f(0.0);
    sum$q += lane_sums[((m * TILES + i % TILES) * FUSED_OUTPUTS + $qu) * THREADS + lane_group * LANES + $lu]; //: each l LANES
    sum$q *= inverse_rms(square); //: when NORM
    out[$q] = sum$q;
//: end
    let tile = tile0 + lane_group * TILES + i % TILES;
    if row0 + m < p.m && tile < p.tiles {
      write(row0 + m, tile, out);
    }
  }
}
//: else

fn finish(row0: u32, tile0: u32, sums: Sums, squares: Squares, thread: u32) {
//: each m M s TILES
  var out$m_$s: array<vec4f, FUSED_OUTPUTS>;
//: each q FUSED_OUTPUTS
  out$m_$s[$q] = sums[($mu * TILES + $su) * FUSED_OUTPUTS + $qu];
  out$m_$s[$q] *= inverse_rms(squares[$m]); //: when NORM
//: end
  if row0 + $mu < p.m && tile0 + thread * TILES + $su < p.tiles {
    write(row0 + $mu, tile0 + thread * TILES + $su, out$m_$s);
  }
//: end
}
//: end
//: end
