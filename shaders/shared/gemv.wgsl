// The loop over blocks, in floats. A snippet reads a block of a layout.
//: when SUBGROUPS
  // As many turns for every lane of a subgroup.
  for (var first = 0u; first < blocks; first += lanes.count) {
    let is_own = first + lanes.index < blocks;
    let block = min(first + lanes.index, blocks - 1u);
//: end
//: unless SUBGROUPS
  for (var block = lane; block < p.blocks; block += LANES) {
//: end
//: each s SLOTS
//: each q PARTS
    let w$s_$q = block_at(group$s_$q, block);
//: end
//: end
//: each m M
//: when NORM
    var own_square$m = 0.0;
//: end
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
    own_square$m += dot(low_x$j_$m, low_x$j_$m);
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
    own_square$m += dot(high_x$j_$m, high_x$j_$m);
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
//: when NORM
//: when SUBGROUPS
    square$m += select(0.0, own_square$m, is_own);
//: end
//: unless SUBGROUPS
    square$m += own_square$m;
//: end
//: end
//: each s SLOTS
//: each q PARTS
//: when HALVES
    let scaled$m_$s_$q = scaled(group$s_$q, block, low$m_$s_$q, high$m_$s_$q, total$m);
//: end
//: unless HALVES
    let scaled$m_$s_$q = scaled(group$s_$q, block, low$m_$s_$q, vec4f(0.0), total$m);
//: end
//: when SUBGROUPS
    acc$m_$s_$q += select(vec4f(0.0), scaled$m_$s_$q, is_own);
//: end
//: unless SUBGROUPS
    acc$m_$s_$q += scaled$m_$s_$q;
//: end
//: end
//: end
//: end
  }
