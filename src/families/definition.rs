//! The interface of a model family: everything the rest of the crate needs to know about a model.

use super::readers::Family;
use super::tensor_spec::TensorSpec;
use crate::chat::EmbeddingSettings;
use crate::chat::layout::ChatLayout;
use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, MANIFEST_FILE, Result};
use crate::gpu::Features;
use crate::image::{PreparedImage, Rgb8, resample};
use crate::layers::Decoder;
use crate::layers::vision::Tower;
use crate::weights::WeightStore;

/// A model of some family, implemented by its configuration.
pub trait Definition {
    /// The family.
    fn family(&self) -> &'static Family;

    /// All tensors of a model with a valid configuration, in the order of use.
    fn tensors(&self) -> Box<dyn Iterator<Item = TensorSpec> + '_>;

    /// Rules for sizes and tokens of pictures; `None` for a text model.
    fn pictures(&self) -> Option<&dyn Pictures> {
        None
    }

    /// The tower in one line, for people; empty for a text model.
    fn vision_summary(&self) -> String {
        String::new()
    }

    /// Builds the decoder from its weights; [`Error::InvalidPackage`] if one is missing.
    fn decoder(&self, weights: &mut WeightStore) -> Result<Decoder>;

    /// The tower, without its weights; `None` for a text model.
    fn tower(&self) -> Option<Tower> {
        None
    }

    /// Prompts of the family's embedding models; `None` if it has no such models.
    fn embedding(&self) -> Option<EmbeddingSettings> {
        None
    }

    /// The chat layout of that name; otherwise an [`Error::InvalidPackage`] that lists the known names.
    fn chat_layout(&self, name: &str) -> Result<&'static ChatLayout> {
        let layouts = self.family().chat_layouts;
        layouts.iter().find(|layout| layout.name == name).copied().ok_or_else(|| {
            let known: Vec<&str> = layouts.iter().map(|layout| layout.name).collect();
            Error::package(MANIFEST_FILE, format!("chat.template is {name:?}, this model knows {}", known.join(", ")))
        })
    }

    /// Returns whether answers in this chat layout print a control token, because it belongs to their text.
    fn prints(&self, _layout: &str, _token: &str) -> bool {
        false
    }

    /// Optional features that kernels must not use because numbers of the model exceed their range.
    fn avoids(&self) -> Features {
        Features::NONE
    }

    /// Names of tensors in GGUF files that only repeat a part of others; importers skip them.
    fn gguf_duplicates(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns whether a tensor of a GGUF file belongs to a part that is not run, such as heads for multi-token prediction.
    fn gguf_ignores(&self, _name: &str) -> bool {
        false
    }
}

/// Sizes of pictures, and their tokens in the prompt.
pub trait Pictures {
    /// Largest size at which a picture is shown, however much memory there is.
    fn size_limit(&self) -> SizeLimit;

    /// [`Self::size_limit`] as an edge. Plans and requests limit pictures by an edge, which families that limit areas square.
    fn largest_edge(&self) -> usize {
        self.size_limit().edge()
    }

    /// Side of a cell of the grid in pixels; edges of resized pictures are multiples of it.
    fn cell(&self) -> usize;

    /// The grid of cells at which a picture of that size is shown, if the limit is `longest_edge` (before rounding up to whole cells);
    /// [`Error::Internal`] for sizes of zero.
    fn grid(&self, from: PixelSize, longest_edge: usize) -> Result<ImageGrid>;

    /// The token whose embeddings are replaced by features.
    fn image_token(&self) -> u32;

    /// The tokens of a picture in the prompt, including those that mark its ends and rows.
    fn tokens(&self, grid: ImageGrid) -> Vec<u32>;

    /// Number of image tokens among [`Self::tokens`].
    fn rows(&self, grid: ImageGrid) -> usize {
        grid.rows * grid.cols
    }

    /// Rows of features of an image token: its embedding, and with DeepStack one for each of the first decoder layers, added after it.
    fn rows_of_token(&self) -> usize {
        1
    }

    /// Rows of features of a picture.
    fn feature_rows(&self, grid: ImageGrid) -> usize {
        self.rows(grid) * self.rows_of_token()
    }

    /// Most rows of features in a prompt of `context` tokens; 0 where the context does not bound them.
    fn max_feature_rows(&self, context: usize) -> usize {
        context * self.rows_of_token()
    }

    /// Returns whether a picture must be at the beginning of a pass, so that a prompt is cut before each.
    fn must_begin_pass(&self) -> bool {
        false
    }

    /// The pictures that a memory plan must have room for, in prompts of at most `context` tokens: of all pictures with as many rows of
    /// features, these take the fewest positions, which leaves the most for the KV cache.
    fn shapes(&self, longest_edge: usize, context: usize) -> Vec<PictureShape>;

    /// Resizes a picture for the model.
    ///
    /// # Errors
    /// [`Error::InvalidImage`] if the number of pixels does not match the size; the errors of [`Self::grid`].
    fn prepare(&self, picture: &Rgb8, longest_edge: usize) -> Result<PreparedImage> {
        picture.check()?;
        let grid = self.grid(picture.into(), longest_edge)?;
        Ok(resample(picture, grid, self.cell()))
    }
}

/// The size that a family limits pictures to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeLimit {
    /// Pixels of the longer edge.
    Edge(usize),
    /// Pixels of the whole picture.
    Area(usize),
}

impl SizeLimit {
    /// The longest edge, or the side of the square of that area.
    pub fn edge(self) -> usize {
        match self {
            Self::Edge(edge) => edge,
            Self::Area(pixels) => pixels.isqrt(),
        }
    }
}

/// A picture in the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureShape {
    /// Its grid of cells.
    pub grid: ImageGrid,
    /// Tokens of the prompt that it takes.
    pub tokens: usize,
}
