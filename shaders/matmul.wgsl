// y = x * w^T (+ bias) (+ y). A thread computes ROWS rows of 4 * GROUPS columns of y. It unpacks the weights of its columns in registers, each once
// for all its rows. All threads read the same inputs, so that a device reads these once for many. There is no barrier. An iteration takes 8 * WORDS
// inputs of a block of 32. With CHAINED, each product is added to the sum before it.
//: const THREADS ROWS GROUPS WORDS CHAINED INPUTS=4
//: use linear multiply_add dequant

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = wg.x * ROWS;
  let first_group = wg.y * THREADS * GROUPS + thread;
  let last_group = (p.n + 3u) / 4u - 1u;
//: each g GROUPS
  let group$g = min(first_group + $gu * THREADS, last_group);
  let at$g = group$g * 4u * p.blocks;
//: end
//: each r ROWS
  let x$r = min(row0 + $ru, p.m - 1u) * p.k4;
  var acc$r_$g = vec4f(0.0); //: each g GROUPS
//: end
  for (var step = 0u; step < p.blocks * (4u / WORDS); step++) {
    let block = step / (4u / WORDS);
    let word = step % (4u / WORDS) * WORDS;
    let scales$g = transpose(half_scales(group$g, block)); //: each g GROUPS // a column for each of four columns of y
//: each j WORDS
//: each g GROUPS
    let w$j_$g_$i = dequant8(at$g + $iu * p.blocks + block, word + $ju, scales$g[$i]); //: each i 4
    let half$h_$j_$g = mat4x4f(w$j_$g_0[$h], w$j_$g_1[$h], w$j_$g_2[$h], w$j_$g_3[$h]); //: each h 2 // [4 columns, 4 inputs]
//: end
//: each r ROWS
    let x$h_$j_$r = input(x$r, block * 8u + word + $ju + $hu * 4u); //: each h 2
//: each g GROUPS
    acc$r_$g = multiply_add(multiply_add(acc$r_$g, x0_$j_$r, half0_$j_$g), x1_$j_$r, half1_$j_$g); //: when CHAINED
    acc$r_$g += x0_$j_$r * half0_$j_$g + x1_$j_$r * half1_$j_$g; //: unless CHAINED
//: end
//: end
//: end
  }
  store_tile(row0, first_group, array(
    acc$r_$g, //: each r ROWS g GROUPS
  ));
}
