//! Progress bars.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar whose length is not known yet, drawn by an indicatif template.
pub(crate) fn bar(template: &str) -> ProgressBar {
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
