// ggml's Q4_K: 4-bit integers, scales and minima in super-blocks.
//: use nibbles super_scales
