// ggml's IQ4_XS: d * scale * integer, with 4-bit indices of integers, an 8-bit scale to a block of 32 and d to eight blocks.
//: use codes iq4_codes byte_scales
