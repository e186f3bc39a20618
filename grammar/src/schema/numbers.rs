//! Numbers.

use serde_json::{Number, Value, json};

use super::{Keywords, Walk};
use crate::error::Result;

/// Keywords about numbers.
pub(super) const KEYWORDS: [&str; 5] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"];

/// Largest integer that every parser reads exactly: 2^53 - 1.
pub(super) const MOST: f64 = 9_007_199_254_740_991.0;
/// Largest number with a fraction.
pub(super) const MOST_FRACTION: f64 = 1e15;
/// Largest divisor; the matcher needs as many states.
const MOST_DIVISOR: f64 = 1000.0;

impl Walk<'_> {
    /// Adds constraints on numbers. `fractions` allows them. A `narrow` schema gets the bounds of exact numbers if it has none.
    pub(super) fn numbers(&self, given: &Keywords, out: &mut Keywords, fractions: bool, narrow: bool) -> Result<()> {
        let most = if fractions { MOST_FRACTION } else { MOST };
        let (least, above) = self.bound(given, "minimum", "exclusiveMinimum", |a, b| a >= b)?;
        let (largest, below) = self.bound(given, "maximum", "exclusiveMaximum", |a, b| a <= b)?;
        let (mut low, mut high) = (least.is_some().then_some(above), largest.is_some().then_some(below));
        let mut limits = [least.unwrap_or(-most), largest.unwrap_or(most)];
        for (limit, (bound, keyword)) in limits.iter_mut().zip([(&mut low, "minimum"), (&mut high, "maximum")]) {
            if limit.abs() > most {
                let outside = if keyword == "minimum" { *limit > most } else { *limit < -most };
                if outside {
                    return self.refuse(keyword, "numbers as large are not exact everywhere");
                }
                (*limit, *bound) = (limit.clamp(-most, most), None);
            }
        }
        for (limit, exclusive, [plain, strict]) in
            [(limits[0], low, ["minimum", "exclusiveMinimum"]), (limits[1], high, ["maximum", "exclusiveMaximum"])]
        {
            if narrow || exclusive.is_some() {
                let name = if exclusive == Some(true) { strict } else { plain };
                out.insert(name.into(), Number::from_f64(limit).map_or(Value::Null, Value::Number));
            }
        }
        self.divisor(given, out)
    }

    /// The tighter of a bound and its exclusive form, with `true` for the latter. In draft 4 the exclusive form is a Boolean.
    fn bound(
        &self,
        given: &Keywords,
        plain: &str,
        strict: &str,
        is_tighter: fn(f64, f64) -> bool,
    ) -> Result<(Option<f64>, bool)> {
        let number = |keyword: &str| match given.get(keyword) {
            None | Some(Value::Bool(_)) => Ok(None),
            Some(value) => match value.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(Some(number)),
                None => self.refuse(keyword, "must be a number"),
            },
        };
        let (inclusive, exclusive) = (number(plain)?, number(strict)?);
        Ok(match (inclusive, exclusive, given.get(strict)) {
            (Some(bound), _, Some(Value::Bool(true))) => (Some(bound), true),
            (Some(a), Some(b), _) if is_tighter(b, a) => (Some(b), true),
            (Some(bound), _, _) => (Some(bound), false),
            (None, bound, _) => (bound, bound.is_some()),
        })
    }

    fn divisor(&self, given: &Keywords, out: &mut Keywords) -> Result<()> {
        let Some(value) = given.get("multipleOf") else { return Ok(()) };
        match value.as_f64() {
            Some(number) if (1.0..=MOST_DIVISOR).contains(&number) && number.fract() == 0.0 => {
                out.insert("multipleOf".into(), json!(number as u64));
                Ok(())
            }
            Some(number) if number > 0.0 && number.fract() != 0.0 => self.refuse(
                "multipleOf",
                "validators divide binary fractions, which is not exact: only whole numbers can be enforced",
            ),
            _ => self.refuse("multipleOf", format!("must be a whole number from 1 to {MOST_DIVISOR}")),
        }
    }
}
