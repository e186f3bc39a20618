//! Control of a request from JavaScript.

use std::sync::Arc;

use wasm_bindgen::prelude::*;

use ocelli::engine::{Meter, RequestControl};

/// Cancels a running request, limits its tokens and time, and counts the frames that its client has read. Usable while the request runs.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct RequestHandle {
    /// The control of the request.
    #[wasm_bindgen(skip)]
    pub control: RequestControl,
    meter: Arc<Meter>,
}

#[wasm_bindgen]
impl RequestHandle {
    /// Creates the handle of a request.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels the request.
    pub fn cancel(&self) {
        self.control.cancel();
    }

    /// Counts a frame that was read. Returns whether the request was paused and continues.
    pub fn read(&self) -> bool {
        self.control.frame_read()
    }

    /// Ends the answers after this many further tokens or milliseconds.
    pub fn allow(&self, tokens: f64, ms: f64) {
        self.meter.allow(tokens, ms);
        self.control.count_by(vec![self.meter.clone()]);
    }

    /// Tokens and milliseconds that the answers have used so far.
    pub fn spent(&self) -> Vec<f64> {
        let (tokens, ms) = self.meter.spent();
        vec![tokens as f64, ms]
    }
}
