//! The shape of a MiniCPM-V model: Qwen3.5's decoder and, in models that see, the tower and how pictures are sliced.

use serde::{Deserialize, Serialize};

use super::windows::{CELL, WINDOW};
use crate::checkpoint::vocabulary::Vocabulary;
use crate::config::{MAX_WIDTH, TextConfig, size_fault};
use crate::error::{Error, Result};
use crate::families::config::ModelConfig;
use crate::families::siglip::Siglip;
use crate::families::vision_faults::token_fault;

/// Most slices of a picture.
const MAX_SLICES: usize = 64;
/// Slices of a picture where the checkpoint does not say, and the layer before the merger: defaults of `image_processing_minicpmv4_6.py` and
/// `configuration_minicpmv4_6.py`.
pub(super) const USUAL_SLICES: usize = 9;
pub(super) const USUAL_LAYER: usize = 6;

/// Decoder and picture side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// The decoder.
    pub text: TextConfig,
    /// The picture side; absent where it was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vision: Option<VisionConfig>,
}

impl Config {
    /// A model whose decoder counts positions by tokens, those of pictures, too.
    pub(super) fn new(mut text: TextConfig, vision: Option<VisionConfig>) -> Self {
        text.rope.sections = None;
        Self { text, vision }
    }

    /// Returns the reason why this crate cannot run the model, if there is one.
    pub(crate) fn find_fault(&self) -> Option<String> {
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(self.text.vocab_size)))
    }
}

impl From<Config> for ModelConfig {
    fn from(config: Config) -> Self {
        Self::MiniCpmV4_6(config)
    }
}

/// The tower, its mergers, and the slices of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// The tower. Its picture is the square that the table of positions covers.
    pub tower: Siglip,
    /// The layer after which the patches of a window become one.
    pub merged_layer: usize,
    /// Side of a square as large as a slice in pixels.
    pub scale_resolution: usize,
    /// Most slices of a picture; with 1 pictures are not sliced.
    pub max_slices: usize,
    /// Token that features replace.
    pub image_token_id: u32,
    /// Tokens around the views of a picture.
    pub markers: Markers,
}

/// Tokens around the views of a picture. A marker is several tokens if the vocabulary has none for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    /// Before and after the whole picture: `<image>`, `</image>`.
    pub whole: [Vec<u32>; 2],
    /// Before and after a slice: `<slice>`, `</slice>`.
    pub slice: [Vec<u32>; 2],
    /// Between rows of slices: a line end.
    pub row_end: Vec<u32>,
}

impl Markers {
    /// Takes the markers from the vocabulary.
    pub(super) fn of(vocabulary: &Vocabulary) -> Result<Self> {
        let pair = |begin: &str, end: &str| Ok::<_, Error>([vocabulary.encode(begin)?, vocabulary.encode(end)?]);
        Ok(Self {
            whole: pair("<image>", "</image>")?,
            slice: pair("<slice>", "</slice>")?,
            row_end: vocabulary.encode("\n")?,
        })
    }
}

impl VisionConfig {
    /// Side of a cell in pixels.
    pub(super) fn cell_side(&self) -> usize {
        CELL * self.tower.patch_size
    }

    /// Width of the patches of a window side by side.
    pub(super) fn window_width(&self) -> usize {
        WINDOW * self.tower.hidden_size
    }

    fn find_fault(&self, vocab_size: usize) -> Option<String> {
        let Markers { whole, slice, row_end } = &self.markers;
        let ids = whole.iter().chain(slice).flatten().chain(row_end).chain([&self.image_token_id]).copied();
        let (tower, cell) = (&self.tower, self.cell_side());
        let sizes = || {
            size_fault(&[
                ("cells along vision.scale_resolution", self.scale_resolution / cell, 1, 1 << 6),
                ("vision.max_slices", self.max_slices, 1, MAX_SLICES),
                ("layers up to vision.merged_layer", self.merged_layer.saturating_add(1), 1, tower.num_hidden_layers),
                ("vision.hidden_size of a window", self.window_width(), 4, MAX_WIDTH),
                ("vision.intermediate_size of a window", WINDOW * tower.intermediate_size, 4, MAX_WIDTH),
            ])
        };
        // Rows of a window's places begin where a binding may.
        let width = tower.hidden_size;
        let widths =
            || (!width.is_multiple_of(16)).then(|| format!("vision.hidden_size is {width}, no multiple of 16"));
        tower.find_fault().or_else(widths).or_else(sizes).or_else(|| token_fault(&ids.collect::<Vec<_>>(), vocab_size))
    }
}
