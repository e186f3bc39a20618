//! Loading: the worker fetches and verifies shards, the engine asks for them by index.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;
use std::str::FromStr;

use js_sys::{Function, Promise, Uint8Array};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::browser_device::{self, BrowserDevice, Lists};
use crate::engine::OcelliEngine;
use crate::host;
use crate::picture;
use crate::schedule::Arrivals;
use ocelli::api::Scheduler;
use ocelli::chat::Date;
use ocelli::engine::{Engine, LoadEvent, LoadOptions, PictureLimits, ShardFuture, ShardSource, Tuned, tuning_key};
use ocelli::error::{Error, Result};
use ocelli::gpu::{BrowserCaps, CommandLists, CompileAhead, DeviceChoice, Gpu, GpuOptions, OpenHost, PrepareHost};
use wasm_shared::{JsResult, Thrown, to_js};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// Shards from the worker's store: `read(index)` resolves to a `Uint8Array` whose hash has been verified.
#[derive(Debug)]
struct Shards {
    read: Function,
    thrown: Thrown,
    /// Shards of which parts are read, such as those of a table of rows. They stay in JavaScript's memory, outside the module's.
    kept: RefCell<HashMap<usize, Uint8Array>>,
}

impl Shards {
    async fn read(&self, index: usize) -> JsResult<Uint8Array> {
        let promise = self.read.call1(&JsValue::NULL, &JsValue::from(index))?;
        let bytes = JsFuture::from(Promise::resolve(&promise)).await?;
        bytes.dyn_into()
    }

    /// A shard that is read once and kept.
    async fn keep(&self, index: usize) -> JsResult<Uint8Array> {
        let kept = self.kept.borrow().get(&index).cloned();
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let read = self.read(index).await?;
        self.kept.borrow_mut().insert(index, read.clone());
        Ok(read)
    }
}

impl ShardSource for Shards {
    fn shard(&self, index: usize) -> ShardFuture<'_> {
        Box::pin(async move {
            let read = self.read(index).await.map(|bytes| bytes.to_vec());
            self.thrown.keep(&format!("shard {index}"), read)
        })
    }

    fn part(&self, index: usize, range: Range<usize>) -> ShardFuture<'_> {
        Box::pin(async move {
            let part = |bytes: Uint8Array| bytes.subarray(range.start as u32, range.end as u32).to_vec();
            self.thrown.keep(&format!("shard {index}"), self.keep(index).await.map(part))
        })
    }
}

/// Opens the device, reads `model.json` and `tokenizer.json`, plans, and uploads the weights. An option that is absent or null is chosen here.
/// `read_shard(index)` resolves to the bytes of a shard; it is kept, because weights may have to be uploaded again.
/// `on_event` receives the progress of compilation and trials. `browser_device` compiles pipelines before wgpu creates them, and keeps commands.
/// `decode_picture(bytes, megapixels)` is called for a picture file. `open_processor()` resolves to the processor, which is the device if the options say so, or if
/// they do not name one and the GPU cannot be used.
///
/// # Errors
/// `{ code, message, detail }`, with a code of [`ocelli::Error::code`], or the exception of `read_shard`.
#[wasm_bindgen(js_name = loadEngine)]
#[expect(clippy::too_many_arguments, reason = "JavaScript passes each")]
pub async fn load_engine(
    manifest: Vec<u8>,
    tokenizer: Vec<u8>,
    #[wasm_bindgen(unchecked_param_type = "(index: number) => Promise<Uint8Array>")] read_shard: Function,
    #[wasm_bindgen(unchecked_param_type = "EngineOptions & LoadContext")] options: JsValue,
    #[wasm_bindgen(unchecked_param_type = "(event: EngineLoadEvent) => void")] on_event: Function,
    browser_device: BrowserDevice,
    #[wasm_bindgen(unchecked_param_type = "DecodePicture")] decode_picture: Function,
    #[wasm_bindgen(unchecked_param_type = "() => Promise<CpuHost>")] open_processor: Function,
) -> JsResult<OcelliEngine> {
    browser_device::set(browser_device);
    picture::set(decode_picture);
    let thrown = Thrown::default();
    host::set(open_processor, thrown.clone());
    let shards = Shards { read: read_shard, thrown: thrown.clone(), kept: RefCell::default() };
    let given: GivenOptions = serde_wasm_bindgen::from_value(options)?;
    let mut tell = |key: &str, event| {
        let event = match event {
            LoadEvent::Bytes(_) => return,
            LoadEvent::Kernels { done, total } => GivenEvent::Kernels { done, total },
            LoadEvent::Trial(tuned) => GivenEvent::Trial { key, tuned },
            LoadEvent::Processor { error, reason } => GivenEvent::Processor { cause: error.code(), reason },
        };
        // An exception in the worker's own callback must not end the load.
        let _ = to_js(&event).and_then(|event| on_event.call1(&JsValue::NULL, &event));
    };
    let (engine, tuning_key) = thrown.restore(open((&manifest, &tokenizer), shards, given, &mut tell).await)?;
    let scheduler = Scheduler::new(Arrivals::default());
    Ok(OcelliEngine { engine, thrown, tuning_key, scheduler })
}

/// `EngineLoadEvent` of `types.d.ts`.
#[derive(serde::Serialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
enum GivenEvent<'a> {
    Kernels { done: usize, total: usize },
    Trial { key: &'a str, tuned: Tuned },
    Processor { cause: &'static str, reason: String },
}

/// `EngineOptions & LoadContext` of `types.d.ts`.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GivenOptions {
    device: DeviceChoice,
    context: Option<usize>,
    kv_precision: Option<String>,
    gpu_memory_budget: Option<f64>,
    vision: Option<String>,
    tune: Option<String>,
    arithmetic: Option<String>,
    speculation: Option<String>,
    max_pixels: Option<f64>,
    max_picture_seconds: Option<f64>,
    browser_caps: BrowserCaps,
    /// Tuning results of earlier loads by key.
    known: HashMap<String, Tuned>,
}

impl GivenOptions {
    fn checked(&self) -> Result<LoadOptions> {
        fn parsed<T: FromStr<Err = Error>>(name: &Option<String>) -> Result<Option<T>> {
            name.as_deref().map(str::parse).transpose()
        }
        if let Some(bytes) = self.gpu_memory_budget.filter(|bytes| !(bytes.is_finite() && *bytes >= 1.0)) {
            return Err(Error::request("gpuMemoryBudget", format!("expected a number of bytes, got {bytes}")));
        }
        let (max_pixels, max_seconds) = (self.max_pixels, self.max_picture_seconds);
        for (name, number) in [("maxPixels", max_pixels), ("maxPictureSeconds", max_seconds)] {
            if let Some(number) = number.filter(|number| number.is_nan() || *number <= 0.0) {
                return Err(Error::request(name, format!("{number} is not above zero")));
            }
        }
        Ok(LoadOptions {
            pictures: PictureLimits { max_pixels: max_pixels.map(|pixels| pixels as u64), max_seconds },
            context: self.context,
            kv_precision: parsed(&self.kv_precision)?,
            vision: parsed(&self.vision)?,
            gpu_memory_budget: self.gpu_memory_budget.map(|bytes| bytes as u64),
            speculation: parsed(&self.speculation)?.unwrap_or_default(),
            tune: parsed(&self.tune)?.unwrap_or_default(),
            arithmetic: parsed(&self.arithmetic)?.unwrap_or_default(),
            today,
            ..LoadOptions::with_decoder(milliseconds, picture::decode)
        })
    }
}

/// The local date of the browser.
fn today() -> Option<Date> {
    let now = js_sys::Date::new_0();
    let local = now.get_time() - now.get_timezone_offset() * 60e3;
    Some(Date((local / 86_400e3).floor() as i64))
}

async fn open(
    (manifest, tokenizer): (&[u8], &[u8]),
    shards: Shards,
    given: GivenOptions,
    tell: &mut dyn FnMut(&str, LoadEvent),
) -> Result<(Engine, String)> {
    let options = given.checked()?;
    let (browser_caps, compile_ahead) = (given.browser_caps, Some(browser_device::compile as CompileAhead));
    let command_lists: Option<&'static dyn CommandLists> = Some(&Lists);
    let (host, prepare_host) = (Some(host::open as OpenHost), Some(host::prepare as PrepareHost));
    // The worker has looked for a GPU of hardware.
    let (device, falls_back) = match given.device {
        DeviceChoice::Auto => (DeviceChoice::Gpu, true),
        named => (named, false),
    };
    let own = GpuOptions {
        device,
        falls_back,
        host,
        prepare_host,
        browser_caps,
        compile_ahead,
        command_lists,
        ..GpuOptions::default()
    };
    let gpu = Gpu::open_with(own).await?;
    let key = tuning_key(&gpu, manifest, options.arithmetic);
    let options = LoadOptions { tuned: given.known.get(&key).copied().unwrap_or_default(), ..options };
    let mut on_event = |event| tell(&key, event);
    if let Some(reason) = gpu.report().reason.clone() {
        on_event(LoadEvent::Processor { error: Error::WebgpuUnavailable { reason: reason.clone() }, reason });
    }
    let engine = Engine::load(&gpu, manifest, tokenizer, Box::new(shards), options, &mut on_event).await?;
    // The processor may have replaced the GPU.
    let key = tuning_key(engine.gpu(), manifest, options.arithmetic);
    Ok((engine, key))
}
