//! Rows of a table that stays in storage.

use std::fmt;
use std::pin::Pin;

use crate::error::Result;

/// Pending read of rows. `// [rows, width]`
pub type RowsFuture<'a> = Pin<Box<dyn Future<Output = Result<Vec<f32>>> + 'a>>;

/// A table whose rows are read one by one, because it is larger than the rest of the model and a pass needs few of its rows.
pub trait RowSource: fmt::Debug {
    /// The numbers of rows by index, in this order.
    ///
    /// # Errors
    /// [`crate::Error::Io`] or the error of the storage; [`crate::Error::InvalidRequest`] for an index outside the table.
    fn rows<'a>(&'a self, indices: &'a [u32]) -> RowsFuture<'a>;
}
