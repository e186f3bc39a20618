//! Commands that need one file each.

pub(crate) mod bench;
pub(crate) mod cache;
pub(crate) mod chat;
pub(crate) mod describe;
mod doctags;
mod find;
pub(crate) mod inspect;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod pack;
mod pages;
pub(crate) mod score;
pub(crate) mod search;
pub(crate) mod synth;
