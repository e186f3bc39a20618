//! The order of the numbers in rows that neighbouring lanes read, each a piece of its own.

use super::BLOCK;

/// Numbers that a lane loads at a time.
const FOUR: usize = 4;
/// Blocks of a group at most, as a power of two: what neighbouring lanes load at a time is then 128 bytes in a row.
const MOST: u32 = 3;

/// How a row of inputs of a product of a few rows lies in memory, and with it the weight of the norm before that product; or a query of a step.
///
/// A lane has a block of numbers, and loads four of them at a time. Of a row in its natural order neighbouring lanes then read 16 bytes each
/// that are a block apart, each from another line of memory. In order for lanes, the blocks of a row are taken in groups, and what the
/// lanes of a group load at a time lies side by side: `// [groups, loads, blocks, 4]` in place of `[groups, blocks, loads, 4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneLayout {
    /// Blocks of a group, as a power of two.
    log_blocks: u32,
    /// Loads of a block, as a power of two.
    log_loads: u32,
}

impl LaneLayout {
    /// As the numbers are counted.
    pub const NATURAL: Self = Self { log_blocks: 0, log_loads: 0 };

    /// For rows of `width` inputs that lanes share, a block of 32 each: groups as large as divide it.
    pub fn for_lanes(width: usize) -> Self {
        let lane_layout = |log_blocks| Self { log_blocks, log_loads: (BLOCK / FOUR).ilog2() };
        (1..=MOST)
            .rev()
            .map(lane_layout)
            .find(|lane_layout| width.is_multiple_of(lane_layout.group()))
            .unwrap_or_default()
    }

    /// For queries of `width` numbers, where four lanes share a key and load `pack` vectors of four of its numbers at a time.
    pub fn for_keys(width: usize, pack: usize) -> Self {
        let lane_layout = Self { log_blocks: 2, log_loads: pack.ilog2() };
        if pack > 1 && width.is_multiple_of(lane_layout.group()) { lane_layout } else { Self::NATURAL }
    }

    /// [`Self::for_lanes`], or the natural one on devices whose lanes have rows of weights of their own.
    pub fn of(lanes_share_rows: bool, width: usize) -> Self {
        if lanes_share_rows { Self::for_lanes(width) } else { Self::NATURAL }
    }

    /// How kernels are told an order for lanes: the blocks of a group as a power of two, 0 for the natural order.
    pub fn word(self) -> usize {
        self.log_blocks as usize
    }

    /// How kernels are told an order for keys: the loads of a block as a power of two, 0 for the natural order.
    pub fn log_loads(self) -> usize {
        self.log_loads as usize
    }

    /// Numbers of a group: rows are whole groups.
    pub fn group(self) -> usize {
        FOUR << (self.log_blocks + self.log_loads)
    }

    /// Where the number at `index` lies, of one row or of several behind one another.
    pub fn place(self, index: usize) -> usize {
        let (group, within) = (index / self.group(), index % self.group());
        let (four, rest) = (within / FOUR, within % FOUR);
        let (block, load) = (four >> self.log_loads, four & ((1 << self.log_loads) - 1));
        group * self.group() + ((load << self.log_blocks) + block) * FOUR + rest
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
        let lane_layout = LaneLayout::for_lanes(3072);
        let placed = |block: usize, load: usize| lane_layout.place(block * BLOCK + load * FOUR);
        for load in 0..BLOCK / FOUR {
            assert_eq!(placed(0, load), load * 32);
            (1..8).for_each(|block| assert_eq!(placed(block, load), placed(0, load) + block * FOUR));
        }
        assert_eq!(placed(8, 0), 256);
        assert_eq!(lane_layout.place(259), 259);
    }

    #[test]
    fn what_four_lanes_multiply_by_at_a_time_lies_side_by_side() {
        let lane_layout = LaneLayout::for_keys(128, 4);
        for (lane, load) in (0..4).flat_map(|lane| (0..4).map(move |load| (lane, load))) {
            assert_eq!(lane_layout.place(64 + lane * 16 + load * FOUR), 64 + load * 16 + lane * FOUR);
        }
    }

    #[test]
    fn every_number_has_a_place_of_its_own_and_rows_stay_apart() {
        for (width, pack) in
            [32, 64, 96, 128, 256, 896, 2560].into_iter().flat_map(|width| [1, 2, 4].map(|pack| (width, pack)))
        {
            let lane_layout = if pack > 1 { LaneLayout::for_keys(width, pack) } else { LaneLayout::for_lanes(width) };
            let numbers: Vec<usize> = (0..2 * width).collect();
            let mut arranged = lane_layout.arranged(&numbers);
            assert!(arranged[..width].iter().all(|&number| number < width), "{width}");
            arranged.sort_unstable();
            assert_eq!(arranged, numbers, "{width}");
        }
    }

    #[test]
    fn groups_divide_rows_and_where_lanes_share_none_there_are_none() {
        let blocks = |width| 1 << LaneLayout::for_lanes(width).log_blocks;
        assert_eq!([4096, 896, 64, 96, 40, 1152].map(blocks), [8, 4, 2, 1, 1, 4]);
        assert_eq!(LaneLayout::for_keys(80, 2), LaneLayout::NATURAL);
        assert_eq!(LaneLayout::of(false, 4096), LaneLayout::NATURAL);
    }
}
