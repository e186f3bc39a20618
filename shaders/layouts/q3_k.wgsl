// ggml's Q3_K: 3-bit integers plus 4, in nibbles, an 8-bit scale to 16 elements and a scale of those to eight blocks.
//: use nibbles split_scales

const OFFSET = 4.0;
