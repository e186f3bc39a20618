//! Numbers.

use serde_json::{Map, Number, Value, json};

use super::Walk;
use super::flat::{Bound, Flat, Part};
use super::values::{MOST, MOST_FRACTION};
use crate::error::Result;

/// Largest divisor; the matcher needs as many states.
pub(super) const MOST_DIVISOR: u64 = 1000;

impl<'a> Walk<'a> {
    /// Adds the schemas of numbers: one, and one more for each number that is excluded. `fractions` allows them.
    pub(super) fn numbers(
        &mut self,
        part: &Part<'a>,
        flat: &Flat<'a>,
        fractions: bool,
        found: &mut Vec<Value>,
    ) -> Result<()> {
        let most = if fractions { MOST_FRACTION } else { MOST };
        let bounds = [(flat.numbers.low, -1.0, "minimum"), (flat.numbers.high, 1.0, "maximum")];
        if let Some((_, _, keyword)) =
            bounds.iter().find(|(bound, sign, _)| bound.is_some_and(|(at, _)| at * sign < -most))
        {
            return part.refuse(keyword, "numbers as large are not exact everywhere");
        }
        if flat.numbers.divisor.is_some_and(|divisor| divisor > MOST_DIVISOR) {
            return part.refuse("multipleOf", format!("more than {MOST_DIVISOR} together"));
        }
        let mut low = flat.numbers.low.filter(|(at, _)| *at >= -most).unwrap_or((-most, false));
        let high = flat.numbers.high.filter(|(at, _)| *at <= most).unwrap_or((most, false));
        let inside = |at: &f64| *at >= low.0 && *at <= high.0;
        let mut excluded: Vec<f64> = flat.excluded.iter().filter_map(Value::as_f64).filter(inside).collect();
        excluded.sort_by(f64::total_cmp);
        let before = found.len();
        for at in excluded {
            found.extend(range(low, (at, true), flat.numbers.divisor, fractions));
            low = (at, true);
        }
        found.extend(range(low, high, flat.numbers.divisor, fractions));
        if found.len() == before {
            self.note(&part.at, "minimum", "no number is in the range");
        }
        Ok(())
    }
}

/// The schema of a range, if a number is in it.
pub(super) fn range(low: Bound, high: Bound, divisor: Option<u64>, fractions: bool) -> Option<Value> {
    let is_empty = if fractions && divisor.is_none() {
        low.0 > high.0 || low.0 == high.0 && (low.1 || high.1)
    } else {
        let step = divisor.unwrap_or(1) as f64;
        let above = (low.0 / step).ceil() * step;
        let first = if low.1 && above == low.0 { above + step } else { above };
        if high.1 { first >= high.0 } else { first > high.0 }
    };
    if is_empty {
        return None;
    }
    let mut out = Map::from_iter([("type".to_owned(), json!(if fractions { "number" } else { "integer" }))]);
    for ((at, is_strict), [plain, strict]) in
        [(low, ["minimum", "exclusiveMinimum"]), (high, ["maximum", "exclusiveMaximum"])]
    {
        let name = if is_strict { strict } else { plain };
        out.insert(name.into(), Number::from_f64(at).map_or(Value::Null, Value::Number));
    }
    if let Some(divisor) = divisor {
        out.insert("multipleOf".into(), json!(divisor));
    }
    Some(Value::Object(out))
}
