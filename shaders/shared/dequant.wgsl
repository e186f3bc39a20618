// Access to a weight matrix, derived from the functions of its layout. `at` counts the blocks of 32 elements over all rows, `group` the groups of
// four rows. A value is scale * (quant - OFFSET), or with HAS_MIN scale * quant - min.
// A layout of floats sets FLOATS and has load4(i): elements 4i .. 4i + 4 of the matrix as stored. A quantised layout has
//   load_bits(at, j)                               bits of elements 4j .. 4j + 4 of both halves of a block, 0 .. 16 and 16 .. 32
//   load_half_bits(at, k4)                         with HALVES_APART: bits of elements 4 * k4 .. 4 * k4 + 4 of a block, in one half
//   Quants, load_quants(at), bits0 .. 3(quants)    with WHOLE_BLOCKS: a whole block in one load, and the bits in it. With HALVED a load has half
//                                                  of the bytes, and in these two vectors of each half of the elements; `at` counts loads
//   bytes0(bits), bytes1(bits)                     elements of either half as 8-bit integers; with PACKED signed, if some are negative
//   quants0(bits), quants1(bits)                   elements of either half as floats, still to be multiplied by UNIT0 or UNIT1
//   scales(group, block)                           Scales of four rows; with SPLIT_SCALE elements 16 .. 32 have their own
// With TILED a quantised layout reads published blocks (see `tile_blocks`), and `group` is one of the tile's:
//   bytes_of(group, j, is_high)                    elements 4j .. 4j + 4 of either half of a block as 8-bit integers, of four rows
//: const WHOLE_BLOCKS?=0 PACKED?=0 TILED?=0 PIECES?=0 HALVED?=0 HALF_LOADS?=4
//: use $LAYOUT
// With PIECES, blocks are read in that many pieces of 16 bytes:
//   load_words(at), piece0 .. (words)              a piece of the matrix, and its elements, four at a time; with PACKED, the words are
//                                                  8-bit integers
//: const FLOATS HAS_MIN HALVES_APART SPLIT_SCALE
//: when PIECES

alias Piece = array<vec4u, 4>; // of four rows

fn load_piece(group: u32, block: u32, piece: u32) -> Piece {
  let at = (group * 4u * p.blocks + block) * PIECES + piece;
  let stride = p.blocks * PIECES;
  return Piece(load_words(at), load_words(at + stride), load_words(at + 2u * stride), load_words(at + 3u * stride));
}

//: unless PACKED
//: const LOADS
//: each j LOADS
// Elements 4j .. 4j + 4 of a piece of the rows.
fn rows0_$j(w: Piece) -> mat4x4f {
  return mat4x4f(piece$j(w[0]), piece$j(w[1]), piece$j(w[2]), piece$j(w[3]));
}

//: end
//: end
//: end
//: when FLOATS
//: unless TILED

const UNIT0 = vec4f(1.0);
const UNIT1 = vec4f(1.0);

//: unless PIECES
// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn dequant4(row: u32, k4: u32) -> vec4f {
  return load4(row * p.blocks * 8u + k4);
}

fn half_scales(group: u32, block: u32) -> mat4x4f {
  return mat4x4f();
}

fn dequant8(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  return array(load4(at * 8u + j), load4(at * 8u + 4u + j));
}

struct Block {
  at: u32, // of the first row
  stride: u32, // to the next row
}

fn load_block(group: u32, block: u32) -> Block {
  return Block((group * 4u * p.blocks + block) * 8u, p.blocks * 8u);
}

fn rows_at(at: u32, stride: u32) -> mat4x4f {
  return mat4x4f(load4(at), load4(at + stride), load4(at + 2u * stride), load4(at + 3u * stride));
}

//: each j 4 h 2
fn rows$h_$j(w: Block) -> mat4x4f {
  return rows_at(w.at + $ju + 4u * $hu, w.stride);
}

//: end
//: end
fn scaled(group: u32, block: u32, low: vec4f, high: vec4f, total: vec2f) -> vec4f {
  return low + high;
}
//: end
//: else

struct Scales { // of four rows
  scale: vec4f,
  min: vec4f, //: when HAS_MIN
//: when SPLIT_SCALE
  high_scale: vec4f, // of elements 16 .. 32
  high_min: vec4f, //: when HAS_MIN
  d: vec4f, // factor of both scales
//: end
}

// Scale and offset of elements 0 .. 16, then of 16 .. 32, each of four rows. A value is scale * quant - offset.
fn half_scales(group: u32, block: u32) -> mat4x4f {
  let s = scales(group, block);
//: when SPLIT_SCALE
  let low = s.d * s.scale;
  let high = s.d * s.high_scale;
  return mat4x4f(low, s.min, high, s.high_min); //: when HAS_MIN
  return mat4x4f(low, OFFSET * low, high, OFFSET * high); //: unless HAS_MIN
//: else
//: when HAS_MIN
  return mat4x4f(s.scale, s.min, s.scale, s.min);
//: else
  let offset = OFFSET * s.scale;
  return mat4x4f(s.scale, offset, s.scale, offset);
//: end
//: end
}

// Products of inputs and four rows of a block, from their products with the quants of either half and the sums of the inputs of either half.
fn scaled(group: u32, block: u32, low: vec4f, high: vec4f, total: vec2f) -> vec4f {
  let s = scales(group, block);
//: when SPLIT_SCALE
  return s.d * (s.scale * low + s.high_scale * high) - (s.min * total.x + s.high_min * total.y); //: when HAS_MIN
  return s.d * (s.scale * (low - OFFSET * total.x) + s.high_scale * (high - OFFSET * total.y)); //: unless HAS_MIN
//: else
  return s.scale * (low + high) - s.min * (total.x + total.y); //: when HAS_MIN
  return s.scale * (low + high - OFFSET * (total.x + total.y)); //: unless HAS_MIN
//: end
}
//: when WHOLE_BLOCKS
//: unless PIECES

alias Words = vec4u; //: unless HALVED
alias Words = vec2u; //: when HALVED
alias Block = array<Quants, 4>; // of four rows

fn load_block(group: u32, block: u32) -> Block {
  let stride = p.blocks << HALVED;
  let at = group * 4u * stride + block;
  return Block(load_quants(at), load_quants(at + stride), load_quants(at + 2u * stride), load_quants(at + 3u * stride));
}

//: when PACKED
//: each r 4 h 2
// Half h of row r of a block, four elements to a word.
fn words$h_$r(w: Block) -> vec4u {
  return vec4u(bytes$h(bits0(w[$r])), bytes$h(bits1(w[$r])), bytes$h(bits2(w[$r])), bytes$h(bits3(w[$r])));
}

//: end
//: else
//: each j HALF_LOADS h 2
// Elements 4j .. 4j + 4 of half h of the rows of a block.
fn rows$h_$j(w: Block) -> mat4x4f {
  return mat4x4f(quants$h(bits$j(w[0])), quants$h(bits$j(w[1])), quants$h(bits$j(w[2])), quants$h(bits$j(w[3])));
}

//: end
//: end
//: end
//: else

//: unless TILED
// Elements 4j .. 4j + 4 and 16 + 4j .. 16 + 4j + 4 of a block; `scales` is the row of `half_scales`.
fn dequant8(at: u32, j: u32, scales: vec4f) -> array<vec4f, 2> {
  let bits = load_bits(at, j);
  return array(quants0(bits) * (UNIT0 * scales.x) - scales.y, quants1(bits) * (UNIT1 * scales.z) - scales.w);
}

// Elements 4 * k4 .. 4 * k4 + 4 of a row.
fn dequant4(row: u32, k4: u32) -> vec4f {
  let block = k4 >> 3u;
  let is_high = (k4 & 4u) != 0u;
  let bits = load_half_bits(row * p.blocks + block, k4 & 7u); //: when HALVES_APART
  let bits = load_bits(row * p.blocks + block, k4 & 3u); //: unless HALVES_APART
  let of_rows = half_scales(row >> 2u, block);
  let scale = select(of_rows[0], of_rows[2], is_high)[row & 3u];
  let offset = select(of_rows[1], of_rows[3], is_high)[row & 3u];
  return scale * select(quants0(bits) * UNIT0, quants1(bits) * UNIT1, is_high) - offset;
}
//: end
//: end
//: end
