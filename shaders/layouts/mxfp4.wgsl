// ggml's MXFP4: 4-bit floats as indices of twice their numbers, and a power of two to a block of 32.
//: use codes block_exponents

// 0, 1, 2, 3, 4, 6, 8 and 12, then the same negated.
const CODES = vec4u(0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu);
