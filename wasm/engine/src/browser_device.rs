//! The worker's help with a browser's device: pipelines compiled in parallel, of which wgpu 30 has only the call that compiles one after
//! another, and lists of commands that are submitted with one call.

use std::cell::RefCell;
use std::pin::Pin;

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use ocelli::gpu::{Access, BufferCopy, CommandLists};
use wasm_shared::JsResult;

#[wasm_bindgen]
extern "C" {
    /// The worker's part, for the device that was opened last.
    #[wasm_bindgen(typescript_type = "BrowserDevice")]
    #[derive(Debug, Clone)]
    pub type BrowserDevice;

    #[wasm_bindgen(method, catch, js_name = compileAhead)]
    fn compile_ahead(this: &BrowserDevice, name: &str, code: &str, read_only: Array) -> JsResult<Promise>;

    #[wasm_bindgen(method)]
    fn record(this: &BrowserDevice);

    #[wasm_bindgen(method)]
    fn recorded(this: &BrowserDevice) -> u32;

    #[wasm_bindgen(method)]
    fn submit(this: &BrowserDevice, lists: &[u32], source: &JsValue, offset: f64, target: &JsValue, bytes: f64);

    #[wasm_bindgen(method)]
    fn forget(this: &BrowserDevice, list: u32);
}

thread_local! {
    static DEVICE: RefCell<Option<BrowserDevice>> = const { RefCell::new(None) };
}

/// Sets the worker's part.
pub(crate) fn set(device: BrowserDevice) {
    DEVICE.set(Some(device));
}

fn with<T>(act: impl FnOnce(&BrowserDevice) -> T) -> Option<T> {
    DEVICE.with_borrow(|device| device.as_ref().map(act))
}

/// Implements [`ocelli::gpu::CompileAhead`].
pub(crate) fn compile(name: &str, code: &str, bindings: &[Access]) -> Pin<Box<dyn Future<Output = ()>>> {
    let read_only = bindings.iter().map(|access| JsValue::from(*access == Access::Read)).collect();
    let compiling = with(|device| device.compile_ahead(name, code, read_only));
    Box::pin(async move {
        if let Some(Ok(promise)) = compiling {
            // wgpu reports the same error again, in an error scope.
            let _ = JsFuture::from(promise).await;
        }
    })
}

/// Implements [`CommandLists`].
#[derive(Debug)]
pub(crate) struct Lists;

impl CommandLists for Lists {
    fn record(&self) {
        with(BrowserDevice::record);
    }

    fn recorded(&self) -> u32 {
        with(BrowserDevice::recorded).unwrap_or_default()
    }

    fn submit(&self, lists: &[u32], copy: Option<BufferCopy<'_>>) {
        let raw = |buffer: &wgpu::Buffer| buffer.as_webgpu().map_or(JsValue::UNDEFINED, JsValue::from);
        let (source, offset, target, bytes) = match copy {
            Some(BufferCopy { source, offset, target, bytes }) => {
                (raw(source), offset as f64, raw(target), bytes as f64)
            }
            None => (JsValue::UNDEFINED, 0.0, JsValue::UNDEFINED, 0.0),
        };
        with(|device| device.submit(lists, &source, offset, &target, bytes));
    }

    fn forget(&self, list: u32) {
        with(|device| device.forget(list));
    }
}
