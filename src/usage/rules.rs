//! Rules of budgets.

use serde::Deserialize;
use serde_json::Number;

use crate::api::Limit;
use crate::chat::Date;
use crate::error::{Error, Result};

/// Seconds of a day.
pub(super) const DAY: u64 = 24 * 60 * 60;

/// Usage so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize)]
pub struct Spent {
    /// Tokens of prompts and answers.
    pub tokens: u64,
    /// Seconds of the engine's time.
    pub seconds: f64,
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.tokens = self.tokens.saturating_add(more.tokens);
        self.seconds += more.seconds;
    }
}

/// Owner of a budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub(super) enum Scope {
    Request,
    /// A key on a day.
    Key,
    Batch,
}

/// A budget and its usage.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(super) struct Budget {
    pub(super) scope: Scope,
    pub(super) limit: Limit,
    pub(super) spent: Spent,
}

/// Admits a request with a prompt of so many tokens at `now`, in seconds since 1970.
///
/// # Errors
/// [`Error::BudgetExceeded`] if a budget has no room for the prompt and one more token, or no time left.
pub(super) fn admit(budgets: &[Budget], prompt_tokens: usize, now: u64) -> Result<()> {
    let asked = prompt_tokens as u64 + 1;
    for Budget { scope, limit, spent } in budgets {
        let refused = |unit, (limit, spent), asked| {
            let renews = (*scope == Scope::Key).then(|| (now / DAY + 1) * DAY);
            Err(Error::BudgetExceeded {
                scope: scope.into(),
                unit,
                limit: number(limit),
                spent: number(spent),
                asked,
                renews_at: renews.map(|at| format!("{}T00:00:00Z", day(at))),
                retry_after: renews.map(|at| at - now),
            })
        };
        if let Some(most) = limit.tokens.filter(|most| spent.tokens.saturating_add(asked) > *most) {
            return refused("tokens", (most as f64, spent.tokens as f64), Some(asked));
        }
        if let Some(most) = limit.seconds.filter(|most| spent.seconds >= *most) {
            return refused("seconds", (most, spent.seconds), None);
        }
    }
    Ok(())
}

/// The day (UTC) of a time, such as `2026-11-23`.
pub(super) fn day(now: u64) -> String {
    Date(i64::try_from(now / DAY).unwrap_or_default()).to_string()
}

/// A number for output: integers without a point, others with three decimals.
pub(super) fn number(value: f64) -> Number {
    let rounded = (value * 1e3).round() / 1e3;
    match rounded.fract() == 0.0 {
        true => Number::from(rounded as u64),
        false => Number::from_f64(rounded).unwrap_or_else(|| 0.into()),
    }
}
