// `matmul` through workgroup memory: a workgroup computes TILE_ROWS rows of COLUMNS columns of y. In a phase of 16 inputs it unpacks its weights
// once for all its rows and stages its rows of x, both as vectors of four columns or rows. A thread multiplies FOURS times four rows, DOWN fours
// apart, by GROUPS groups of four columns, ACROSS groups apart. Global memory for the next phase is loaded before a phase is multiplied. With
// IN_HALVES, tiles hold 16-bit floats: the inputs of a row in a phase are divided by the power of two of the largest of them, which prevents
// overflow and underflow. Eight products are added in 16 bits, everything else in 32.
//: const IN_HALVES THREADS ACROSS DOWN TILE_ROWS FOURS GROUPS AT_ONCE INPUTS=2
//: use linear dequant
//: const FLOATS
//: when FLOATS
//: use tile_floats
//: else
//: use tile_blocks
//: end

alias Four = vec4h; //: when IN_HALVES
alias Four = vec4f; //: unless IN_HALVES
alias Rows = array<array<Four, DOWN>, FOURS>; // [rows / 4]
alias Columns = array<array<Four, ACROSS>, GROUPS>; // [columns / 4]

// Four inputs of all rows, and of all columns, in the order in which threads write them. The only variable index is a thread's place, so that a
// device checks bounds once for many accesses. The gap moves neighbours that write different inputs to different banks.
struct InputsOfRows {
  at: array<array<Rows, 2>, 2>,
  gap: array<Four, 2>,
}

struct InputsOfColumns {
  at: array<array<Columns, AT_ONCE>, 4 / AT_ONCE>,
  gap: array<Four, 2>,
}

const ALL_HOLD_INPUTS = 2u * TILE_ROWS >= THREADS;

var<workgroup> x_tile: array<InputsOfRows, 4>;
var<workgroup> w_tile: array<InputsOfColumns, 4>;
var<private> inputs_at: u32; // a thread's of four rows; its neighbours have the rest of a line of 64 bytes
var<private> inputs$r: vec2f; //: each r 4

fn place_inputs(row0: u32, thread: u32) {
  // Rows past the last are multiplied, but not stored.
  inputs_at = min(row0 / 4u + thread / 8u, (p.m - 1u) / 4u) * p.k4 * 8u;
}

fn fetch_inputs(phase: u32, thread: u32) {
  if ALL_HOLD_INPUTS || thread < 2u * TILE_ROWS {
    let at = phase * 8u + thread % 8u;
    inputs$r = input(inputs_at + $ru * p.k4 * 2u, at); //: each r 4
  }
}

//: when IN_HALVES
// Exponents of the largest inputs of the rows, of this phase and of the next; and the divisors of the rows in this phase.
var<workgroup> peaks: array<array<atomic<u32>, TILE_ROWS>, 2>;
var<workgroup> units: array<array<vec4f, DOWN>, FOURS>; // [rows / 4]

fn clear_peaks(thread: u32) {
  for (var row = thread; row < TILE_ROWS; row += THREADS) {
    atomicStore(&peaks[0][row], 0u);
  }
  workgroupBarrier();
}

// Includes the inputs of `phase` that a thread holds in the peaks.
fn note_peaks(phase: u32, thread: u32) {
  if ALL_HOLD_INPUTS || thread < 2u * TILE_ROWS {
//: each r 4
    let exponents$r = bitcast<vec2u>(inputs$r) & vec2u(0x7f800000u);
    atomicMax(&peaks[phase % 2u][thread / 8u * 4u + $ru], max(exponents$r.x, exponents$r.y));
//: end
  }
}

// Factors of four rows. One of the threads that stage them stores the reciprocals, another clears the peaks of the next phase.
fn inverse_of(phase: u32, group: u32, pair: u32) -> vec4f {
  let peak$r = atomicLoad(&peaks[phase % 2u][group * 4u + $ru]); //: each r 4
  // Exponents of the largest number; the clamp keeps it and its reciprocal normal.
  let exponents = clamp(vec4u(peak0, peak1, peak2, peak3), vec4u(0x00800000u), vec4u(0x7e800000u));
  if pair == 0u {
    units[group / DOWN][group % DOWN] = bitcast<vec4f>(exponents);
  } else if pair == 1u {
    atomicStore(&peaks[(phase + 1u) % 2u][group * 4u + $ru], 0u); //: each r 4
  }
  return bitcast<vec4f>(vec4u(0x7f000000u) - exponents);
}

//: end
fn stage_inputs(phase: u32, thread: u32) {
  if ALL_HOLD_INPUTS || thread < 2u * TILE_ROWS {
    let pair = thread % 8u;
    let group = thread / 8u;
    let inverse = inverse_of(phase, group, pair); //: when IN_HALVES
//: each i 2
    let four$i = vec4f(inputs0[$i], inputs1[$i], inputs2[$i], inputs3[$i]);
    x_tile[pair / 2u].at[pair % 2u][$i][group / DOWN][group % DOWN] = Four(four$i * inverse); //: when IN_HALVES
    x_tile[pair / 2u].at[pair % 2u][$i][group / DOWN][group % DOWN] = four$i; //: unless IN_HALVES
//: end
  }
}

// Stores AT_ONCE inputs of four columns, part number `turn` of a phase.
fn keep_weights(turn: u32, group: u32, weights: array<vec4f, AT_ONCE>) {
  let quarter = turn * AT_ONCE / 4u;
  w_tile[quarter].at[turn % (4u / AT_ONCE)][$i][group / ACROSS][group % ACROSS] = Four(weights[$i]); //: each i AT_ONCE
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row0 = wg.x * TILE_ROWS;
  let group0 = wg.y * ACROSS * GROUPS;
  let across = thread % ACROSS;
  let down = thread / ACROSS;
  var acc$r_$c_$g = vec4f(0.0); //: each r FOURS c 4 g GROUPS
  place_inputs(row0, thread);
  place(group0, thread);
  fetch_inputs(0u, thread);
  fetch(0u, thread);
//: when IN_HALVES
  clear_peaks(thread);
  note_peaks(0u, thread);
//: end
  publish(0u, thread);
  for (var phase = 0u; phase < 2u * p.blocks; phase++) {
    workgroupBarrier();
    unpack(phase, thread);
    stage_inputs(phase, thread);
    workgroupBarrier();
    fetch_inputs(phase + 1u, thread);
    fetch(phase + 1u, thread);
//: when IN_HALVES
    let unit$r = units[$r][down]; //: each r FOURS
//: end
//: each h 2
//: when IN_HALVES
    var sum$h_$r_$c_$g = vec4h(); //: each r FOURS c 4 g GROUPS
//: end
//: each q 2 i 4
    let x$h_$q_$i_$r = x_tile[$hu * 2u + $qu].at[$iu / 2u][$iu % 2u][$r][down]; //: each r FOURS
    let w$h_$q_$i_$g = w_tile[$hu * 2u + $qu].at[$iu / AT_ONCE][$iu % AT_ONCE][$g][across]; //: each g GROUPS
//: when IN_HALVES
    sum$h_$r_$c_$g += x$h_$q_$i_$r[$c] * w$h_$q_$i_$g; //: each r FOURS c 4 g GROUPS
//: else
    acc$r_$c_$g += x$h_$q_$i_$r[$c] * w$h_$q_$i_$g; //: each r FOURS c 4 g GROUPS
//: end
//: end
//: when IN_HALVES
    acc$r_$c_$g += unit$r[$c] * vec4f(sum$h_$r_$c_$g); //: each r FOURS c 4 g GROUPS
//: end
//: end
    note_peaks(phase + 1u, thread); //: when IN_HALVES
    publish(phase + 1u, thread);
  }
  let row = row0 + down * 4u;
  store_group(row + $ru * DOWN * 4u + $cu, group0 + across + $gu * ACROSS, acc$r_$c_$g); //: each r FOURS c 4 g GROUPS
}
