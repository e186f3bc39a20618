//! What the rotations of entries stand for, where a picture takes fewer positions than it has entries.

use crate::config::ImageGrid;

/// The pictures among the entries of a conversation whose model gives them positions on three axes: time, rows and columns. All entries of
/// a picture stand at one time; behind it time goes on by its longer edge. Source: `get_rope_index` of `transformers`
/// `modeling_qwen3_vl.py`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// Their first entries and their grids, in order.
    pictures: Vec<(usize, ImageGrid)>,
}

impl Positions {
    /// Positions on the three axes of an entry.
    pub fn of(&self, entry: usize) -> [usize; 3] {
        // How many entries more there are before it than positions.
        let mut spared = 0;
        for (first, ImageGrid { rows, cols }) in self.pictures.iter().take_while(|(first, _)| *first <= entry) {
            let index = entry - first;
            if index < rows * cols {
                let start = first - spared;
                return [start, start + index / cols, start + index % cols];
            }
            spared += rows * cols - rows.max(cols);
        }
        [entry - spared; 3]
    }

    /// First entries and grids of the pictures.
    pub(super) fn pictures(&self) -> &[(usize, ImageGrid)] {
        &self.pictures
    }

    /// States that a picture begins at an entry; what was known of entries from there on is forgotten.
    pub fn place(&mut self, first: usize, grid: ImageGrid) {
        if !self.pictures.contains(&(first, grid)) {
            self.rewind(first);
            self.pictures.push((first, grid));
        }
    }

    /// Forgets pictures that begin at this entry or behind it.
    pub fn rewind(&mut self, to: usize) {
        self.pictures.retain(|(first, _)| *first < to);
    }
}
