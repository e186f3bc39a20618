//! Files, standard output and standard error.

use std::io::Write;
use std::path::Path;

use ocelli::engine::Event;
use ocelli::{Error, Result};

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path.display(), &e))
}

/// Writes a line to standard error.
pub(crate) fn inform(text: &str) {
    // If standard error is closed, only the exit code remains.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Writes an error to standard error.
pub(crate) fn complain(error: &Error) {
    inform(&format!("error[{}]: {error}", error.code()));
}

/// Reports events that concern the user on standard error.
pub(crate) fn tell(event: &Event) {
    if let Event::Recovering { attempt, reason } = event {
        inform(&format!("the GPU was lost ({reason}); opening it again, attempt {attempt}"));
    }
}

/// Writes text to standard output and flushes it. A closed pipe is an error, not a panic.
pub(crate) fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", &e))
}

/// Writes a line to standard output.
pub(crate) fn print(line: &str) -> Result<()> {
    print_text(&format!("{line}\n"))
}

/// JSON for standard output.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal { detail: e.to_string() })
}
