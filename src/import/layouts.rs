//! Which layout the matrices of a model get when a checkpoint becomes a package.

use crate::families::TensorSpec;
use crate::layout::Layout;

/// What becomes of matrices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// 32-bit floats stay, narrower ones become f16; what is quantised keeps its bits.
    #[default]
    Keep,
    /// Floats get this layout; what is quantised keeps its bits.
    Floats(Layout),
    /// Everything gets this layout. What is quantised is made numbers first and rounded a second time.
    All(Layout),
}

/// What becomes of the matrices of a model. Vectors are always f32, and no matrix is rounded to a layout coarser than its family allows
/// ([`TensorSpec::floor`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Layouts {
    /// Of the decoder, its embedding and its head.
    pub text: Target,
    /// Of the tower and the projector.
    pub vision: Target,
}

impl Layouts {
    /// The least memory: the whole decoder in 4.25 bits a weight, whatever the checkpoint holds; the tower as it is.
    pub const COMPACT: Self = Self { text: Target::All(Layout::Q4_64), vision: Target::Keep };

    /// These layouts with another one for the vision half. Where the text is made anew, the vision half is as well.
    #[must_use]
    pub fn with_vision(self, layout: Layout) -> Self {
        let vision = if let Target::All(_) = self.text { Target::All(layout) } else { Target::Floats(layout) };
        Self { vision, ..self }
    }

    /// The layout of a tensor that the checkpoint holds as `held`.
    pub fn of(self, spec: &TensorSpec, held: Layout) -> Layout {
        if !spec.is_matrix() {
            return Layout::F32;
        }
        let layout = match if spec.role.is_text() { self.text } else { self.vision } {
            Target::Floats(layout) if !held.is_quantised() => layout,
            Target::All(layout) => layout,
            _ => held,
        };
        // To round blocks to 16 bits would lose more than to keep them. Frames are added, so that no block of theirs is kept.
        let is_kept = held.is_quantised() && layout == held && spec.frames.is_none();
        // Layouts are in the order of their precision.
        spec.floor.filter(|_| !is_kept).map_or(layout, |floor| layout.min(floor))
    }
}

impl From<Layout> for Layouts {
    /// Of all floats.
    fn from(layout: Layout) -> Self {
        Self { text: Target::Floats(layout), vision: Target::Floats(layout) }
    }
}
