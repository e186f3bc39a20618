//! How large a picture is shown to the model: what the caller asks for, and what the device is expected to do in time.

use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::Pictures;

/// Longest edge of a picture at low detail, in pixels: that of the OpenAI API
/// (<https://platform.openai.com/docs/guides/images-vision>).
const LOW_EDGE: usize = 512;
/// Seconds that a picture of automatic size may put off the first token, where the caller sets no limit of any kind.
const PATIENCE: f64 = 10.0;

/// How large a picture is shown: `detail` in the OpenAI API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, strum::EnumString, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_detail)]
pub enum Detail {
    /// At most 512 pixels long.
    Low,
    /// The largest size that the model takes.
    High,
    /// The largest size between the two that the device computes in time.
    #[default]
    Auto,
}

fn no_detail(name: &str) -> Error {
    Error::request("detail", format!("{name:?} is none of auto, low and high"))
}

/// Limits of pictures, whatever their detail.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PictureLimits {
    /// Pixels of a picture as it is shown. The size of [`Detail::Auto`] then depends on nothing but the picture, unless `max_seconds` is
    /// set as well.
    pub max_pixels: Option<u64>,
    /// Seconds that the pictures of a request of [`Detail::Auto`] may put off the first token.
    pub max_seconds: Option<f64>,
}

impl PictureLimits {
    /// For prompts that are scored: every picture as large as the model takes it.
    pub(in crate::engine) const NONE: Self = Self { max_pixels: None, max_seconds: Some(f64::INFINITY) };

    /// Seconds that a picture of automatic size may take, if it is one of so many.
    fn seconds(self, pictures: usize) -> Option<f64> {
        let patience = if self.max_pixels.is_some() { None } else { Some(PATIENCE) };
        self.max_seconds.or(patience).map(|seconds| seconds / pictures.max(1) as f64)
    }
}

/// A picture as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ShownPicture {
    /// The detail that was asked for.
    pub detail: Detail,
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Tokens of the prompt that it takes.
    pub tokens: usize,
}

/// A picture to be sized.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its size.
    pub size: PixelSize,
    /// How large it is to be.
    pub detail: Detail,
    /// Longest edge that there is memory for.
    pub longest_edge: usize,
    /// Pictures that share the time.
    pub pictures: usize,
}

/// The longest edge at which a picture is shown. `seconds` tells how long the device takes for a grid, from the tower to the end of its
/// tokens in the prompt, as far as that is known.
///
/// # Errors
/// As [`Pictures::grid`], or what `seconds` says.
pub fn longest_edge(
    rules: &dyn Pictures,
    wanted: Wanted,
    limits: PictureLimits,
    mut seconds: impl FnMut(ImageGrid) -> Result<Option<f64>>,
) -> Result<usize> {
    let Wanted { size, detail, longest_edge: full, pictures } = wanted;
    let cell = rules.cell();
    let fits = |edge: usize| {
        let grid = rules.grid(size, edge)?;
        let pixels = (grid.rows * grid.cols) as u64 * (cell * cell) as u64;
        Ok(limits.max_pixels.is_none_or(|most| pixels <= most))
    };
    let low = LOW_EDGE.min(full);
    let allowed = largest(cell, cell, if detail == Detail::Low { low } else { full }, fits)?;
    let patience = limits.seconds(pictures).filter(|_| detail == Detail::Auto && allowed > low);
    let Some(patience) = patience else { return Ok(allowed) };
    largest(cell, low, allowed, |edge| {
        let known = seconds(rules.grid(size, edge)?)?;
        Ok(known.is_none_or(|seconds| seconds <= patience))
    })
}

/// The largest edge that fits: `most`, or less by whole cells, but at least `least`.
fn largest(cell: usize, least: usize, most: usize, mut fits: impl FnMut(usize) -> Result<bool>) -> Result<usize> {
    if most <= least || fits(most)? {
        return Ok(most);
    }
    // What is in between lies on multiples of a cell; the first bound fits or is the least, the second does not fit.
    let (mut small, mut large) = (least / cell, most.div_ceil(cell));
    while large - small > 1 {
        let middle = small.midpoint(large);
        if fits(middle * cell)? { small = middle } else { large = middle }
    }
    Ok((small * cell).max(least))
}
