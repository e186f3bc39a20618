//! Budgets and usage: limits of what requests may use, by request, key and batch, and sums of what they used, by key and day.
//!
//! The platform supplies the clock and a [`Ledger`], which stores the counts.

mod accounts;
mod rules;
mod sums;
#[cfg(test)]
mod tests;

pub use accounts::{Accounts, BatchBudget, Bill, Ledger, Limits, Then};
pub use rules::Spent;
pub use sums::{Counts, Sums, is_day};
