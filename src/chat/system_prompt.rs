//! Default system prompts as checkpoints publish them, with blanks: `{name}`, `{today}`, `{yesterday}`.
//!
//! They are those of Mistral's `SYSTEM_PROMPT.txt`, which the model cards fill with the repository's name and ISO dates.

use std::fmt;

/// A day of the Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Date {
    /// Year.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, from 1.
    pub day: u32,
}

impl Date {
    /// The day that is so many days after 1 January 1970. Source: `civil_from_days`,
    /// <https://howardhinnant.github.io/date_algorithms.html>.
    pub fn from_days(days: i64) -> Self {
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        // Months are counted from March.
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + 400 * era + i64::from(month <= 2),
            month: month as u32,
            day: (day_of_year - (153 * from_march + 2) / 5 + 1) as u32,
        }
    }

    /// Days since 1 January 1970.
    pub fn days(self) -> i64 {
        let year = self.year - i64::from(self.month <= 2);
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let from_march = i64::from((self.month + 9) % 12);
        let day_of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        era * 146_097 + 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
    }

    /// The day before.
    #[must_use]
    pub fn yesterday(self) -> Self {
        Self::from_days(self.days() - 1)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Fills the blanks of a default system prompt. Without a date, lines that speak of one are left out: a model told no date does better
/// than one that is told a wrong one.
pub fn fill_system_prompt(prompt: &str, name: &str, today: Option<Date>) -> String {
    let dated = |line: &&str| line.contains("{today}") || line.contains("{yesterday}");
    let lines = prompt.split_inclusive('\n').filter(|line| today.is_some() || !dated(line));
    let mut filled = lines.collect::<String>().replace("{name}", name);
    if let Some(today) = today {
        filled = filled.replace("{today}", &today.to_string()).replace("{yesterday}", &today.yesterday().to_string());
    }
    filled
}
