// `matmul` with the same sums, for software devices that execute each load of each thread separately: the four threads of a quad load one row of x
// each and broadcast it to one another. A thread has 4 * FOURS rows.
//: const THREADS ROWS FOURS GROUPS WORDS INPUTS=4
//: use linear dequant

// Stores four columns of a row; only the last columns of the matrix may be fewer.
fn store_four(row: u32, column: u32, n: u32, flags: u32, products: vec4f) {
  let at = row * p.y_stride + p.y_offset + column;
  if column + 4u > n {
    store(at, column, products);
  } else {
    let shared_by_rows = p.first_row + column;
    var values = products;
    if (flags & 1u) != 0u {
      values += vec4f(bias[shared_by_rows], bias[shared_by_rows + 1u], bias[shared_by_rows + 2u], bias[shared_by_rows + 3u]);
    }
    if (flags & 2u) != 0u {
      values += vec4f(y[at], y[at + 1u], y[at + 2u], y[at + 3u]);
    }
    y[at + $iu] = values[$i]; //: each i 4
  }
}

// Stores a thread's rows from `row0` on, without the divisions of `store_tile`.
fn store_rows(row0: u32, first_group: u32, tile: array<vec4f, ROWS * GROUPS>) {
  var all = tile;
  let n = p.n;
  let flags = p.flags;
  let rows = min(ROWS, p.m - row0);
  for (var r = 0u; r < rows; r++) {
    for (var g = 0u; g < GROUPS; g++) {
      store_four(row0 + r, (first_group + g * THREADS) * 4u, n, flags, all[r * GROUPS + g]);
    }
  }
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) wg: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row0 = wg.x * ROWS;
  let first_group = wg.y * THREADS * GROUPS + thread;
  let last_group = (p.n + 3u) / 4u - 1u;
//: each g GROUPS
  let group$g = min(first_group + $gu * THREADS, last_group);
  let at$g = group$g * 4u * p.blocks;
//: end
//: each q FOURS
  let x$q = min(row0 + $qu * 4u + (lane & 3u), p.m - 1u) * p.k4;
  var acc$q_$r_$g = vec4f(0.0); //: each r 4 g GROUPS
//: end
  for (var step = 0u; step < p.blocks * (4u / WORDS); step++) {
    let block = step / (4u / WORDS);
    let word = step % (4u / WORDS) * WORDS;
    let scales$g = transpose(half_scales(group$g, block)); //: each g GROUPS // a column for each of four columns of y
//: each j WORDS g GROUPS
    let w$j_$g_$i = dequant8(at$g + $iu * p.blocks + block, word + $ju, scales$g[$i]); //: each i 4
    let half$h_$j_$g = mat4x4f(w$j_$g_0[$h], w$j_$g_1[$h], w$j_$g_2[$h], w$j_$g_3[$h]); //: each h 2 // [4 columns, 4 inputs]
//: end
//: each q FOURS
    let own$h_$j_$q = input(x$q, block * 8u + word + $ju + $hu * 4u); //: each j WORDS h 2
//: each r 4 j WORDS
    let x$h_$j_$q_$r = quadBroadcast(own$h_$j_$q, $ru); //: each h 2
    acc$q_$r_$g += x0_$j_$q_$r * half0_$j_$g + x1_$j_$q_$r * half1_$j_$g; //: each g GROUPS
//: end
//: end
  }
  store_rows(row0, first_group, array(
    acc$q_$r_$g, //: each q FOURS r 4 g GROUPS
  ));
}
