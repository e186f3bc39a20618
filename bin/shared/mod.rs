//! Parts that several commands share.

pub(crate) mod access;
pub(crate) mod api;
pub(crate) mod args;
pub(crate) mod ask;
pub(crate) mod callers;
pub(crate) mod disk;
pub(crate) mod documents;
pub(crate) mod form;
pub(crate) mod formats;
pub(crate) mod io;
pub(crate) mod kept;
pub(crate) mod keys;
pub(crate) mod models;
pub(crate) mod open;
pub(crate) mod pdf;
pub(crate) mod pictures;
pub(crate) mod progress;
pub(crate) mod quant;
pub(crate) mod report;
pub(crate) mod tuning;
pub(crate) mod units;
