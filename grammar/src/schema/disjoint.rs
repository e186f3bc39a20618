//! Test for schemas that no value can match together. Conservative: returns true only if that is certain.

use serde_json::Value;

use super::Walk;
use super::flat::{Flat, Part};
use super::numbers::range;
use super::values::{NUMBER, OBJECT};

/// Largest number of compared schemas, of which each pair is compared.
const MAX_COMPARED: usize = 150;
/// Limit of schemas expanded for comparisons.
const MAX_WORK: usize = 100_000;
/// Limit of compared properties within properties.
const DEPTH: usize = 4;

impl<'a> Walk<'a> {
    /// Returns true if no value matches two of these schemas.
    pub(super) fn are_disjoint(&mut self, parts: &[Part<'a>]) -> bool {
        if parts.len() > MAX_COMPARED || self.compared > MAX_WORK {
            return false;
        }
        let (before, unfit, was_narrow) = (self.schemas, self.unfit.clone(), self.is_narrow);
        self.is_narrow = false;
        let all: Vec<Vec<Flat<'a>>> = parts.iter().map_while(|part| self.alternatives(part).ok()).collect();
        let mut disjoint = all.len() == parts.len();
        for (index, one) in all.iter().enumerate() {
            let pairs = all[index + 1..].iter().flatten().flat_map(|other| one.iter().map(move |one| (one, other)));
            for (one, other) in pairs {
                disjoint = disjoint && one.and(other).is_none_or(|both| self.is_impossible(&both, DEPTH));
            }
        }
        self.compared += self.schemas - before;
        // Values that an expansion left out may match another schema.
        disjoint &= !self.is_narrow;
        (self.schemas, self.unfit, self.is_narrow) = (before, unfit, was_narrow);
        disjoint
    }

    /// Returns true if no value matches.
    fn is_impossible(&mut self, flat: &Flat<'a>, depth: usize) -> bool {
        if let Some(values) = &flat.values {
            // Patterns of formats are narrower than the formats, here and within lists and objects.
            let is_exact = |value: &Value| !value.is_array() && !value.is_object() && flat.strings.patterns.is_empty();
            return values
                .iter()
                .all(|value| is_exact(value) && self.accepts(flat, value).is_ok_and(|accepted| !accepted));
        }
        let (low, high) =
            (flat.numbers.low.unwrap_or((f64::MIN, false)), flat.numbers.high.unwrap_or((f64::MAX, false)));
        if flat.types & !(NUMBER | OBJECT) != 0 || flat.types & NUMBER != 0 && range(low, high, None, true).is_some() {
            return false;
        }
        flat.types & OBJECT == 0
            || depth > 0
                && flat.objects.required.iter().any(|name| {
                    let parts = self.property(flat, name).unwrap_or_default();
                    let all = self.alternatives_of(&parts);
                    all.is_ok_and(|all| all.iter().all(|inner| self.is_impossible(inner, depth - 1)))
                })
    }
}
