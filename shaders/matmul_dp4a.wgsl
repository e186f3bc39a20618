// What `matmul` does, in 8-bit integers: a workgroup rounds its ROWS rows of x, PIECE blocks of 32 at a time, and its threads
// multiply those by their columns' weights. Snippets read the integers of four rows of weights, and their scales.
@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = wg.x * ROWS;
  let first_group = wg.y * THREADS * GROUPS + thread;
  let last_group = (p.n + 3u) / 4u - 1u;
//: each g GROUPS
  let group$g = min(first_group + $gu * THREADS, last_group);
//: each r ROWS
  var acc$r_$g = vec4f(0.0);
//: end
//: end
  for (var first = 0u; first < p.blocks; first += PIECE) {
    let count = min(PIECE, p.blocks - first);
    hold_rows(row0, first, count, thread);
    for (var i = 0u; i < count; i++) {
//: each g GROUPS
      let w$g = block_at(group$g, first + i);
//: each c 4
      let low_w$c_$g = low_words$c(w$g);
      let high_w$c_$g = high_words$c(w$g);
//: end
      let scales$g = transpose(scales(group$g, first + i)); // of four columns: low scale and least, high scale and least
//: end
//: each r ROWS
      let low_x$r = quants[2u * ($ru * PIECE + i)];
      let high_x$r = quants[2u * ($ru * PIECE + i) + 1u];
      let note$r = notes[$ru * PIECE + i];
//: each g GROUPS
      let low$r_$g = vec4i(
        dots(low_x$r, low_w0_$g), dots(low_x$r, low_w1_$g), dots(low_x$r, low_w2_$g), dots(low_x$r, low_w3_$g),
      );
      let high$r_$g = vec4i(
        dots(high_x$r, high_w0_$g), dots(high_x$r, high_w1_$g), dots(high_x$r, high_w2_$g), dots(high_x$r, high_w3_$g),
      );
      acc$r_$g += note$r.x * (vec4f(low$r_$g) * scales$g[0] + vec4f(high$r_$g) * scales$g[2]);
      acc$r_$g -= note$r.z * scales$g[1] + note$r.w * scales$g[3];
//: end
//: end
    }
  }
  store_tile(row0, first_group, array(
//: each r ROWS
//: each g GROUPS
    acc$r_$g,
//: end
//: end
  ));
}
