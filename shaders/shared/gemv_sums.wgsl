// The sums of a team: what comes after the loop over blocks.
//: when SUBGROUPS
//: each m M
//: when NORM
  let root$m = root(lane_sum(square$m));
//: end
//: each s SLOTS
//: each q PARTS
  acc$m_$s_$q = lane_sum4(acc$m_$s_$q);
//: when NORM
  acc$m_$s_$q *= root$m;
//: end
//: end
//: end
//: end
  for (var first = 0u; first < M * SLOTS; first += lanes.count) {
    let i = first + lanes.index;
    var out: array<vec4f, PARTS>;
//: each m M
//: each s SLOTS
    if i == $mu * SLOTS + $su {
//: each q PARTS
      out[$q] = acc$m_$s_$q;
//: end
    }
//: end
//: end
    let m = i / SLOTS;
    let slot = (team0 + team) * SLOTS + i % SLOTS;
    if team < TEAMS && m < M && wg.z * M + m < p.m && slot < p.slots {
      write(wg.z * M + m, slot, out);
    }
  }
  }
}
//: end
//: unless SUBGROUPS
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
  if wg.z * M + $mu < p.m && (team0 + team) * SLOTS + $su < p.slots {
    write(row$m, (team0 + team) * SLOTS + $su, out$m_$s);
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
//: end
