// 16-bit floats, two to a word, so that no device needs shader-f16. Rows are padded to whole blocks of 32.
//: const FLOATS=1 HAS_MIN=0 HALVES_APART=0 SPLIT_SCALE=0 TILED PIECES
//: when TILED
//: const FLOAT_PHASES=2 PIECE

// Stores the weights of four columns from PIECE words each, words number `turn` of a phase.
fn keep_words(turn: u32, group: u32, words: array<vec4u, PIECE>) {
//: each j PIECE
  let two$j_$c = unpack2x16float(words[$j][$c]); //: each c 4
  keep_weights(turn * PIECE + $ju, group, array(
    vec4f(two$j_0[$i], two$j_1[$i], two$j_2[$i], two$j_3[$i]), //: each i 2
  ));
//: end
}
//: else
//: when PIECES

@group(0) @binding(next) var<storage, read> w_values: array<vec4u>; // [rows, blocks * 4]

fn load_words(at: u32) -> vec4u {
  return w_values[at];
}

//: each j 2
fn piece$j(words: vec4u) -> vec4f {
  return vec4f(unpack2x16float(words[2u * $ju]), unpack2x16float(words[2u * $ju + 1u]));
}
//: end
//: else

@group(0) @binding(next) var<storage, read> w_values: array<vec2u>; // [rows, blocks * 8]

fn load4(i: u32) -> vec4f {
  let four = w_values[i];
  return vec4f(unpack2x16float(four.x), unpack2x16float(four.y));
}
//: end
//: end
