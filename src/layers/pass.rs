//! One pass of some rows through a decoder, while it is recorded.

use super::step::splits;
use super::workspace::Workspace;
use crate::gpu::{Recording, Slice};

/// What a recording of a pass depends on besides its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Many rows of a prompt, by the kernels for many rows. The recording is for these very entries.
    Chunk {
        /// Cache entry of the first row.
        first_entry: usize,
    },
    /// One token, or a token and drafts behind it, by the kernels for few rows. Where the rows stand is read from the step buffer on
    /// the GPU, so one recording serves any number of tokens.
    Step {
        /// Workgroups that share the attention of a key-value head.
        splits: usize,
    },
}

impl Form {
    /// A step of so many rows, the first at cache entry `entry`.
    pub(crate) fn step(entry: usize, rows: usize) -> Self {
        Self::Step { splits: splits(entry + rows) }
    }
}

/// Rows on their way through the layers.
///
/// Three things that are often one number are kept apart: the *cache entry* of a row (where its keys and values go: consecutive, from
/// `first_entry` or the step buffer on), its *position id* (what its rotation stands for), and the *row of the rope table* that holds
/// this rotation (entry minus the entry that the table begins with, see [`super::step`]).
#[derive(Debug)]
pub struct Pass<'a> {
    /// Where launches go.
    pub recording: &'a mut Recording,
    /// The buffers that layers use in turn.
    pub work: &'a Workspace,
    /// Rows in `work.x`. `// [rows, hidden]`
    pub rows: usize,
    /// Which kernels do the work.
    pub form: Form,
}

impl Pass<'_> {
    /// The residual stream. `// [rows, hidden]`
    pub fn x(&self) -> Slice {
        self.work.x.all()
    }

    /// Whether it is a [`Form::Step`].
    pub fn is_step(&self) -> bool {
        matches!(self.form, Form::Step { .. })
    }
}
