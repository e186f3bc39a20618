// ggml's Q5_1: 5-bit integers, a 16-bit scale and minimum to a block of 32.
//: use five_bits block_minima
