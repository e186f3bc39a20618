//! Default system prompts of checkpoints, with placeholders: `{name}`, `{today}`, `{yesterday}`.
//!
//! These are the placeholders of Mistral's `SYSTEM_PROMPT.txt`; model cards fill in the repository's name and ISO dates.

use std::fmt;

/// A day, as days since 1 January 1970. Displayed as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date(pub i64);

impl fmt::Display for Date {
    /// Source: `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shifted = self.0 + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months are counted from March.
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + 400 * era + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{:02}", day_of_year - (153 * from_march + 2) / 5 + 1)
    }
}

/// Fills in the placeholders of a default system prompt. Without a date, lines with a date are dropped, because a model does better without a
/// date than with a wrong one.
pub fn fill_system_prompt(prompt: &str, name: &str, today: Option<Date>) -> String {
    let dated = |line: &&str| line.contains("{today}") || line.contains("{yesterday}");
    let lines = prompt.split_inclusive('\n').filter(|line| today.is_some() || !dated(line));
    let filled = lines.collect::<String>().replace("{name}", name);
    let Some(Date(days)) = today else { return filled };
    filled.replace("{today}", &Date(days).to_string()).replace("{yesterday}", &Date(days - 1).to_string())
}
