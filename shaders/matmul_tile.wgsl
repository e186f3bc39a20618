// What `matmul` does, through workgroup memory: a workgroup computes TILE_ROWS rows of COLUMNS columns of y. Of 16 inputs at a time, a phase, it
// unpacks its weights once for all its rows and stages its rows of x, both as vectors of four columns or rows. A thread multiplies FOURS times
// four rows, DOWN fours apart, by GROUPS groups of four columns, ACROSS groups apart. What memory has is loaded before the phase before is
// multiplied.
//: const THREADS ACROSS DOWN TILE_ROWS FOURS GROUPS AT_ONCE INPUTS=2
//: use linear dequant
//: const FLOATS
//: when FLOATS
//: use tile_floats
//: else
//: use tile_blocks
//: end

alias Rows = array<array<vec4f, DOWN>, FOURS>; // [rows / 4]
alias Columns = array<array<vec4f, ACROSS>, GROUPS>; // [columns / 4]

// Four inputs of all rows, and of all columns, as threads write them. No index but a thread's place is a variable, so that what devices do to
// keep these within bounds is done once for many. By the gap, neighbours that write different inputs meet different banks.
struct InputsOfRows {
  at: array<array<Rows, 2>, 2>,
  gap: array<vec4f, 2>,
}

struct InputsOfColumns {
  at: array<array<Columns, AT_ONCE>, 4 / AT_ONCE>,
  gap: array<vec4f, 2>,
}

const ALL_HOLD_INPUTS = 2u * TILE_ROWS >= THREADS;

var<workgroup> x_tile: array<InputsOfRows, 4>;
var<workgroup> w_tile: array<InputsOfColumns, 4>;
var<private> inputs_at: u32; // a thread's of four rows; its neighbours have the rest of a line of 64 bytes
var<private> inputs$r: vec2f; //: each r 4

fn place_inputs(row0: u32, thread: u32) {
  // Rows behind the last are multiplied, and not stored.
  inputs_at = min(row0 / 4u + thread / 8u, (p.m - 1u) / 4u) * p.k4 * 8u;
}

fn fetch_inputs(phase: u32, thread: u32) {
  if ALL_HOLD_INPUTS || thread < 2u * TILE_ROWS {
    let at = phase * 8u + thread % 8u;
    inputs$r = input(inputs_at + $ru * p.k4 * 2u, at); //: each r 4
  }
}

fn stage_inputs(thread: u32) {
  if ALL_HOLD_INPUTS || thread < 2u * TILE_ROWS {
    let pair = thread % 8u;
    let group = thread / 8u;
//: each i 2
    x_tile[pair / 2u].at[pair % 2u][$i][group / DOWN][group % DOWN] = vec4f(inputs0[$i], inputs1[$i], inputs2[$i], inputs3[$i]);
//: end
  }
}

// Keeps what four columns have for AT_ONCE inputs of a phase, the `turn`th.
fn keep_weights(turn: u32, group: u32, weights: array<vec4f, AT_ONCE>) {
  let quarter = turn * AT_ONCE / 4u;
  w_tile[quarter].at[turn % (4u / AT_ONCE)][$i][group / ACROSS][group % ACROSS] = weights[$i]; //: each i AT_ONCE
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
  publish(0u, thread);
  for (var phase = 0u; phase < 2u * p.blocks; phase++) {
    workgroupBarrier();
    unpack(phase, thread);
    stage_inputs(thread);
    workgroupBarrier();
    fetch_inputs(phase + 1u, thread);
    fetch(phase + 1u, thread);
//: each q 4 i 4
    let x$r_$q_$i = x_tile[$q].at[$iu / 2u][$iu % 2u][$r][down]; //: each r FOURS
    let w$g_$q_$i = w_tile[$q].at[$iu / AT_ONCE][$iu % AT_ONCE][$g][across]; //: each g GROUPS
    acc$r_$c_$g += x$r_$q_$i[$c] * w$g_$q_$i; //: each r FOURS c 4 g GROUPS
//: end
    publish(phase + 1u, thread);
  }
  let row = row0 + down * 4u;
  store_group(row + $ru * DOWN * 4u + $cu, group0 + across + $gu * ACROSS, acc$r_$c_$g); //: each r FOURS c 4 g GROUPS
}
