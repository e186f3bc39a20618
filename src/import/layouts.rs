//! Choice of the layouts of a model's matrices on import.

use crate::families::TensorSpec;
use crate::layout::Layout;

/// Conversion of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// 32-bit floats stay, narrower ones become f16; quantised matrices keep their bits.
    #[default]
    Keep,
    /// Floats get this layout; quantised matrices keep their bits.
    Floats(Layout),
    /// Every matrix gets this layout. Quantised matrices are dequantised first and rounded a second time.
    All(Layout),
}

/// Conversion of the matrices of a model. Vectors are always f32, and no matrix gets a coarser layout than its family allows
/// ([`TensorSpec::floor`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layouts {
    /// Decoder, embedding and head.
    pub text: Target,
    /// Tower and projector.
    pub vision: Target,
}

impl Layouts {
    /// The least memory: the whole decoder in 4.25 bits a weight, even if the checkpoint is quantised; the tower is kept.
    pub const COMPACT: Self = Self { text: Target::All(Layout::Q4_64), vision: Target::Keep };

    /// Replaces the layout of the vision half. If the text is requantised, so is the vision half.
    #[must_use]
    pub fn with_vision(self, layout: Layout) -> Self {
        let vision = if let Target::All(_) = self.text { Target::All(layout) } else { Target::Floats(layout) };
        Self { vision, ..self }
    }

    /// The layout of a tensor that the checkpoint stores as `held`.
    pub fn of(self, spec: &TensorSpec, held: Layout) -> Layout {
        if !spec.is_matrix() {
            return Layout::F32;
        }
        let layout = match if spec.role.is_text() { self.text } else { self.vision } {
            Target::Floats(layout) if !held.is_quantised() => layout,
            Target::All(layout) => layout,
            _ => held,
        };
        // Blocks are kept, because rounding them to 16 bits would lose more. Frames are summed, so their blocks cannot be kept.
        let is_kept = held.is_quantised() && layout == held && spec.frames.is_none();
        // Layouts are in the order of their precision.
        spec.floor.filter(|_| !is_kept).map_or(layout, |floor| layout.min(floor))
    }
}

impl From<Layout> for Layouts {
    /// Converts all floats to this layout.
    fn from(layout: Layout) -> Self {
        Self { text: Target::Floats(layout), vision: Target::Floats(layout) }
    }
}
