//! Prompt lookup: answers are the very same as without it, and what is verified at once is rounded as single steps are.
#![allow(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod answers;
mod bits;
#[path = "../model/packages.rs"]
mod packages;
