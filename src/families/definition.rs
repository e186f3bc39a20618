//! What each family defines: all that the rest of the crate asks of a model without knowing its family.

use super::readers::Family;
use super::tensor_spec::TensorSpec;
use super::tower::Tower;
use crate::chat::layout::ChatLayout;
use crate::config::ImageGrid;
use crate::error::{Error, MANIFEST_FILE, Result};
use crate::image::{PreparedImage, Rgb8, resample};
use crate::layers::Decoder;
use crate::weights::WeightStore;

/// A model of some family, by its configuration.
pub trait Definition {
    /// What the family knows without a model at hand.
    fn family(&self) -> &'static Family;

    /// Every tensor of a model whose configuration was found valid, in the order of use.
    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_>;

    /// How pictures are sized and written into the prompt; `None` for a model that reads no pictures.
    fn pictures(&self) -> Option<&dyn Pictures> {
        None
    }

    /// The picture side in a line, for people; empty for a model without one.
    fn vision_summary(&self) -> String {
        String::new()
    }

    /// Takes the weights of the decoder; [`Error::InvalidPackage`] if one is missing.
    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder>;

    /// The picture side, without its weights; `None` for a model that reads no pictures.
    fn tower(&self) -> Option<Box<dyn Tower>> {
        None
    }

    /// The layout of conversations of that name; [`Error::InvalidPackage`] that lists the names there are.
    fn chat_layout(&self, name: &str) -> Result<&'static ChatLayout> {
        let layouts = self.family().chat_layouts;
        layouts.iter().find(|layout| layout.name == name).copied().ok_or_else(|| {
            let known: Vec<&str> = layouts.iter().map(|layout| layout.name).collect();
            Error::package(MANIFEST_FILE, format!("chat.template is {name:?}, this model knows {}", known.join(", ")))
        })
    }

    /// Names of tensors in GGUF files that repeat a part of others and are not read.
    fn gguf_copies(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a tensor of a GGUF file is of a part that is not run.
    fn gguf_leaves_out(&self, _name: &str) -> bool {
        false
    }
}

/// What a picture becomes on its way into the prompt.
pub trait Pictures {
    /// Longest edge in pixels that a picture is shown at where memory is no matter; of a family that bounds pixels and not edges, here and
    /// below, the side of a square of as many.
    fn largest_edge(&self) -> usize;

    /// What edges are multiples of: one cell of the grid, in pixels.
    fn cell(&self) -> usize;

    /// The grid of cells in which a picture of `(width, height)` pixels is shown if no edge may exceed `longest_edge`, but for rounding
    /// up to whole cells; [`Error::Internal`] for sizes of zero.
    fn grid(&self, from: (usize, usize), longest_edge: usize) -> Result<ImageGrid>;

    /// The token that stands for a row of features wherever it occurs in a prompt.
    fn image_token(&self) -> u32;

    /// The tokens of a picture in the prompt, those that only mark its ends and rows included.
    fn tokens(&self, grid: ImageGrid) -> Vec<u32>;

    /// How many of [`Self::tokens`] are the image token.
    fn rows(&self, grid: ImageGrid) -> usize {
        grid.rows * grid.cols
    }

    /// Rows of features that an image token has: one that it starts from, and one for each of the decoder's first layers behind which it is
    /// added.
    fn rows_of_token(&self) -> usize {
        1
    }

    /// Rows of features of a picture.
    fn feature_rows(&self, grid: ImageGrid) -> usize {
        self.rows(grid) * self.rows_of_token()
    }

    /// Rows of features of a prompt of so many tokens at most, where nothing but the context bounds them.
    fn most_feature_rows(&self, context: usize) -> usize {
        context * self.rows_of_token()
    }

    /// Whether what is behind a picture's token is computed apart from what is before it.
    fn begin_passes(&self) -> bool {
        false
    }

    /// The pictures that a memory plan looks at, for prompts of at most `context` tokens: for its rows of features none takes fewer
    /// positions, which leave room for more of the cache.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape>;

    /// Resamples a picture to the size the model wants.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] when the pixels do not fit the size; as [`Self::grid`].
    fn prepare(&self, picture: &Rgb8, longest_edge: usize) -> Result<PreparedImage> {
        picture.check()?;
        let grid = self.grid((picture.width as usize, picture.height as usize), longest_edge)?;
        Ok(resample(picture, grid, self.cell()))
    }
}

/// A picture in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureShape {
    /// Its cells.
    pub grid: ImageGrid,
    /// Entries of the context that it takes.
    pub tokens: usize,
}
