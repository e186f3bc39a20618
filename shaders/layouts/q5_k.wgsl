// ggml's Q5_K: 5-bit integers, scales and minima in super-blocks.
//: use five_bits super_scales
