//! The processor as a device in a page: another wasm module, called through an object of the worker (`www/src/worker/cpu.ts`).

use std::cell::RefCell;
use std::pin::Pin;
use std::sync::Arc;

use js_sys::{Function, Promise};
use ocelli::error::{Error, Result};
use ocelli::gpu::host::{Fault, Job, Span};
use ocelli::gpu::{Host, HostReport};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use wasm_shared::Thrown;

#[wasm_bindgen]
extern "C" {
    /// `CpuHost` of `types.d.ts`.
    #[wasm_bindgen(typescript_type = "CpuHost")]
    #[derive(Debug, Clone)]
    pub type CpuHost;

    #[wasm_bindgen(method)]
    fn alloc(this: &CpuHost, bytes: f64) -> f64;
    #[wasm_bindgen(method)]
    fn free(this: &CpuHost, at: f64);
    #[wasm_bindgen(method)]
    fn write(this: &CpuHost, at: f64, bytes: &[u8]);
    #[wasm_bindgen(method)]
    fn read(this: &CpuHost, at: f64, bytes: f64) -> Vec<u8>;
    #[wasm_bindgen(method)]
    fn run(this: &CpuHost, words: &[u32]) -> u32;
    #[wasm_bindgen(method, js_name = giveWay)]
    fn give_way(this: &CpuHost) -> Promise;
    #[wasm_bindgen(method, getter)]
    fn instructions(this: &CpuHost) -> String;
    #[wasm_bindgen(method, getter)]
    fn threads(this: &CpuHost) -> u32;
}

thread_local! {
    static OPENER: RefCell<Option<(Function, Thrown)>> = const { RefCell::new(None) };
    static GIVEN: RefCell<Option<CpuHost>> = const { RefCell::new(None) };
}

/// Sets the function that opens the processor, which takes a download. Its exceptions are kept in `thrown`.
pub(crate) fn set(opener: Function, thrown: Thrown) {
    OPENER.set(Some((opener, thrown)));
    GIVEN.set(None);
}

/// Calls the function that opens the processor.
pub(crate) fn prepare() -> Pin<Box<dyn Future<Output = Result<()>>>> {
    let opener = OPENER.with_borrow(Clone::clone);
    Box::pin(async move {
        let (opener, thrown) = opener.ok_or_else(missing)?;
        let opened = async { JsFuture::from(Promise::resolve(&opener.call0(&JsValue::NULL)?)).await };
        let host: JsValue = thrown.keep("the processor", opened.await)?;
        GIVEN.set(Some(host.unchecked_into()));
        Ok(())
    })
}

/// Opens the processor that [`prepare`] was given.
pub(crate) fn open(_: Option<usize>) -> Result<Arc<dyn Host>> {
    let given = GIVEN.with_borrow(Clone::clone);
    Ok(Arc::new(PageHost(given.ok_or_else(missing)?)))
}

fn missing() -> Error {
    Error::WebgpuUnavailable { reason: "the module of the processor is not loaded".into() }
}

/// Bytes of the largest buffer: JavaScript's views of memory have at most 2 GiB in every browser.
const MAX_BUFFER: u64 = 2 << 30;
/// Bytes of all buffers: the module's memory has 4 GiB, of which some are for its own work. `www/src/api/check.ts` has the same limit.
const MAX_MEMORY: u64 = 7 << 29;

#[derive(Debug)]
struct PageHost(CpuHost);

impl Host for PageHost {
    fn report(&self) -> HostReport {
        let (instructions, threads) = (self.0.instructions(), self.0.threads() as usize);
        HostReport {
            name: "WebAssembly".into(),
            instructions,
            threads,
            max_buffer: MAX_BUFFER,
            max_memory: Some(MAX_MEMORY),
        }
    }

    fn alloc(&self, bytes: u64) -> Option<u64> {
        let at = self.0.alloc(bytes as f64);
        (at > 0.0).then_some(at as u64)
    }

    fn free(&self, at: u64) {
        self.0.free(at as f64);
    }

    fn write(&self, at: u64, bytes: &[u8]) -> std::result::Result<(), Fault> {
        self.0.write(at as f64, bytes);
        Ok(())
    }

    fn read(&self, Span { at, bytes }: Span) -> std::result::Result<Vec<u8>, Fault> {
        Ok(self.0.read(at as f64, bytes as f64))
    }

    fn run(&self, job: &Job, _: &mut Option<u64>) -> std::result::Result<(), Fault> {
        match self.0.run(job.words()) {
            0 => Ok(()),
            1 => Err(Fault::Malformed),
            2 => Err(Fault::Missing),
            _ => Err(Fault::OutOfBounds),
        }
    }

    fn give_way(&self) -> Pin<Box<dyn Future<Output = ()>>> {
        let turn = JsFuture::from(self.0.give_way());
        Box::pin(async move {
            // The worker's promise is never rejected.
            let _ = turn.await;
        })
    }
}
