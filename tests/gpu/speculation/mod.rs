//! Prompt lookup: answers are the same as without it, and verification rounds like single steps.

mod answers;
mod bits;
