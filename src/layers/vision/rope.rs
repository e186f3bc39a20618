//! Rotation of queries and keys by the row and the column of a patch.

use crate::config::RopePairs;
use crate::kernels::rope::table;
use crate::layers::rope::rotation;

/// The rotation: the first half of a head's pairs rotates with the row, the second with the column.
#[derive(Debug, Clone, Copy)]
pub struct PatchRope {
    /// Base of the frequencies.
    pub theta: f64,
    /// Lanes of a head that form a pair.
    pub pairs: RopePairs,
    /// Frequencies of rows and columns.
    pub frequencies: Frequencies,
}

/// The frequencies, of those that a head with one axis would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frequencies {
    /// Even ones for rows, odd ones for columns (`transformers` `modeling_pixtral.py`).
    Alternating,
    /// Even ones for both (`transformers` `modeling_qwen3_vl.py`).
    Shared,
}

impl PatchRope {
    /// Cosine and sine for patches at these rows and columns. `// [places, head_dim / 2, 2]`
    pub fn angles(&self, head_dim: usize, places: impl Iterator<Item = (usize, usize)>) -> Vec<[f32; 2]> {
        let from = |first: usize| {
            let frequency = |i: usize| self.theta.powf(-2.0 * i as f64 / head_dim as f64) as f32;
            (first..head_dim / 2).step_by(2).map(frequency).collect::<Vec<f32>>()
        };
        let frequencies = [from(0), from(usize::from(self.frequencies == Frequencies::Alternating))];
        let axis = |(at, frequencies): (usize, &Vec<f32>)| {
            frequencies.iter().map(|frequency| rotation(frequency * at as f32, 1.0)).collect::<Vec<_>>()
        };
        places.flat_map(|(row, column)| [row, column].into_iter().zip(&frequencies).map(axis)).flatten().collect()
    }

    /// The table of rotations as the kernel reads it. `// [places, head_dim]`
    pub(super) fn table(&self, head_dim: usize, places: impl Iterator<Item = (usize, usize)>) -> Vec<u8> {
        bytemuck::cast_slice(&table(self.pairs, head_dim, &self.angles(head_dim, places))).to_vec()
    }
}
