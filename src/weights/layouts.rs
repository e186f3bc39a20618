//! Which layout the matrices of a model get when a checkpoint becomes a package.

use super::layout::Layout;
use super::tensors::TensorSpec;

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

/// What becomes of the matrices of a model: the norms and biases are always f32, and the patch convolution is never narrower
/// than f16.
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
    pub(super) fn of(self, spec: &TensorSpec, held: Layout) -> Layout {
        let vision = spec.name.starts_with("vision.") || spec.name.starts_with("projector.");
        let matrices = match if vision { self.vision } else { self.text } {
            Target::Floats(layout) if !held.is_quantised() => layout,
            Target::All(layout) => layout,
            _ => held,
        };
        match (spec.shape.len(), spec.name.as_str(), matrices) {
            (1, ..) => Layout::F32,
            (_, _, Layout::F32) => Layout::F32,
            // The first thing a picture meets, and a third of a percent of the tower: not worth the loss.
            (_, "vision.patch_conv", _) => Layout::F16,
            _ => matrices,
        }
    }
}

impl From<Layout> for Layouts {
    /// Of all floats.
    fn from(layout: Layout) -> Self {
        Self { text: Target::Floats(layout), vision: Target::Floats(layout) }
    }
}

impl From<Option<Layout>> for Layouts {
    fn from(layout: Option<Layout>) -> Self {
        layout.map_or(Self::default(), Self::from)
    }
}
