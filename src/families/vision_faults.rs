//! Checks that the configurations of all towers need.

use crate::config::{MAX_HEAD_DIM, number_fault};

/// The fault of a tower's heads: together they must be as wide as the tower.
pub(super) fn head_fault(hidden_size: usize, heads: usize) -> Option<String> {
    let head_dim = hidden_size.checked_div(heads).unwrap_or(0);
    let fits = head_dim * heads == hidden_size && head_dim.is_multiple_of(8) && (1..=MAX_HEAD_DIM).contains(&head_dim);
    (!fits).then(|| format!("vision.hidden_size is {hidden_size} in {heads} heads"))
}

/// The fault of the normalisation of pixels.
pub(super) fn normalisation_fault(mean: [f32; 3], std: [f32; 3]) -> Option<String> {
    let is_bad = mean.iter().any(|mean| !mean.is_finite());
    number_fault(&std.map(|std| ("vision.image_std", f64::from(std))))
        .or_else(|| is_bad.then(|| format!("vision.image_mean is {mean:?}")))
}

/// The fault of the tokens of pictures.
pub(super) fn token_fault(ids: &[u32], vocab_size: usize) -> Option<String> {
    let id = ids.iter().find(|&&id| id as usize >= vocab_size)?;
    Some(format!("picture token {id} lies outside the vocabulary of {vocab_size}"))
}
