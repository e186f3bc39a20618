// What `matmul` does, in 16-bit floats: a workgroup rounds its ROWS rows of x, PIECE blocks of 32 at a time, and its threads multiply
// those by their columns' weights. Eight products are added in 16 bits, all else in 32. Snippets are those of `matmul`.
var<workgroup> held: array<vec4h, ROWS * PIECE * 8>;

// What is too large becomes the largest; no number stays none.
fn rounded(x: vec4f) -> vec4h {
  let is_none = (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
  return vec4h(select(clamp(x, vec4f(-65504.0), vec4f(65504.0)), x, is_none));
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = wg.y * ROWS;
  let first_group = wg.x * THREADS * GROUPS + thread;
  let last_group = (p.n + 3u) / 4u - 1u;
//: each g GROUPS
  let group$g = min(first_group + $gu * THREADS, last_group);
//: each r ROWS
  var acc$r_$g = vec4f(0.0);
//: end
//: end
  for (var first = 0u; first < p.blocks; first += PIECE) {
    let count = min(PIECE, p.blocks - first);
    // Nobody still reads what is held.
    workgroupBarrier();
    for (var i = thread; i < ROWS * count * 8u; i += THREADS) {
      let row = i / (count * 8u);
      let at = i % (count * 8u);
      held[row * PIECE * 8u + at] = rounded(input(min(row0 + row, p.m - 1u) * p.k4, first * 8u + at));
    }
    workgroupBarrier();
    for (var i = 0u; i < count * 4u; i++) {
      let block = first + i / 4u;
      let at = i / 4u * 8u + i % 4u;
//: each g GROUPS
      let scales$g = scales(group$g, block);
//: each c 4
      let w$c_$g = pair((group$g * 4u + $cu) * p.blocks + block, i % 4u, scales$g[$c]);
      let low_w$c_$g = vec4h(w$c_$g[0]);
      let high_w$c_$g = vec4h(w$c_$g[1]);
//: end
//: end
//: each r ROWS
      let low_x$r = held[$ru * PIECE * 8u + at];
      let high_x$r = held[$ru * PIECE * 8u + at + 4u];
//: each g GROUPS
      acc$r_$g += vec4f(vec4h(
//: each c 4
        dot(low_x$r, low_w$c_$g) + dot(high_x$r, high_w$c_$g),
//: end
      ));
//: end
//: end
    }
  }
  var all = array<vec4f, ROWS * GROUPS>(
//: each r ROWS
//: each g GROUPS
    acc$r_$g,
//: end
//: end
  );
  for (var i = 0u; i < ROWS * GROUPS; i++) {
    let row = row0 + i / GROUPS;
    if row < p.m {
      store(row, (first_group + i % GROUPS * THREADS) * 4u, all[i]);
    }
  }
}
