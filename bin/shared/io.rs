//! Files, standard output and standard error.

use std::borrow::Cow;
use std::io::{IsTerminal, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ocelli::engine::Event;
use ocelli::{Error, Result};

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| Error::io(path.display(), &e))
}

/// Reads standard input.
///
/// # Errors
/// `io` if it has more than so many bytes.
pub(crate) fn read_standard(most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().lock().take(most as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| Error::io("standard input", &error))?;
    if bytes.len() > most {
        return Err(Error::Io { path: "standard input".into(), reason: format!("has more than {most} bytes") });
    }
    Ok(bytes)
}

/// The text without control characters other than line breaks and tabs: a terminal obeys them, and text of models and files has any.
pub(crate) fn harmless(text: &str) -> Cow<'_, str> {
    let is_harmless = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\t');
    if text.chars().all(is_harmless) {
        text.into()
    } else {
        text.chars().filter(|letter| is_harmless(*letter)).collect()
    }
}

/// The bytes to write to `out`.
fn shown<'a>(text: &'a str, out: &impl IsTerminal) -> Cow<'a, str> {
    if out.is_terminal() { harmless(text) } else { text.into() }
}

/// Set by [`set_quiet`].
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// Suppresses remarks and progress, but no errors.
pub(crate) fn set_quiet(is_quiet: bool) {
    IS_QUIET.store(is_quiet, Ordering::Relaxed);
}

/// Returns true if only errors are written to standard error.
pub(crate) fn is_quiet() -> bool {
    IS_QUIET.load(Ordering::Relaxed)
}

/// Writes a remark to standard error, unless the command is quiet.
pub(crate) fn inform(text: &str) {
    if !is_quiet() {
        warn(text);
    }
}

/// Writes text to standard error, unless the command is quiet.
pub(crate) fn remark(text: &str) {
    if !is_quiet() {
        let mut out = std::io::stderr();
        let _ = write!(out, "{}", shown(text, &out));
    }
}

/// Writes a line to standard error.
pub(crate) fn warn(text: &str) {
    let mut out = std::io::stderr();
    // If standard error is closed, only the exit code remains.
    let _ = writeln!(out, "{}", shown(text, &out));
}

/// Writes an error to standard error.
pub(crate) fn complain(error: &Error) {
    warn(&format!("error[{}]: {error}", error.code()));
}

/// Reports events that concern the user on standard error.
pub(crate) fn tell(event: &Event) {
    match event {
        Event::Recovering { attempt, reason } => {
            inform(&format!("the GPU was lost ({reason}); opening it again, attempt {attempt}"));
        }
        Event::Processor { device } => {
            inform(&format!("continuing on the processor: {}", device.reason.as_deref().unwrap_or_default()));
        }
        _ => {}
    }
}

/// Writes text to standard output and flushes it. A closed pipe is an error, not a panic.
pub(crate) fn print_text(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(shown(text, &out).as_bytes()).and_then(|()| out.flush()).map_err(|e| Error::io("standard output", &e))
}

/// Writes a line to standard output.
pub(crate) fn print(line: &str) -> Result<()> {
    print_text(&format!("{line}\n"))
}

/// JSON for standard output.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::Internal { detail: e.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_receives_no_control_characters() {
        let text = "\u{1b}]52;c;aGk=\u{7}a\tb\r\n\u{9b}31m\u{7f}\0é\u{85}世";
        assert_eq!(harmless(text), "]52;c;aGk=a\tb\n31mé世");
        assert_eq!(harmless("plain\n"), "plain\n");
    }
}
