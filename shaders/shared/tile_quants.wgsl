// The plane of quants: 16 bytes serve QUANT_PHASES halves of a block. A thread keeps PIECE words of four columns.
//: const COLUMN_GROUPS THREADS PIECE QUANT_PHASES

@group(0) @binding(next) var<storage, read> w_quants: array<vec$PIECEu>; // [rows, blocks * 8 / QUANT_PHASES / PIECE]

const QUANT_LANES = 16 / PIECE;

const ALL_HOLD_QUANTS = QUANT_LANES * COLUMN_GROUPS >= THREADS;

var<workgroup> quant_words: array<array<array<vec4u, COLUMN_GROUPS>, PIECE>, 4 / PIECE>; // [words, columns / 4]
var<private> quants_at: u32; // of the first column
var<private> held_quants$c: vec$PIECEu; //: each c 4

// Word j of four columns.
fn quant_words_of(group: u32, j: u32) -> vec4u {
  return quant_words[j / PIECE][j % PIECE][group];
}

fn row_of_quants() -> u32 {
  return p.blocks * (8u / QUANT_PHASES / PIECE);
}

fn place_quants(group0: u32, thread: u32) {
  quants_at = min(group0 + thread / QUANT_LANES, last_group()) * 4u * row_of_quants();
}

fn fetch_quants(phase: u32, thread: u32) {
  if phase % (4u * QUANT_PHASES) == 0u && (ALL_HOLD_QUANTS || thread < QUANT_LANES * COLUMN_GROUPS) {
    let width = row_of_quants();
    let at = quants_at + min(phase / QUANT_PHASES * (4u / PIECE) + thread % QUANT_LANES, width - 1u);
    held_quants$c = w_quants[at + $cu * width]; //: each c 4
  }
}

// Publishes the words of the line that turn number `turn` needs.
fn publish_quants(turn: u32, thread: u32) {
  let part = thread % QUANT_LANES;
  if part / (4u / PIECE) == turn % 4u && (ALL_HOLD_QUANTS || thread < QUANT_LANES * COLUMN_GROUPS) {
    let group = thread / QUANT_LANES;
//: each j PIECE
    quant_words[part % (4u / PIECE)][$j][group] = vec4u(held_quants0[$j], held_quants1[$j], held_quants2[$j], held_quants3[$j]);
//: end
  }
}
