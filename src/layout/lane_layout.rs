//! Order of the numbers in rows that neighbouring lanes of a subgroup read together.

use super::BLOCK;

/// Numbers that a lane loads at a time.
const FOUR: usize = 4;
/// Most blocks of a group, as a power of two: neighbouring lanes then load 128 consecutive bytes at a time.
const MOST: u32 = 3;

/// Order of the numbers in memory of a row that a matvec kernel reads, of the norm weight before such a product, or of a query of a step.
///
/// A lane has a block of numbers and loads four of them at a time. In the natural order, neighbouring lanes would load 16 bytes each that
/// are a block apart, each from another cache line. In a lane layout the blocks of a row form groups, and the loads that the lanes of a
/// group execute together are adjacent: `// [groups, loads, blocks, 4]` instead of `[groups, blocks, loads, 4]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct LaneLayout {
    /// Blocks of a group, as a power of two.
    log_blocks: u32,
    /// Loads of a block, as a power of two.
    log_loads: u32,
}

impl LaneLayout {
    /// The natural order.
    pub const NATURAL: Self = Self { log_blocks: 0, log_loads: 0 };

    /// The layout for rows of `width` inputs shared by lanes with a block of 32 each, in the largest groups that divide a row.
    pub fn for_lanes(width: usize) -> Self {
        let lane_layout = |log_blocks| Self { log_blocks, log_loads: (BLOCK / FOUR).ilog2() };
        (1..=MOST)
            .rev()
            .map(lane_layout)
            .find(|lane_layout| width.is_multiple_of(lane_layout.group()))
            .unwrap_or_default()
    }

    /// The layout for queries of `width` numbers, if four lanes share a key and load `pack` vectors of four of its numbers at a time.
    pub fn for_keys(width: usize, pack: usize) -> Self {
        let lane_layout = Self { log_blocks: 2, log_loads: pack.ilog2() };
        if pack > 1 && width.is_multiple_of(lane_layout.group()) { lane_layout } else { Self::NATURAL }
    }

    /// [`Self::for_lanes`], or the natural order on devices whose lanes have their own rows of weights.
    pub fn of(lanes_share_rows: bool, width: usize) -> Self {
        if lanes_share_rows { Self::for_lanes(width) } else { Self::NATURAL }
    }

    /// Shader parameter of a layout for lanes: the blocks of a group as a power of two, 0 for the natural order.
    pub fn word(self) -> usize {
        self.log_blocks as usize
    }

    /// Shader parameter of a layout for keys: the loads of a block as a power of two, 0 for the natural order.
    pub fn log_loads(self) -> usize {
        self.log_loads as usize
    }

    /// Numbers of a group. Rows consist of whole groups.
    pub fn group(self) -> usize {
        FOUR << (self.log_blocks + self.log_loads)
    }

    /// Index in memory of the number at `index` of a row, or of several consecutive rows.
    pub fn place(self, index: usize) -> usize {
        let (group, within) = (index / self.group(), index % self.group());
        let (four, rest) = (within / FOUR, within % FOUR);
        let (block, load) = (four >> self.log_loads, four & ((1 << self.log_loads) - 1));
        group * self.group() + ((load << self.log_blocks) + block) * FOUR + rest
    }

    /// Converts whole rows from the natural order to this layout.
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
    fn loads_of_neighbouring_lanes_are_adjacent() {
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
    fn loads_of_four_lanes_that_share_a_key_are_adjacent() {
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
    fn groups_divide_rows() {
        let blocks = |width| 1 << LaneLayout::for_lanes(width).log_blocks;
        assert_eq!([4096, 896, 64, 96, 40, 1152].map(blocks), [8, 4, 2, 1, 1, 4]);
        assert_eq!(LaneLayout::for_keys(80, 2), LaneLayout::NATURAL);
        assert_eq!(LaneLayout::of(false, 4096), LaneLayout::NATURAL);
    }
}
