//! Tables of the integers that 4-bit quants select.

/// Integers of `IQ4_NL` and `IQ4_XS` (`kvalues_iq4nl` in `ggml-common.h`).
pub const IQ4: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];
/// Twice the numbers of the 4-bit float E2M1 (OCP Microscaling Formats 1.0; `kvalues_mxfp4` in `ggml-common.h`).
pub const FP4: [i8; 16] = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
