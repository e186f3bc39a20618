//! The order of the numbers in a row that products of a few rows read.

use super::BLOCK;

/// Numbers that a lane loads at a time.
const FOUR: usize = 4;
/// Blocks of a group at most, as a power of two: what neighbouring lanes load at a time is then 128 bytes in a row.
const MOST: u32 = 3;

/// How a row of inputs of a product of a few rows lies in memory, and with it the weight of the norm before that product.
///
/// A lane of such a product has a block of 32 inputs, and loads four of them at a time. Of a row in its natural order neighbouring lanes
/// then read 16 bytes each that are 128 bytes apart, each from another line of memory. In order for lanes, the blocks of a row are taken in
/// groups, and what the lanes of a group load at a time lies side by side: `// [groups, 8, blocks, 4]` in place of `[groups, blocks, 8, 4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Order {
    /// Blocks of a group, as a power of two. 0: the natural order.
    log_blocks: u32,
}

impl Order {
    /// As the numbers are counted.
    pub const NATURAL: Self = Self { log_blocks: 0 };

    /// For rows of `width` numbers that lanes share: groups as large as divide it.
    pub fn for_lanes(width: usize) -> Self {
        let divides = |log_blocks: &u32| width.is_multiple_of(BLOCK << log_blocks);
        Self { log_blocks: (1..=MOST).rev().find(divides).unwrap_or(0) }
    }

    /// [`Self::for_lanes`], or the natural one on devices whose lanes have rows of weights of their own.
    pub fn of(lanes_share_rows: bool, width: usize) -> Self {
        if lanes_share_rows { Self::for_lanes(width) } else { Self::NATURAL }
    }

    /// Blocks of a group.
    pub fn blocks(self) -> usize {
        1 << self.log_blocks
    }

    /// The order as kernels are told it: [`Self::blocks`] as a power of two.
    pub fn word(self) -> usize {
        self.log_blocks as usize
    }

    /// Numbers of a group: rows are whole groups.
    pub fn group(self) -> usize {
        BLOCK << self.log_blocks
    }

    /// Where the number at `index` lies, of one row or of several behind one another.
    pub fn place(self, index: usize) -> usize {
        let (group, within) = (index / self.group(), index % self.group());
        let (block, load, rest) = (within / BLOCK, within % BLOCK / FOUR, within % FOUR);
        group * self.group() + (load * self.blocks() + block) * FOUR + rest
    }

    /// Numbers in this order, of whole rows in their natural one.
    pub fn arranged<T: Copy>(self, natural: &[T]) -> Vec<T> {
        let mut out = natural.to_vec();
        natural.iter().enumerate().for_each(|(index, &number)| out[self.place(index)] = number);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_group_of_lanes_loads_at_a_time_lies_side_by_side() {
        let order = Order::for_lanes(3072);
        let placed = |block: usize, load: usize| order.place(block * BLOCK + load * FOUR);
        for load in 0..BLOCK / FOUR {
            assert_eq!(placed(0, load), load * 32);
            (1..8).for_each(|block| assert_eq!(placed(block, load), placed(0, load) + block * FOUR));
        }
        assert_eq!(placed(8, 0), 256);
        assert_eq!(order.place(259), 259);
    }

    #[test]
    fn every_number_has_a_place_of_its_own_and_rows_stay_apart() {
        for width in [32, 64, 96, 128, 256, 896, 2560] {
            let order = Order::for_lanes(width);
            let numbers: Vec<usize> = (0..2 * width).collect();
            let mut arranged = order.arranged(&numbers);
            assert!(arranged[..width].iter().all(|&number| number < width), "{width}");
            arranged.sort_unstable();
            assert_eq!(arranged, numbers, "{width}");
        }
    }

    #[test]
    fn groups_divide_rows_and_where_lanes_share_none_there_are_none() {
        let blocks = |width| Order::for_lanes(width).blocks();
        assert_eq!([4096, 896, 64, 96, 40, 1152].map(blocks), [8, 4, 2, 1, 1, 4]);
        assert_eq!(Order::of(false, 4096), Order::NATURAL);
    }
}
