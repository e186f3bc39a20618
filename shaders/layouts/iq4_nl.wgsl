// ggml's IQ4_NL: 4-bit indices of integers, a 16-bit scale to a block of 32.
//: const BLOCKS_OF_SCALE=1
//: use codes iq4_codes block_scales
