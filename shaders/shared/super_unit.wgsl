// Unit of the scales of super-blocks, by which `layout::device_bytes` divides them: most are subnormal 16-bit floats, which drivers may take for zero.
const SUPER_UNIT = 0x1p-10;
