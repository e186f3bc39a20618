//! Progress bars.

use std::ops::ControlFlow;

use indicatif::{ProgressBar, ProgressStyle};
use ocelli::import::Progress;

use super::io;

/// A progress bar of unknown length, with an indicatif template.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = if io::is_quiet() { ProgressBar::hidden() } else { ProgressBar::new(0) };
    bar.with_style(style)
}

/// Runs `import` with a progress bar of the weights written.
pub(crate) fn with_weights_bar<T>(import: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> T) -> T {
    let bar = bar("{bar:40} {percent:>3}% of {human_len} weights, {eta} left");
    let imported = import(&mut |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    imported
}
