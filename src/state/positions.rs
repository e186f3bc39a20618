//! Rope positions of entries, where a picture takes fewer positions than entries.

use crate::config::ImageGrid;

/// The pictures of a conversation whose model has positions on three axes: time, rows and columns. All entries of a picture have the same time;
/// after it, time advances by the longer edge of its grid. Source: `get_rope_index` of `transformers` `modeling_qwen3_vl.py`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Positions {
    /// First entries and grids, in order.
    pictures: Vec<(usize, ImageGrid)>,
}

impl Positions {
    /// Positions of an entry on the three axes.
    pub fn of(&self, entry: usize) -> [usize; 3] {
        // Difference between the number of entries and of positions before it.
        let mut spared = 0;
        for (first, ImageGrid { rows, cols, .. }) in self.pictures.iter().take_while(|(first, _)| *first <= entry) {
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

    /// Records that a picture begins at an entry, and forgets the pictures from there on.
    pub fn place(&mut self, first: usize, grid: ImageGrid) {
        if !self.pictures.contains(&(first, grid)) {
            self.rewind(first);
            self.pictures.push((first, grid));
        }
    }

    /// Forgets pictures that begin at or after this entry.
    pub fn rewind(&mut self, to: usize) {
        self.pictures.retain(|(first, _)| *first < to);
    }
}
