// ggml's Q4_1: 4-bit integers, a 16-bit scale and minimum to a block of 32.
//: use nibbles block_minima
