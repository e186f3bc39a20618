//! Pipelines that the browser compiles in parallel. wgpu 30 has only the call that compiles one after another.

use std::cell::RefCell;
use std::pin::Pin;

use js_sys::{Array, Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use ocelli::gpu::Access;
use wasm_shared::JsResult;

thread_local! {
    /// The worker's function. It compiles for the device that was opened last.
    static COMPILE: RefCell<Option<Function>> = const { RefCell::new(None) };
}

/// Sets the worker's function, `(name, code, readOnly) => Promise<void>`.
pub(crate) fn set(compile: Function) {
    COMPILE.set(Some(compile));
}

/// Implements [`ocelli::gpu::CompileAhead`].
pub(crate) fn compile(name: &str, code: &str, bindings: &[Access]) -> Pin<Box<dyn Future<Output = ()>>> {
    let compiling = call(name, code, bindings);
    Box::pin(async move {
        if let Ok(Some(promise)) = compiling {
            // wgpu reports the same error again, in an error scope.
            let _ = JsFuture::from(promise).await;
        }
    })
}

fn call(name: &str, code: &str, bindings: &[Access]) -> JsResult<Option<Promise>> {
    let Some(compile) = COMPILE.with_borrow(Clone::clone) else { return Ok(None) };
    let read_only: Array = bindings.iter().map(|access| JsValue::from(*access == Access::Read)).collect();
    let compiling = compile.call3(&JsValue::NULL, &name.into(), &code.into(), &read_only)?;
    Ok(Some(Promise::resolve(&compiling)))
}
