// 32-bit floats, rows padded to whole blocks of 32.
//: const FLOATS=1 HAS_MIN=0 SPLIT_SCALE=0 TILED
//: when TILED
//: const FLOAT_PHASES=1 PIECE

// Keeps the weights in PIECE words of four columns, the `turn`th words of a phase.
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
//: end
