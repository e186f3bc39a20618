// ggml's Q5_0: 5-bit integers plus 16, a 16-bit scale to a block of 32.
//: const BLOCKS_OF_SCALE=1
//: use five_bits block_scales

const OFFSET = 16.0;
