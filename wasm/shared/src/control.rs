//! Control of a request from JavaScript.

use wasm_bindgen::prelude::*;

use ocelli::engine::RequestControl;

/// Cancels a running request, and counts the frames that its reader has read. May be used while the request runs.
#[wasm_bindgen]
#[derive(Debug, Default)]
pub struct RequestHandle {
    /// The control of the request.
    #[wasm_bindgen(skip)]
    pub control: RequestControl,
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
}
