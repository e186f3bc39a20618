//! What a family says about each of its tensors, in one place: name, shape, use, and where importers find it.

use std::ops::Range;

use crate::layout::Layout;

/// What a tensor is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The embedding: a row is looked up for each token. Where embeddings are tied, it is the head as well.
    Embedding,
    /// Decoder layer of that index.
    Layer(usize),
    /// The final norm and the output projection.
    Head,
    /// A stage of the picture side, in the order of use: 0 is what comes before the first layer of the tower, `1..=n` are its layers,
    /// `n + 1` is the projector.
    Vision(usize),
}

impl Role {
    /// Whether the tensor belongs to the decoder rather than to the picture side.
    pub fn is_text(self) -> bool {
        !matches!(self, Self::Vision(_))
    }
}

/// A tensor that a model needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Name in `model.json`.
    pub name: String,
    /// `[len]` of a vector or `[rows, cols]` of a matrix.
    pub shape: Vec<usize>,
    /// What it is used for.
    pub role: Role,
    /// Names in Hugging Face checkpoints, likeliest first.
    pub hf: Vec<String>,
    /// Name in GGUF files; `None` if the family is not imported from them.
    pub gguf: Option<String>,
    /// Name of the matrix that this one becomes a part of on the GPU, where the layouts of all parts allow it. The parts have the same
    /// inputs, and their rows follow one another in the order of the list of tensors.
    pub fuse: Option<String>,
    /// The coarsest layout it may be rounded to; `None` for any. Blocks that a checkpoint holds stay as they are.
    pub floor: Option<Layout>,
    /// The shape in checkpoints where it differs, such as `[out, channels, height, width]` of a convolution. Row-major order is the same.
    pub checkpoint_shape: Option<Vec<usize>>,
    /// Where checkpoints hold two tensors that are added: runs of so many numbers, first of the one, then of the other, in turn. In GGUF
    /// files the second is a tensor of its own, its name that of the first and `.1`.
    pub frames: Option<usize>,
    /// Which rows of the checkpoint's tensor it is, if not all.
    pub pick: Option<Pick>,
    /// Which columns of the checkpoint's matrix it is, if not all.
    pub columns: Option<Columns>,
    /// What its numbers are multiplied by on import.
    pub gate: Option<Gate>,
    /// What Hugging Face checkpoints hold in its place; GGUF files hold the very numbers.
    pub stored: Stored,
    /// Whether it is a vector that products of few rows read beside their inputs: on a GPU it has their
    /// [`LaneLayout`](crate::layout::LaneLayout).
    pub beside_inputs: bool,
}

/// Columns of a matrix: `count` of them, the first and every `step`-th behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// The first.
    pub first: usize,
    /// From one to the next.
    pub step: usize,
    /// How many they are.
    pub count: usize,
    /// How many the matrix has.
    pub of: usize,
}

impl Columns {
    /// These columns of some rows. `// [rows, of]` to `// [rows, count]`
    pub fn of_rows(self, rows: &[f32]) -> Vec<f32> {
        let Self { first, step, count, of } = self;
        rows.chunks_exact(of).flat_map(|row| row.iter().skip(first).step_by(step).take(count)).copied().collect()
    }
}

/// A number in a tensor of its own that decides how much of a tensor counts. Hugging Face checkpoints hold it before its tanh.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its names in Hugging Face checkpoints, likeliest first.
    pub hf: Vec<String>,
    /// Whether the tensor has what the gate leaves of 1.
    pub is_rest: bool,
}

impl Gate {
    /// What the tensor is multiplied by, for the number in the checkpoint.
    pub fn factor(&self, stored: f32) -> f32 {
        // The nearest to the true one: what is quantised may lie half way between two steps.
        let tanh = f64::from(stored).tanh();
        (if self.is_rest { 1.0 - tanh } else { tanh }) as f32
    }
}

/// Runs of rows: of every `of` rows the `run` ones from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    /// Rows of a run.
    pub run: usize,
    /// Rows from the beginning of a run to that of the next.
    pub of: usize,
    /// Rows before the first run.
    pub first: usize,
}

impl Pick {
    /// Where rows of the tensor are in the checkpoint's: runs of neighbours.
    pub fn runs(self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let Self { run, of, first } = self;
        let mut next = rows.start;
        std::iter::from_fn(move || {
            let end = rows.end.min((next / run + 1) * run);
            let start = next / run * of + first + next % run;
            let found = (next < end).then(|| start..start + end - next);
            next = end;
            found
        })
    }
}

/// What a number of a checkpoint says about that of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is the number.
    Plain,
    /// It is less by 1.
    LessOne,
    /// It is the logarithm of the number's opposite.
    LogOfRate,
}

impl Stored {
    /// The number.
    pub fn number(self, stored: f32) -> f32 {
        match self {
            Self::Plain => stored,
            Self::LessOne => stored + 1.0,
            Self::LogOfRate => -stored.exp(),
        }
    }
}

impl TensorSpec {
    /// A tensor that no checkpoint is known to hold yet.
    pub fn new(name: impl Into<String>, shape: &[usize], role: Role) -> Self {
        let (hf, gguf, fuse, floor, checkpoint_shape, frames) = (Vec::new(), None, None, None, None, None);
        let (pick, columns, gate, stored, beside_inputs) = (None, None, None, Stored::Plain, false);
        Self {
            name: name.into(),
            shape: shape.to_vec(),
            role,
            hf,
            gguf,
            fuse,
            floor,
            checkpoint_shape,
            frames,
            pick,
            columns,
            gate,
            stored,
            beside_inputs,
        }
    }

    /// With its names in Hugging Face checkpoints: each of `prefixes` before `name`.
    pub fn hf(self, prefixes: &[&str], name: &str) -> Self {
        Self { hf: prefixes.iter().map(|prefix| format!("{prefix}{name}")).collect(), ..self }
    }

    /// With its name in GGUF files.
    pub fn gguf(self, name: impl Into<String>) -> Self {
        Self { gguf: Some(name.into()), ..self }
    }

    /// As the weight of a norm that products of few rows do themselves.
    pub fn beside_inputs(self) -> Self {
        Self { beside_inputs: true, ..self }
    }

    /// As a part of a fused matrix.
    pub fn fuse(self, name: impl Into<String>) -> Self {
        Self { fuse: Some(name.into()), ..self }
    }

    /// Multiplied by the tanh of a gate, which each of `prefixes` stands before, or by what that leaves of 1.
    pub fn gated(self, prefixes: &[&str], name: &str, is_rest: bool) -> Self {
        let hf = prefixes.iter().map(|prefix| format!("{prefix}{name}")).collect();
        Self { gate: Some(Gate { hf, is_rest }), ..self }
    }

    /// Whether it is a matrix; else it is a vector.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Whether a checkpoint's tensor of this shape is the one meant.
    pub fn fits(&self, shape: &[usize]) -> bool {
        let also = self.checkpoint_shape.as_deref();
        // Of a shape that is another than the tensor's, sizes of 1 say nothing.
        let long = |shape: &[usize]| shape.iter().copied().filter(|&size| size > 1).collect::<Vec<_>>();
        (also.is_none() || self.pick.is_none() && self.columns.is_none()) && self.shape == shape
            || also.is_some_and(|also| long(also) == long(shape) || self.frames.is_some() && both_frames(also) == shape)
    }

    /// The frames of a tensor of that shape in which both are.
    pub fn frames_of(&self, shape: &[usize]) -> Option<usize> {
        self.frames.filter(|_| self.checkpoint_shape.as_deref().is_some_and(|also| both_frames(also) == shape))
    }

    /// Numbers in the tensor.
    #[allow(clippy::len_without_is_empty, reason = "no tensor of a checked model is empty")]
    pub fn len(&self) -> u64 {
        self.shape.iter().map(|&size| size as u64).product()
    }
}

/// The shape of two convolutions in one: `[out, channels, 2, height, width]`.
fn both_frames(shape: &[usize]) -> Vec<usize> {
    let mut both = shape.to_vec();
    both.insert(2.min(shape.len()), 2);
    both
}
