// ggml's Q2_K: 2-bit integers, in nibbles, scales and minima to 16 elements in super-blocks.
//: use nibbles split_minima
