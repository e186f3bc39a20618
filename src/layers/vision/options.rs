//! The description of a vision tower: how pictures are cut, and what a block is made of.

use super::picture::Pixels;
use super::rope::PatchRope;
use crate::config::Activation;
use crate::gpu::buffer;
use crate::kernels::patchify::Patches;

/// A tower of blocks of one kind over the patches of one picture.
#[derive(Debug)]
pub struct TowerOptions {
    /// How pictures are cut into patches.
    pub grid: PatchGrid,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of blocks.
    pub layers: usize,
    /// Kind of the norms.
    pub norm: NormKind,
    /// Epsilon of the norms.
    pub eps: f32,
    /// Heads of queries, and as many of keys and values.
    pub heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Scale of scores; `head_dim^-0.5` if `None`.
    pub score_scale: Option<f32>,
    /// True if queries, keys and values of every head are normed, the values without a weight.
    pub head_norms: bool,
    /// True if inputs and outputs of a block's products are clamped between bounds of their own.
    pub clips: bool,
    /// Rotation of queries and keys; `None` where learned positions alone tell patches apart.
    pub rope: Option<PatchRope>,
    /// The feed-forward.
    pub feed_forward: FeedForward,
    /// The products with a bias.
    pub biases: Biases,
    /// Names of a block's tensors.
    pub names: BlockNames,
    /// Consecutive rows that become one token, which are computed together.
    pub rows_per_token: usize,
    /// Further work memory of the family's own stages.
    pub projector: ProjectorMemory,
}

/// How pictures are cut into patches and normalised.
#[derive(Debug, Clone, Copy)]
pub struct PatchGrid {
    /// Side of a patch in pixels.
    pub side: usize,
    /// Side in patches of the squares whose patches are consecutive rows; with 1 the patches come row by row.
    pub merge: usize,
    /// Mean of each channel, in 0..1.
    pub mean: [f32; 3],
    /// Standard deviation of each channel, in 0..1.
    pub std: [f32; 3],
}

/// The kind of a tower's norms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NormKind {
    /// Root mean square: a weight, no bias.
    Rms,
    /// Layer norm: a weight and a bias.
    Layer,
}

/// The feed-forward of a block.
#[derive(Debug, Clone, Copy)]
pub struct FeedForward {
    /// Inner width.
    pub width: usize,
    /// Activation of the inner rows, or of the gate.
    pub activation: Activation,
    /// The first product makes a gate beside the inner rows.
    pub gated: bool,
}

/// The products of a block that have a bias.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Biases {
    /// No product.
    None,
    /// Both of the feed-forward.
    FeedForward,
    /// All products.
    All,
}

/// Names of a block's tensors within `vision.layers.N.`.
#[derive(Debug, Clone, Copy)]
pub struct BlockNames {
    /// Norm before the attention.
    pub attention_norm: &'static str,
    /// Matrix that makes queries alone, where `projections` make keys and values only. It saves the memory of all queries at the price of a
    /// second norm of most rows.
    pub queries: Option<&'static str>,
    /// Matrices that make queries, keys and values side by side. One may be fused.
    pub projections: &'static [&'static str],
    /// Output product of the attention.
    pub output: &'static str,
    /// Norm before the feed-forward.
    pub feed_forward_norm: &'static str,
    /// First products of the feed-forward, side by side: with a gate, gate and up, which may be one fused matrix.
    pub up: &'static [&'static str],
    /// Second product of the feed-forward.
    pub down: &'static str,
    /// Norms of the results of attention and feed-forward before they are added to the residual stream, if any.
    pub post_norms: Option<[&'static str; 2]>,
}

/// Work memory that stages of a family need beside that of the blocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProjectorMemory {
    /// Least width of [`Workspace::wide`](super::Workspace::wide).
    pub wide: usize,
    /// Least width of [`Workspace::act`](super::Workspace::act).
    pub act: usize,
    /// Set if a stage uses [`Workspace::in_keys`](super::Workspace::in_keys).
    pub in_keys: bool,
    /// Set if a stage reads one of `wide` and `act` and writes the other.
    pub two_buffers: bool,
}

impl PatchGrid {
    /// The patches of a picture.
    pub fn patches(&self, pixels: &Pixels<'_>) -> Patches {
        let Self { side, merge, mean, std } = *self;
        Patches { width: pixels.width, height: pixels.height, side, merge, mean, std }
    }
}

impl TowerOptions {
    /// Width of all heads of a row.
    pub(super) fn heads_width(&self) -> usize {
        self.heads * self.head_dim
    }

    /// Returns whether the queries of all rows are kept, because they are made together with keys and values.
    pub(super) fn keeps_queries(&self) -> bool {
        self.names.queries.is_none()
    }

    /// Returns whether [`Workspace::wide`](super::Workspace::wide) and [`Workspace::act`](super::Workspace::act) are two buffers: a kernel reads
    /// one and writes the other for a gate, for queries of a chunk, and in stages of some families.
    pub(super) fn has_two_buffers(&self) -> bool {
        self.feed_forward.gated || !self.keeps_queries() || self.projector.two_buffers
    }

    /// Widths of [`Workspace::wide`](super::Workspace::wide) and [`Workspace::act`](super::Workspace::act).
    pub(super) fn widths(&self) -> [usize; 2] {
        let (width, inner) = (self.heads_width(), self.feed_forward.width);
        let products = if self.keeps_queries() { 3 * width } else { 2 * width };
        let wide = products.max(self.projector.wide).max(if self.feed_forward.gated { 2 * inner } else { inner });
        let clipped = if self.clips { self.hidden } else { 0 };
        let act = self.projector.act.max(3 * self.grid.side * self.grid.side).max(clipped);
        if self.has_two_buffers() { [wide, act.max(inner).max(width)] } else { [wide.max(act); 2] }
    }

    /// Rows of a chunk are a multiple of this: whole tokens, and every chunk begins where a binding may, at a multiple of 256 bytes.
    pub(super) fn row_alignment(&self) -> usize {
        // Keys and values may be 16-bit floats.
        let widths = [self.hidden, self.heads_width() / 2, self.head_dim];
        let aligned = buffer::row_alignment(if self.rope.is_some() { &widths } else { &widths[..2] });
        // The least common multiple: `aligned` is a power of two.
        let (token, twos) = (self.rows_per_token, self.rows_per_token.trailing_zeros());
        aligned.max(1 << twos) * (token >> twos)
    }
}
