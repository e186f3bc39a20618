// ggml's Q4_0: 4-bit integers plus 8, a 16-bit scale to a block of 32.
//: const BLOCKS_OF_SCALE=1
//: use nibbles block_scales

const OFFSET = 8.0;
