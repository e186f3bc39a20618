//! Descriptions of tensors: name, shape, use, and where importers find them.

use std::ops::Range;

use crate::layout::Layout;

/// The use of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The embedding: a row is looked up for each token. With tied embeddings it is also the head.
    Embedding,
    /// A table whose rows are read from storage: it is never on the device.
    Rows,
    /// Decoder layer of that index.
    Layer(usize),
    /// The final norm and the output projection.
    Head,
    /// A stage of the tower, in the order of use: 0 is the stem, `1..=n` are the layers, `n + 1` is the projector.
    Vision(usize),
}

impl Role {
    /// Returns whether the tensor belongs to the decoder rather than to the tower.
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
    /// Its use.
    pub role: Role,
    /// Names in Hugging Face checkpoints, in the order in which they are tried.
    pub hf: Vec<String>,
    /// Name in GGUF files; `None` if the family is not imported from them.
    pub gguf: Option<String>,
    /// Name of the matrix that this one becomes a part of on the GPU, if the layouts of all parts allow it. The parts have the same inputs;
    /// their rows are stacked in the order of the list of tensors.
    pub fuse: Option<String>,
    /// The coarsest layout it may be rounded to; `None` for any. Quantised blocks of a checkpoint are kept as they are.
    pub floor: Option<Layout>,
    /// The shape in checkpoints if it differs, such as `[out, channels, height, width]` of a convolution; the row-major order is the same.
    pub checkpoint_shape: Option<Vec<usize>>,
    /// The tensor is the sum of two of a checkpoint, such as a convolution over two equal frames. Hugging Face checkpoints interleave them in
    /// runs of so many numbers; GGUF files have the second as a tensor with `.1` after the first one's name.
    pub frames: Option<usize>,
    /// The rows of the checkpoint's tensor that it consists of, if not all.
    pub pick: Option<Pick>,
    /// The columns of the checkpoint's matrix that it consists of, if not all.
    pub columns: Option<Columns>,
    /// A factor that is multiplied in on import.
    pub gate: Option<Gate>,
    /// The form of its numbers in Hugging Face checkpoints; GGUF files hold the numbers themselves.
    pub stored: Stored,
    /// The weight of a norm that matvec kernels fold into their product: on the GPU it has the
    /// [`LaneLayout`](crate::layout::LaneLayout) of their inputs.
    pub beside_inputs: bool,
}

/// Columns of a matrix: the first and every `step`-th after it, and as many from each of the `runs - 1` columns after the first; `count` in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Columns {
    /// The first.
    pub first: usize,
    /// Distance from one to the next.
    pub step: usize,
    /// Columns to begin at.
    pub runs: usize,
    /// Their number.
    pub count: usize,
    /// Columns of the matrix.
    pub of: usize,
}

impl Columns {
    /// Selects these columns of rows. `// [rows, of]` to `// [rows, count]`
    pub fn of_rows(self, rows: &[f32]) -> Vec<f32> {
        let Self { first, step, runs, count, of } = self;
        let run = |row: &'_ [f32], at: usize| {
            row.iter().skip(first + at).step_by(step).take(count / runs).copied().collect::<Vec<_>>()
        };
        rows.chunks_exact(of).flat_map(|row| (0..runs).flat_map(move |at| run(row, at))).collect()
    }
}

/// A scalar that scales a tensor: the tanh of a number that Hugging Face checkpoints hold in a tensor of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its names in Hugging Face checkpoints, in the order in which they are tried.
    pub hf: Vec<String>,
    /// Scale by 1 - tanh instead.
    pub is_rest: bool,
}

impl Gate {
    /// The factor for a number in a checkpoint.
    pub fn factor(&self, stored: f32) -> f32 {
        // In f64: a small error could move a number to another quantisation step.
        let tanh = f64::from(stored).tanh();
        (if self.is_rest { 1.0 - tanh } else { tanh }) as f32
    }
}

/// A choice or another order of rows, or of the numbers of a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Runs of `run` rows from `first` on, one in every `of` rows.
    Runs {
        /// Rows of a run.
        run: usize,
        /// Distance between the beginnings of runs.
        of: usize,
        /// Rows before the first run.
        first: usize,
    },
    /// Heads of so many rows that turn by two axes, each axis in one half of a head. The tensor has the first halves of both axes' pairs before
    /// the second ones, those of rows before those of columns: its pairs are half a head apart, as kernels read them.
    Axes(usize),
}

impl Pick {
    /// Maps rows of the tensor to runs of consecutive rows of the checkpoint's.
    pub fn runs(self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let run = match self {
            Self::Runs { run, .. } => run,
            Self::Axes(dim) => dim / 4,
        };
        let place = move |index: usize| match self {
            Self::Runs { of, first, .. } => index * of + first,
            // A head's quarters hold columns, columns, rows, rows.
            Self::Axes(dim) => index / 4 * dim + [2, 0, 3, 1][index % 4] * (dim / 4),
        };
        let mut next = rows.start;
        std::iter::from_fn(move || {
            let end = rows.end.min((next / run + 1) * run);
            let start = place(next / run) + next % run;
            let found = (next < end).then(|| start..start + end - next);
            next = end;
            found
        })
    }
}

/// The form in which a checkpoint stores the numbers of a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// The number itself.
    Plain,
    /// The number minus 1.
    LessOne,
    /// The logarithm of the negated number.
    LogOfRate,
    /// A bound, which may be infinite: it becomes the largest number.
    Bound,
}

impl Stored {
    /// Restores a stored number.
    pub fn number(self, stored: f32) -> f32 {
        match self {
            Self::Plain => stored,
            Self::LessOne => stored + 1.0,
            Self::LogOfRate => -stored.exp(),
            Self::Bound => stored.clamp(f32::MIN, f32::MAX),
        }
    }
}

impl TensorSpec {
    /// A tensor without names in checkpoints.
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

    /// Sets its names in Hugging Face checkpoints: `name` after each of `prefixes`.
    pub fn hf(self, prefixes: &[&str], name: &str) -> Self {
        Self { hf: prefixes.iter().map(|prefix| format!("{prefix}{name}")).collect(), ..self }
    }

    /// Sets its name in GGUF files.
    pub fn gguf(self, name: impl Into<String>) -> Self {
        Self { gguf: Some(name.into()), ..self }
    }

    /// Marks it as the weight of a norm that matvec kernels fold into their product.
    pub fn beside_inputs(self) -> Self {
        Self { beside_inputs: true, ..self }
    }

    /// Makes it a part of a fused matrix.
    pub fn fuse(self, name: impl Into<String>) -> Self {
        Self { fuse: Some(name.into()), ..self }
    }

    /// Scales it by the tanh of the gate `name` (after each of `prefixes`), or by 1 - tanh.
    pub fn gated(self, prefixes: &[&str], name: &str, is_rest: bool) -> Self {
        let hf = prefixes.iter().map(|prefix| format!("{prefix}{name}")).collect();
        Self { gate: Some(Gate { hf, is_rest }), ..self }
    }

    /// Returns whether it is a matrix rather than a vector.
    pub fn is_matrix(&self) -> bool {
        self.shape.len() == 2
    }

    /// Returns whether a checkpoint's tensor may have this shape.
    pub fn fits(&self, shape: &[usize]) -> bool {
        let also = self.checkpoint_shape.as_deref();
        // Sizes of 1 are ignored in a shape that differs from the tensor's.
        let long = |shape: &[usize]| shape.iter().copied().filter(|&size| size > 1).collect::<Vec<_>>();
        let is_whole = self.columns.is_none_or(|columns| columns.count == columns.of);
        (also.is_none() || self.pick.is_none() && is_whole) && self.shape == shape
            || also.is_some_and(|also| long(also) == long(shape) || self.frames.is_some() && both_frames(also) == shape)
    }

    /// [`Self::frames`], if a checkpoint's tensor of that shape holds both.
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
