// 32-bit floats, rows padded to whole blocks of 32.
//: const FLOATS=1 HAS_MIN=0 HALVES_APART=0 SPLIT_SCALE=0 TILED PIECES
//: when TILED
//: const FLOAT_PHASES=1 PIECE

// Stores the weights of four columns from PIECE words each, words number `turn` of a phase.
fn keep_words(turn: u32, group: u32, words: array<vec4u, PIECE>) {
  keep_weights(turn, group, array(
    bitcast<vec4f>(words[$j]), //: each j PIECE
  ));
}
//: else

@group(0) @binding(next) var<storage, read> w_values: array<vec4f>; // [rows, blocks * 8]

fn load4(i: u32) -> vec4f {
  return w_values[i];
}
//: when PIECES

fn load_words(at: u32) -> vec4u {
  return bitcast<vec4u>(w_values[at]);
}

fn piece0(words: vec4u) -> vec4f {
  return bitcast<vec4f>(words);
}
//: end
//: end
