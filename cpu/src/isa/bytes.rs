//! Vectors of bytes: the quants of weights, and their products with digits of inputs.

/// Operations on vectors of bytes, four to a lane of floats.
///
/// # Safety
/// All functions may be called only where the machine has the instructions: within the entries of the set.
pub(crate) trait Bytes: Copy + 'static {
    /// Vector of [`Self::LANES`] floats.
    type F: Copy;
    /// Floats of a vector: a power of two from 4 to 16.
    const LANES: usize;
    /// Blocks of which a vector of bytes holds one half each.
    const FOURS: usize = Self::LANES / 4;
    /// Vector of four times [`Self::LANES`] bytes, or of [`Self::LANES`] 32-bit integers.
    type B: Copy;
    /// The set has 32 registers for vectors.
    const HAS_MANY_REGISTERS: bool;
    /// Products of bytes are faster than those of floats. Without them, inputs that are rounded to 8 bits are multiplied as floats.
    const HAS_DOTS: bool = true;
    /// Inputs are multiplied as bytes with weights of 5 and 6 bits too; where the size of a module counts, they are not.
    const HAS_ODD_DOTS: bool = true;
    /// Products of three digits of each input are faster than those of floats, for a few rows of inputs and for many.
    const EXACT_FEW: bool = false;
    const EXACT_MANY: bool = false;
    /// Added to signed bytes of weights by [`Self::whole_bytes`].
    const BYTE_ZERO: u8 = 0;

    unsafe fn load_bytes(from: *const u8) -> Self::B;
    unsafe fn store_bytes(to: *mut u8, bytes: Self::B);
    /// The same four bytes in every lane.
    unsafe fn splat_bytes(from: *const u8) -> Self::B;
    unsafe fn or(a: Self::B, b: Self::B) -> Self::B;
    /// The lower and the upper nibbles of bytes.
    unsafe fn split(nibbles: Self::B) -> [Self::B; 2];
    /// The signed bytes of a table, plus [`Self::BYTE_ZERO`], that bytes below 16 select.
    unsafe fn select(table: &[i8; 16], quants: Self::B) -> Self::B;
    /// Nibble `N` of the word of each lane as a float, times `16^(N % 4)`.
    unsafe fn nibble<const N: u32>(words: Self::B) -> Self::F;
    /// The lower and the upper halves of [`Self::FOURS`] blocks of 32 signed bytes, plus [`Self::BYTE_ZERO`].
    unsafe fn whole_bytes(from: *const u8) -> [Self::B; 2];
    /// Adds in each lane the products of its bytes with weights of `BITS` bits: signed if these are 8, and without [`Self::BYTE_ZERO`] taken off.
    /// Inputs are signed, but not -128 if weights have 8 bits. Sums wrap around.
    unsafe fn dots<const BITS: u32, const N: usize>(
        sums: Self::B,
        weights: [Self::B; N],
        inputs: [Self::B; N],
    ) -> Self::B;
    /// Sums of integers, which wrap around.
    unsafe fn plus(a: Self::B, b: Self::B) -> Self::B;
    /// Integers times 256.
    unsafe fn times_256(integers: Self::B) -> Self::B;
    /// Integers with the other sign.
    unsafe fn negated(integers: Self::B) -> Self::B;
    /// Integers as floats.
    unsafe fn to_floats(integers: Self::B) -> Self::F;
    /// Floats rounded to the nearest integers, ties to even; any integers for floats that are beyond them.
    unsafe fn to_integers(floats: Self::F) -> Self::B;
    /// Exchanges rows and lanes of [`Self::LANES`] vectors.
    unsafe fn transpose(rows: &mut [Self::B]);
    /// Pairs of unsigned bytes as floats: the first ones, then the second ones.
    unsafe fn byte_pairs(from: *const u8) -> [Self::F; 2];
    /// Four floats, repeated.
    unsafe fn repeat(four: [f32; 4]) -> Self::F;

    /// Fetches the cache line of an address, which may be any.
    #[inline(always)]
    unsafe fn prefetch(_from: *const u8) {}

    /// The fifth bits of [`Self::FOURS`] blocks in their place above a nibble: byte `i` of the four of a block holds that of element `4j + i` in bit `j`.
    #[inline(always)]
    unsafe fn fifth_bits(from: *const u8) -> [Self::B; 2] {
        // SAFETY: As of the whole trait.
        unsafe {
            let mut words = [[0_u32; 16]; 2];
            for four in 0..Self::FOURS {
                let word = from.cast::<u32>().add(four).read_unaligned();
                for j in 0..8 {
                    words[j / 4][4 * four + j % 4] = (word >> j & 0x0101_0101) << 4;
                }
            }
            words.map(|words| Self::load_bytes(words.as_ptr().cast()))
        }
    }

    /// The fifth and sixth bits: byte `i` of the first four of a block holds those of element `4j + i` from bit `2j` on, of the last four those of
    /// element `16 + 4j + i`.
    #[inline(always)]
    unsafe fn sixth_bits(from: *const u8) -> [Self::B; 2] {
        // SAFETY: As of the whole trait.
        unsafe {
            let mut words = [[0_u32; 16]; 2];
            for four in 0..Self::FOURS {
                for j in 0..8 {
                    let word = from.cast::<u32>().add(2 * four + j / 4).read_unaligned();
                    words[j / 4][4 * four + j % 4] = (word >> (2 * (j % 4)) & 0x0303_0303) << 4;
                }
            }
            words.map(|words| Self::load_bytes(words.as_ptr().cast()))
        }
    }
}
