// A few rows of x times rows of weights. A lane takes whole blocks of 32 inputs for SLOTS slots; a slot is PARTS groups of four
// rows of weights, those of which the kernel makes one result. LANES lanes, a team, share the inputs of a slot, TEAMS teams are a
// workgroup, and their sums meet in workgroup memory behind one barrier. M rows of x are seen at a time.
// The kernel says where the groups of a slot are (`group_of`) and what becomes of their sums (`write`); a snippet reads a block
// of a layout. With NORM, x is multiplied by `gain` and the sums by the reciprocal of x's root mean square, whose terms meet as
// the sums do. With RAGGED, the last block goes beyond the inputs.
//: when REDUCE
var<workgroup> sums: array<vec4f, M * SLOTS * PARTS * THREADS>;
//: when NORM
var<workgroup> squares: array<f32, M * THREADS>;
//: end
//: end

//: when NORM
@group(0) @binding($GAIN) var<storage, read> gain: array<vec4f>; // [k4]

fn root(square: f32) -> f32 {
  return inverseSqrt(square / f32(p.k4 * 4u) + p.eps);
}

//: end
fn input(row: u32, i: u32) -> vec4f {
//: when RAGGED
  return select(vec4f(0.0), x[row * p.k4 + min(i, p.k4 - 1u)], i < p.k4);
//: end
//: unless RAGGED
  return x[row * p.k4 + i];
//: end
}

fn sum_of(four: vec4f) -> f32 {
  return (four.x + four.y) + (four.z + four.w);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(num_workgroups) grid: vec3u, @builtin(local_invocation_index) thread: u32) {
  let team0 = (wg.y * grid.x + wg.x) * TEAMS;
  let lane = thread % LANES;
//: each s SLOTS
//: each q PARTS
  // Past the last slot there is work nobody looks at, so that all lanes meet at the barrier.
  let group$s_$q = group_of(min((team0 + thread / LANES) * SLOTS + $su, p.slots - 1u), $qu);
//: end
//: end
//: each m M
  let row$m = min(wg.z * M + $mu, p.m - 1u);
  var square$m = 0.0;
//: each s SLOTS
//: each q PARTS
  var acc$m_$s_$q = vec4f(0.0);
//: end
//: end
//: end
  for (var block = lane; block < p.blocks; block += LANES) {
//: each s SLOTS
//: each q PARTS
    let w$s_$q = block_at(group$s_$q, block);
//: end
//: end
//: each m M
    var total$m = vec2f(0.0);
//: each s SLOTS
//: each q PARTS
    var low$m_$s_$q = vec4f(0.0);
//: when HALVES
    var high$m_$s_$q = vec4f(0.0);
//: end
//: end
//: end
//: end
//: each j 4
//: when NORM
    let low_gain$j = gain[min(block * 8u + $ju, p.k4 - 1u)];
//: end
//: each s SLOTS
//: each q PARTS
    let low_w$j_$s_$q = low_quads$j(w$s_$q); // four rows, [4, 4]
//: end
//: end
//: each m M
    var low_x$j_$m = input(row$m, block * 8u + $ju);
//: when NORM
    square$m += dot(low_x$j_$m, low_x$j_$m);
    low_x$j_$m *= low_gain$j;
//: end
    total$m.x += sum_of(low_x$j_$m);
    low_x$j_$m *= LOW_UNIT;
//: each s SLOTS
//: each q PARTS
    low$m_$s_$q = multiply_add(low$m_$s_$q, low_x$j_$m, low_w$j_$s_$q);
//: end
//: end
//: end
//: when NORM
    let high_gain$j = gain[min(block * 8u + 4u + $ju, p.k4 - 1u)];
//: end
//: each s SLOTS
//: each q PARTS
    let high_w$j_$s_$q = high_quads$j(w$s_$q); // four rows, [4, 4]
//: end
//: end
//: each m M
    var high_x$j_$m = input(row$m, block * 8u + 4u + $ju);
//: when NORM
    square$m += dot(high_x$j_$m, high_x$j_$m);
    high_x$j_$m *= high_gain$j;
//: end
    total$m.y += sum_of(high_x$j_$m);
    high_x$j_$m *= HIGH_UNIT;
//: each s SLOTS
//: each q PARTS
//: when HALVES
    high$m_$s_$q = multiply_add(high$m_$s_$q, high_x$j_$m, high_w$j_$s_$q);
//: end
//: unless HALVES
    low$m_$s_$q = multiply_add(low$m_$s_$q, high_x$j_$m, high_w$j_$s_$q);
//: end
//: end
//: end
//: end
//: end
//: each m M
//: each s SLOTS
//: each q PARTS
//: when HALVES
    acc$m_$s_$q += scaled(group$s_$q, block, low$m_$s_$q, high$m_$s_$q, total$m);
//: end
//: unless HALVES
    acc$m_$s_$q += scaled(group$s_$q, block, low$m_$s_$q, vec4f(0.0), total$m);
//: end
//: end
//: end
//: end
  }
//: unless REDUCE
//: each m M
//: each s SLOTS
  var out$m_$s: array<vec4f, PARTS>;
//: each q PARTS
//: when NORM
  acc$m_$s_$q *= root(square$m);
//: end
  out$m_$s[$q] = acc$m_$s_$q;
//: end
  if wg.z * M + $mu < p.m && (team0 + thread) * SLOTS + $su < p.slots {
    write(row$m, (team0 + thread) * SLOTS + $su, out$m_$s);
  }
//: end
//: end
//: end
//: when REDUCE
//: each m M
//: each s SLOTS
//: each q PARTS
  sums[(($mu * SLOTS + $su) * PARTS + $qu) * THREADS + thread] = acc$m_$s_$q;
//: end
//: end
//: when NORM
  squares[$mu * THREADS + thread] = square$m;
//: end
//: end
  workgroupBarrier();
  for (var i = thread; i < M * SLOTS * TEAMS; i += THREADS) {
    let m = i / (SLOTS * TEAMS);
    let team = i / SLOTS % TEAMS;
    var out: array<vec4f, PARTS>;
//: each q PARTS
    var sum$q = vec4f(0.0);
//: each l LANES
    sum$q += sums[((m * SLOTS + i % SLOTS) * PARTS + $qu) * THREADS + team * LANES + $lu];
//: end
//: end
//: when NORM
    var square = 0.0;
//: each l LANES
    square += squares[m * THREADS + team * LANES + $lu];
//: end
//: end
//: each q PARTS
//: when NORM
    sum$q *= root(square);
//: end
    out[$q] = sum$q;
//: end
    let slot = (team0 + team) * SLOTS + i % SLOTS;
    if wg.z * M + m < p.m && slot < p.slots {
      write(wg.z * M + m, slot, out);
    }
  }
//: end
}
