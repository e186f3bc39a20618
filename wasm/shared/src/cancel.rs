//! What ends or holds work from JavaScript.

use std::sync::Arc;

use wasm_bindgen::prelude::*;

use ocelli::engine::{Meter, RequestControl};

/// Ends or holds a running request within one token. May be called while the request is awaited.
#[wasm_bindgen]
#[derive(Default)]
pub struct CancelFlag(#[wasm_bindgen(skip)] pub RequestControl, Arc<Meter>);

#[wasm_bindgen]
impl CancelFlag {
    /// A flag that is not set.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the flag.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Has the request wait before its next token, or go on.
    pub fn hold(&self, is_held: bool) {
        self.0.hold(is_held);
    }

    /// Whether others want the engine: then a request that is held leaves it.
    #[wasm_bindgen(js_name = giveWay)]
    pub fn yield_to_others(&self, gives_way: bool) {
        self.0.yield_to_others(gives_way);
    }

    /// Whether another request could be answered beside this one.
    #[wasm_bindgen(js_name = makeRoom)]
    pub fn make_room(&self, makes_room: bool) {
        self.0.make_room(makes_room);
    }

    /// Has the answers end as they are when they have taken so many tokens more, or so many milliseconds.
    pub fn allow(&self, tokens: f64, ms: f64) {
        self.1.allow(tokens, ms);
        self.0.count_by(vec![self.1.clone()]);
    }

    /// Tokens and milliseconds that the answers have taken since the first time.
    pub fn spent(&self) -> Vec<f64> {
        let (tokens, ms) = self.1.spent();
        vec![tokens as f64, ms]
    }
}
