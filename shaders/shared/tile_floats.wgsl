// Loads float weights into a tile. A thread loads PIECE words of four columns, and its neighbours the rest of a line of 64 bytes, which serves
// FLOAT_PHASES phases; it keeps them in registers until a phase needs them.
//: const COLUMN_GROUPS PIECE FLOAT_PHASES

@group(0) @binding(next) var<storage, read> w_values: array<vec$PIECEu>; // [rows, blocks * 32 / FLOAT_PHASES / PIECE]

const FLOAT_LANES = 16 / PIECE;
const LANES_OF_PHASE = FLOAT_LANES / FLOAT_PHASES;

var<private> floats_at: u32; // of the first column
var<private> held_floats$c: vec$PIECEu; //: each c 4

fn row_of_floats() -> u32 {
  return p.blocks * (32u / FLOAT_PHASES / PIECE);
}

fn place(group0: u32, thread: u32) {
  floats_at = min(group0 + thread / FLOAT_LANES, (p.n - 1u) / 4u) * 4u * row_of_floats();
}

fn fetch(phase: u32, thread: u32) {
  if phase % FLOAT_PHASES == 0u && thread < FLOAT_LANES * COLUMN_GROUPS {
    let width = row_of_floats();
    held_floats$c = w_values[floats_at + $cu * width + phase * LANES_OF_PHASE + thread % FLOAT_LANES]; //: each c 4
  }
}

fn publish(phase: u32, thread: u32) {
}

fn unpack(phase: u32, thread: u32) {
  let lane = thread % FLOAT_LANES;
  if lane / LANES_OF_PHASE == phase % FLOAT_PHASES && thread < FLOAT_LANES * COLUMN_GROUPS {
    keep_words(lane % LANES_OF_PHASE, thread / FLOAT_LANES, array(
      vec4u(held_floats0[$j], held_floats1[$j], held_floats2[$j], held_floats3[$j]), //: each j PIECE
    ));
  }
}
