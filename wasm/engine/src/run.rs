//! The loop in which an engine computes the requests of its queue.

use ocelli::api::Inbox;
use wasm_bindgen::prelude::*;
use wasm_shared::{JsResult, error_object};

use crate::engine::OcelliEngine;
use crate::schedule::OcelliQueue;

#[wasm_bindgen]
impl OcelliEngine {
    /// The most answers computed at once; 1 for a model that computes them one after another.
    #[wasm_bindgen(js_name = maxBatch)]
    pub fn max_batch(&mut self) -> usize {
        self.engine.max_batch()
    }

    /// The queue of this engine's requests.
    pub fn queue(&mut self) -> OcelliQueue {
        self.scheduler.inbox().queue(&self.thrown)
    }

    /// Computes requests until none can continue or the queue is paused, then writes conversations to files if enabled. Must be called
    /// again when a request arrives, is cancelled, or continues because its frames were read.
    pub async fn run(&mut self) -> JsResult<()> {
        loop {
            self.scheduler.run(&mut self.engine).await;
            self.thrown.forget();
            let arrivals = self.scheduler.inbox().clone();
            let (engine, scheduler) = (&mut self.engine, &self.scheduler);
            let is_quiet = || arrivals.is_quiet() && !scheduler.has_work();
            let is_kept = engine.keep_snapshots(&mut || is_quiet()).await.map_err(error_object)?;
            if arrivals.is_paused() || is_kept && is_quiet() {
                return Ok(());
            }
        }
    }
}
