//! The shape of a Llama 3.2 Vision model: a decoder with layers of cross-attention and, in models that see, the tower and the projector.

use serde::{Deserialize, Serialize};

use crate::config::{ImageGrid, MAX_HEADS, MAX_LAYERS, MAX_WIDTH, TextConfig, number_fault, size_fault};
use crate::families::vision_faults::{head_fault, normalisation_fault};

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
        let vision = self.vision.as_ref();
        self.text.find_fault().or_else(|| vision.and_then(|vision| vision.find_fault(&self.text)))
    }
}

/// The tower: a transformer with layer norms over the patches of all tiles that a picture may have, be they there or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VisionConfig {
    /// Width of the tower.
    pub hidden_size: usize,
    /// Width of its feed-forward.
    pub intermediate_size: usize,
    /// Its layers before the one that states in between are joined to.
    pub num_hidden_layers: usize,
    /// Global layers after them, with gates.
    pub num_global_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Side of a patch in pixels.
    pub patch_size: usize,
    /// Side of a tile in pixels.
    pub tile_size: usize,
    /// Most tiles of a picture; as many are always computed.
    pub max_num_tiles: usize,
    /// Layers, in order, whose inputs are part of the features.
    pub intermediate_layers: Vec<usize>,
    /// Epsilon of every layer norm.
    pub norm_eps: f32,
    /// Per-channel mean of the normalisation, in 0..1.
    pub image_mean: [f32; 3],
    /// Per-channel standard deviation of the normalisation, in 0..1.
    pub image_std: [f32; 3],
    /// Token of a picture.
    pub image_token_id: u32,
}

impl VisionConfig {
    /// Width of a head.
    pub(super) fn head_dim(&self) -> usize {
        self.hidden_size / self.num_attention_heads
    }

    /// Patches along an edge of a tile.
    pub(super) fn side(&self) -> usize {
        self.tile_size / self.patch_size
    }

    /// Rows of a tile: the class row, and its patches.
    pub fn tile_rows(&self) -> usize {
        self.side().saturating_pow(2).saturating_add(1)
    }

    /// Rows of padding that a tile has in the tower.
    pub(super) fn padding(&self) -> usize {
        self.tile_rows().next_multiple_of(8) - self.tile_rows()
    }

    /// Rows of the tower, whatever the picture.
    pub(super) fn tower_rows(&self) -> usize {
        self.max_num_tiles * (self.tile_rows() + self.padding())
    }

    /// Number of all layers.
    pub(super) fn depth(&self) -> usize {
        self.num_hidden_layers + self.num_global_layers
    }

    /// The arrangements of tiles, rows first. A picture's number among them counts from 1.
    pub(super) fn arrangements(&self) -> impl Iterator<Item = ImageGrid> + use<> {
        let most = self.max_num_tiles;
        (1..=most).flat_map(move |rows| (1..=most / rows).map(move |cols| ImageGrid::new(rows, cols)))
    }

    /// For people.
    pub(super) fn summary(&self) -> String {
        let Self { num_hidden_layers, num_global_layers, hidden_size, num_attention_heads, patch_size, .. } = self;
        format!(
            "{num_hidden_layers} + {num_global_layers} layers, {hidden_size} wide, {num_attention_heads} heads of {}, patches of \
             {patch_size}, up to {} tiles of {} pixels",
            self.head_dim(),
            self.max_num_tiles,
            self.tile_size
        )
    }

    fn find_fault(&self, text: &TextConfig) -> Option<String> {
        if self.patch_size == 0 || self.num_attention_heads == 0 {
            return Some("vision.patch_size or vision.attention_heads is 0".into());
        }
        let sizes = [
            ("vision.attention_heads", self.num_attention_heads, 1, MAX_HEADS),
            ("vision.hidden_size", self.hidden_size, 4, 1 << 12),
            ("vision.intermediate_size", self.intermediate_size, 4, MAX_WIDTH),
            ("vision.num_hidden_layers", self.num_hidden_layers, 1, MAX_LAYERS),
            ("vision.num_global_layers", self.num_global_layers, 1, MAX_LAYERS),
            ("vision.patch_size", self.patch_size, 2, 256),
            ("vision.image_size", self.tile_size, self.patch_size.max(1), 1 << 12),
            ("vision.max_num_tiles", self.max_num_tiles, 1, 16),
            ("patches of a tile", self.side().saturating_pow(2), 1, 1 << 12),
        ];
        let eps = [("vision.norm_eps", f64::from(self.norm_eps))];
        let listed = &self.intermediate_layers;
        let rising = listed.windows(2).all(|pair| pair[0] < pair[1]);
        let lists = rising && listed.last().is_some_and(|&last| last < self.num_hidden_layers);
        let of_parts = size_fault(&sizes)
            .or_else(|| number_fault(&eps))
            .or_else(|| head_fault(self.hidden_size, self.num_attention_heads))
            .or_else(|| (!lists).then(|| format!("vision.intermediate_layers_indices are {listed:?}")))
            .or_else(|| normalisation_fault(self.image_mean, self.image_std));
        of_parts.or_else(|| {
            let rows = self.max_num_tiles * self.tile_rows();
            let fits = text
                .cross
                .as_ref()
                .is_some_and(|cross| cross.picture_rows == rows && cross.image_token_id == self.image_token_id);
            (!fits).then(|| format!("the decoder is not made for pictures of {rows} rows by that token"))
        })
    }
}
