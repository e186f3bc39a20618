//! The shape of an Idefics3 model: a plain decoder and, in models that see, the tower and how pictures are split.

use serde::{Deserialize, Serialize};

use crate::checkpoint::vocabulary::Vocabulary;
use crate::config::{TextConfig, size_fault};
use crate::error::Result;
use crate::families::siglip::Siglip;
use crate::families::vision_faults::token_fault;

/// Most tiles along an edge of a picture.
const MAX_TILES: usize = 8;

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
    /// Returns the reason why this crate cannot run the model, if there is one.
    pub(crate) fn find_fault(&self) -> Option<String> {
        self.text.find_fault().or_else(|| self.vision.as_ref()?.find_fault(self.text.vocab_size))
    }
}

/// The tower, the connector, and the tiles of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// The tower, whose picture is a tile.
    pub tower: Siglip,
    /// Side of the square of patches that becomes one token.
    pub scale_factor: usize,
    /// Longest edge of every picture after the first resize, which enlarges small pictures; whole tiles.
    pub longest_edge: usize,
    /// Pictures are split into tiles, beside which the whole picture is shown; otherwise only the whole is.
    pub splits: bool,
    /// Token that features replace.
    pub image_token_id: u32,
    /// Tokens around the views of a picture.
    pub markers: Markers,
}

/// Tokens around the views of a picture. A marker is several tokens if the vocabulary has none for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markers {
    /// Before every view, and after the last: `<fake_token_around_image>`.
    pub edge: Vec<u32>,
    /// Before the whole picture, after the edge: `<global-img>`.
    pub whole: Vec<u32>,
    /// Before each tile, after the edge, row by row: `<row_1_col_1>` and so on. `// [side, side]`
    pub tiles: Vec<Vec<u32>>,
    /// After a row of tiles: a line end.
    pub row_end: Vec<u32>,
    /// After the last row of tiles: two line ends.
    pub last_row_end: Vec<u32>,
}

impl VisionConfig {
    /// Takes the markers from the vocabulary.
    pub(super) fn with_markers(self, vocabulary: &Vocabulary) -> Result<Self> {
        let side = self.most_tiles().min(MAX_TILES);
        let encode = |text: &str| vocabulary.encode(text);
        let tile = |tile: usize| encode(&format!("<row_{}_col_{}>", tile / side + 1, tile % side + 1));
        let markers = Markers {
            edge: encode("<fake_token_around_image>")?,
            whole: encode("<global-img>")?,
            tiles: (0..side * side).map(tile).collect::<Result<_>>()?,
            row_end: encode("\n")?,
            last_row_end: encode("\n\n")?,
        };
        Ok(Self { markers, ..self })
    }

    /// Side of a tile in pixels.
    pub(super) fn tile(&self) -> usize {
        self.tower.image_size
    }

    /// Tokens of a view that features replace.
    pub(super) fn tokens_of_view(&self) -> usize {
        (self.tower.side() / self.scale_factor).pow(2)
    }

    /// Tiles along the longest edge of a picture.
    pub(super) fn most_tiles(&self) -> usize {
        if self.splits { self.longest_edge.checked_div(self.tile()).unwrap_or(0) } else { 1 }
    }

    fn find_fault(&self, vocab_size: usize) -> Option<String> {
        let (tile, markers, tiles) = (self.tile(), &self.markers, self.most_tiles().saturating_pow(2));
        let groups = [&markers.edge, &markers.whole, &markers.row_end, &markers.last_row_end];
        let ids = groups.into_iter().chain(&markers.tiles).flatten().chain([&self.image_token_id]).copied();
        let sizes = || {
            size_fault(&[
                ("vision.image_size", tile, 2, 1 << 12),
                ("vision.longest_edge", self.longest_edge, tile, MAX_TILES * tile),
                ("patches along a tile, with the scale_factor,", self.tower.side(), self.scale_factor, 1 << 10),
                ("markers of tiles", markers.tiles.len(), tiles, tiles),
            ])
        };
        self.tower.find_fault().or_else(sizes).or_else(|| token_fault(&ids.collect::<Vec<_>>(), vocab_size))
    }
}
