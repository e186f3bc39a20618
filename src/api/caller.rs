//! The caller of a tool.

use super::field::Fields;
use crate::error::Result;

/// Requires that the model itself made a call, not a program that it wrote.
pub(super) fn check_caller(fields: &Fields<'_>) -> Result<()> {
    match fields.get("caller") {
        Some(caller) if caller.object()?.need("type")?.str()? != "direct" => {
            Err(caller.unsupported("only direct calls are supported"))
        }
        _ => Ok(()),
    }
}
