//! Prompt lookup: answers are the very same as without it, and what is verified at once is rounded as single steps are.

mod answers;
mod bits;
