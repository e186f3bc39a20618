// The loop over blocks, in 8-bit integers: a workgroup rounds its rows of x a piece of PIECE blocks at a time, and its threads
// multiply those by their rows of weights. With the same LANES a row's sums are made in the same order whatever M and PIECE are.
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
