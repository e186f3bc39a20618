// What `few_rows` does, in integers: a workgroup rounds its rows of x to 8 bits, after the norm's gain, a piece of PIECE blocks at a
// time, and its threads multiply those by their rows of weights. With the same LANES a row's sums are made in the same order
// whatever M and PIECE are.
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

// Rounds a block of a row, and keeps it as block `at` of what is held.
fn take(at: u32, row: u32, block: u32) {
  var square = 0.0;
//: each j 8
  var x$j = input(row, block * 8u + $ju);
//: when NORM
  square += dot(x$j, x$j);
  x$j *= gain[min(block * 8u + $ju, p.k4 - 1u)];
//: end
//: end
  hold(at, array(x0, x1, x2, x3, x4, x5, x6, x7), square);
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
  for (var first = 0u; first < p.blocks; first += PIECE) {
    let count = min(PIECE, p.blocks - first);
    // Nobody still reads what is held.
    workgroupBarrier();
    for (var i = thread; i < M * count; i += THREADS) {
      take(i / count * PIECE + i % count, min(wg.z * M + i / count, p.m - 1u), first + i % count);
    }
    workgroupBarrier();
    for (var i = lane; i < count; i += LANES) {
      let block = first + i;
//: each m M
      let low_x$m = quants[2u * ($mu * PIECE + i)];
      let high_x$m = quants[2u * ($mu * PIECE + i) + 1u];
      let note$m = notes[$mu * PIECE + i];
//: when NORM
      square$m += note$m.y;
//: end
//: end
//: each s SLOTS
//: each q PARTS
      let w$s_$q = block_at(group$s_$q, block);
//: each r 4
      let low_w$r_$s_$q = low_words$r(w$s_$q);
      let high_w$r_$s_$q = high_words$r(w$s_$q);
//: end
//: each m M
      let low$m_$s_$q = vec4i(
        dots(low_x$m, low_w0_$s_$q), dots(low_x$m, low_w1_$s_$q), dots(low_x$m, low_w2_$s_$q), dots(low_x$m, low_w3_$s_$q),
      );
      let high$m_$s_$q = vec4i(
        dots(high_x$m, high_w0_$s_$q), dots(high_x$m, high_w1_$s_$q), dots(high_x$m, high_w2_$s_$q), dots(high_x$m, high_w3_$s_$q),
      );
      acc$m_$s_$q += scaled(group$s_$q, block, note$m.x * vec4f(low$m_$s_$q), note$m.x * vec4f(high$m_$s_$q), note$m.zw);
//: end
//: end
//: end
    }
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
    for (var l = 0u; l < LANES; l++) {
      sum$q += sums[((m * SLOTS + i % SLOTS) * PARTS + $qu) * THREADS + team * LANES + l];
    }
//: end
//: when NORM
    var square = 0.0;
    for (var l = 0u; l < LANES; l++) {
      square += squares[m * THREADS + team * LANES + l];
    }
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
