// Q4_0 with a 16-bit scale to 64 elements; the last scale of a row may cover only 32.
//: const BLOCKS_OF_SCALE=2
//: use nibbles block_scales

const OFFSET = 8.0;
