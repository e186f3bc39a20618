//! Sizes at which pictures are shown to the model, by the caller's limits and the expected speed of the device.

use crate::config::{ImageGrid, PixelSize};
use crate::error::{Error, Result};
use crate::families::Pictures;

/// Longest edge of a picture at low detail, in pixels, as in the OpenAI API (<https://platform.openai.com/docs/guides/images-vision>).
const LOW_EDGE: usize = 512;
/// Seconds by which pictures of automatic size may delay the first token, if the caller sets no limit.
const PATIENCE: f64 = 10.0;

/// Size at which a picture is shown (`detail` in the OpenAI API).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, strum::EnumString, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_ty = Error, parse_err_fn = no_detail)]
pub enum Detail {
    /// At most 512 pixels long. Models that split pictures into tiles see the whole picture alone.
    Low,
    /// The largest size that the model accepts. Models that split pictures into tiles may enlarge small pictures to it.
    High,
    /// The largest size between the two that the device computes in time.
    #[default]
    Auto,
}

fn no_detail(name: &str) -> Error {
    Error::request("detail", format!("invalid value {name:?}; expected auto, low or high"))
}

/// Limits of pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PictureLimits {
    /// Most pixels of a picture as shown. If only this limit is set, the size at [`Detail::Auto`] depends on nothing but the picture.
    pub max_pixels: Option<u64>,
    /// Most seconds by which the pictures of a request at [`Detail::Auto`] may delay the first token.
    pub max_seconds: Option<f64>,
}

impl PictureLimits {
    /// No limits: every picture has the largest size that the model accepts.
    pub(in crate::engine) const NONE: Self = Self { max_pixels: None, max_seconds: Some(f64::INFINITY) };

    /// Seconds that one of `pictures` pictures of automatic size may take.
    fn seconds(self, pictures: usize) -> Option<f64> {
        let patience = if self.max_pixels.is_some() { None } else { Some(PATIENCE) };
        self.max_seconds.or(patience).map(|seconds| seconds / pictures.max(1) as f64)
    }
}

/// Size of a picture as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct ShownPicture {
    /// The detail that was asked for.
    pub detail: Detail,
    /// Pixels from left to right.
    pub width: usize,
    /// Pixels from top to bottom.
    pub height: usize,
    /// Tokens that it takes in the prompt.
    pub tokens: usize,
}

/// A picture whose size must be chosen.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Its original size.
    pub size: PixelSize,
    /// Its level of detail.
    pub detail: Detail,
    /// Longest edge for which memory suffices.
    pub longest_edge: usize,
    /// Pictures that share the time limit.
    pub pictures: usize,
}

/// Returns the longest edge at which a picture is shown. `seconds` returns the expected duration of a grid, from the tower to the end of
/// its prompt tokens, if known.
///
/// # Errors
/// Errors of [`Pictures::grid`] and of `seconds`.
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

/// Returns the largest edge that fits: `most`, or less by whole cells, but at least `least`.
fn largest(cell: usize, least: usize, most: usize, mut fits: impl FnMut(usize) -> Result<bool>) -> Result<usize> {
    if most <= least || fits(most)? {
        return Ok(most);
    }
    // Bisection over multiples of a cell: `small` fits or is the least, `large` does not fit.
    let (mut small, mut large) = (least / cell, most.div_ceil(cell));
    while large - small > 1 {
        let middle = small.midpoint(large);
        if fits(middle * cell)? { small = middle } else { large = middle }
    }
    Ok((small * cell).max(least))
}
