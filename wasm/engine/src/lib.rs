//! Exports of the engine's module for the worker of the npm package (`www/src/worker.ts`): only conversions between Rust and JavaScript
//! values. `types.d.ts` and `usage.d.ts` declare these values.

#![cfg(target_arch = "wasm32")]
#![forbid(unsafe_code)]

mod browser_device;
mod engine;
mod grammar;
mod host;
mod loader;
mod picture;
mod run;
mod schedule;
mod service;
mod snapshots;
mod usage;

use wasm_bindgen::prelude::*;

pub use engine::OcelliEngine;
pub use loader::load_engine;
pub use schedule::{OcelliQueue, RequestClient};
pub use service::{OcelliService, OcelliWork, error_reply};
pub use usage::{OcelliAccounts, usage_report};

/// The TypeScript types of all values that are passed, for the module's `.d.ts`.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("types.d.ts");

/// The types of budgets and usage.
#[wasm_bindgen(typescript_custom_section)]
const USAGE_TYPES: &str = include_str!("usage.d.ts");
