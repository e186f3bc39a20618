//! Importing checkpoints in the worker: JavaScript reads files and stores the package, `weights` does everything else.

use std::cell::RefCell;
use std::ops::{ControlFlow, Range};
use std::rc::Rc;

use js_sys::{Array, Function, Uint8Array};
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, error_to_js, to_js};
use super::engine::CancelFlag;
use crate::error::{Error, Result};
use crate::weights::gguf::{self, GgufImport, GgufOptions};
use crate::weights::hf::{self, ImportOptions, Progress};
use crate::weights::layout::Layout;
use crate::weights::layouts::Layouts;
use crate::weights::manifest::{MAX_SHARD_BYTES, Manifest};
use crate::weights::source::{ByteSource, FileSet};
use crate::weights::writer::{PackageSink, PackageWriter};

#[wasm_bindgen]
extern "C" {
    /// `ImportFiles` of `types.d.ts`.
    #[wasm_bindgen(typescript_type = "ImportFiles")]
    pub type JsFiles;
    #[wasm_bindgen(method, catch)]
    async fn open(this: &JsFiles, name: &str) -> JsResult<JsValue>;

    /// `ImportFile` of `types.d.ts`.
    pub type JsFile;
    #[wasm_bindgen(method, getter)]
    fn size(this: &JsFile) -> f64;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &JsFile, start: f64, end: f64) -> JsResult<JsValue>;

    /// `ImportSink` of `types.d.ts`.
    #[wasm_bindgen(typescript_type = "ImportSink")]
    pub type JsSink;
    #[wasm_bindgen(method, catch)]
    async fn put(this: &JsSink, file: &str, bytes: Uint8Array) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn publish(this: &JsSink) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch, js_name = putPart)]
    async fn put_part(this: &JsSink, part: &str, bytes: Uint8Array) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch, js_name = getPart)]
    async fn get_part(this: &JsSink, part: &str) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch, js_name = putCheckpoint)]
    async fn put_checkpoint(this: &JsSink, checkpoint: Uint8Array, parts: Array) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch, js_name = getCheckpoint)]
    async fn get_checkpoint(this: &JsSink) -> JsResult<JsValue>;

    /// [`Settings`].
    #[wasm_bindgen(typescript_type = "ImportSettings")]
    pub type JsSettings;
}

/// `ImportSettings` of `types.d.ts`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Settings {
    name: Option<String>,
    license: Option<String>,
    layout: Option<String>,
    vision_layout: Option<String>,
    shard_bytes: Option<usize>,
}

impl Settings {
    fn from_js(settings: JsSettings) -> Result<Self> {
        serde_wasm_bindgen::from_value(settings.into()).map_err(|error| Error::request("import", error.to_string()))
    }

    /// The layouts that are set, or `default`.
    fn layouts(&self, default: Layouts) -> Result<Layouts> {
        let layouts = match self.layout.as_deref() {
            None => default,
            Some("compact") => Layouts::COMPACT,
            Some(name) => layout("import.layout", name)?.into(),
        };
        match self.vision_layout.as_deref() {
            None => Ok(layouts),
            Some(name) => Ok(layouts.with_vision(layout("import.visionLayout", name)?)),
        }
    }

    fn writer(&self, sink: Sink) -> PackageWriter<Sink> {
        PackageWriter::with_shard_bytes(sink, self.shard_bytes.unwrap_or(MAX_SHARD_BYTES as usize))
    }
}

fn layout(field: &str, name: &str) -> Result<Layout> {
    let layout = Layout::from_name(name).filter(|layout| Layout::FROM_NUMBERS.contains(layout));
    layout.ok_or_else(|| Error::request(field, format!("nothing can be stored as {name:?}")))
}

/// What a JavaScript callback threw: the caller gets that value again, not a Rust error in its place.
#[derive(Clone, Default)]
struct Thrown(Rc<RefCell<Option<JsValue>>>);

impl Thrown {
    /// Keeps a thrown value and returns an error that stands for it.
    fn keep<T>(&self, path: &str, outcome: JsResult<T>) -> Result<T> {
        outcome.map_err(|thrown| {
            *self.0.borrow_mut() = Some(thrown);
            Error::Io { path: path.into(), reason: "the worker could not do it".into() }
        })
    }

    /// The model's name, or the value to throw.
    fn outcome(&self, outcome: Result<Manifest>) -> JsResult<JsValue> {
        match outcome {
            Ok(manifest) => to_js(&manifest.name),
            Err(error) => Err(self.0.borrow_mut().take().unwrap_or_else(|| error_to_js(&error))),
        }
    }
}

/// Bytes of a `Uint8Array`; nothing for `null` and `undefined`.
fn bytes_from_js(value: JsValue) -> JsResult<Option<Vec<u8>>> {
    if value.is_null() || value.is_undefined() {
        return Ok(None);
    }
    Ok(Some(value.dyn_into::<Uint8Array>()?.to_vec()))
}

struct Files {
    files: JsFiles,
    thrown: Thrown,
}

struct Source {
    name: String,
    file: JsFile,
    thrown: Thrown,
}

impl FileSet for Files {
    type Source = Source;

    async fn open(&self, name: &str) -> Result<Option<Source>> {
        let file = self.thrown.keep(name, self.files.open(name).await)?;
        let absent = file.is_null() || file.is_undefined();
        let source = || Source { name: name.into(), file: file.unchecked_into(), thrown: self.thrown.clone() };
        Ok((!absent).then(source))
    }
}

impl ByteSource for Source {
    fn name(&self) -> &str {
        &self.name
    }

    async fn len(&self) -> Result<u64> {
        // Far below 2^53, up to which a double is exact.
        Ok(self.file.size() as u64)
    }

    async fn read(&self, range: Range<u64>) -> Result<Vec<u8>> {
        let wrong = |reason: String| Error::Io { path: self.name.clone(), reason };
        let len = self.len().await?;
        if range.start > range.end || range.end > len {
            return Err(wrong(format!("bytes {}..{} lie outside its {len}", range.start, range.end)));
        }
        let bytes = self.file.read(range.start as f64, range.end as f64).await;
        let bytes = self.thrown.keep(&self.name, bytes.and_then(bytes_from_js))?.unwrap_or_default();
        if bytes.len() as u64 != range.end - range.start {
            let wanted = range.end - range.start;
            return Err(wrong(format!("{} bytes came where {wanted} were asked for", bytes.len())));
        }
        Ok(bytes)
    }
}

struct Sink {
    sink: JsSink,
    thrown: Thrown,
}

impl PackageSink for Sink {
    const RESUMABLE: bool = true;

    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        let copy = Uint8Array::from(bytes.as_slice());
        // JavaScript has its own copy: free this one before waiting, a shard's worth of memory.
        drop(bytes);
        self.thrown.keep(file, self.sink.put(file, copy).await).map(drop)
    }

    async fn publish(&mut self) -> Result<()> {
        self.thrown.keep("publish", self.sink.publish().await).map(drop)
    }

    async fn put_part(&mut self, part: &str, bytes: &[u8]) -> Result<()> {
        self.thrown.keep(part, self.sink.put_part(part, Uint8Array::from(bytes)).await).map(drop)
    }

    async fn get_part(&mut self, part: &str) -> Result<Option<Vec<u8>>> {
        let bytes = self.sink.get_part(part).await;
        self.thrown.keep(part, bytes.and_then(bytes_from_js))
    }

    async fn put_checkpoint(&mut self, checkpoint: Vec<u8>, parts: &[&str]) -> Result<()> {
        let parts = parts.iter().map(|part| JsValue::from_str(part)).collect();
        let kept = self.sink.put_checkpoint(Uint8Array::from(checkpoint.as_slice()), parts).await;
        self.thrown.keep("checkpoint", kept).map(drop)
    }

    async fn get_checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        let bytes = self.sink.get_checkpoint().await;
        self.thrown.keep("checkpoint", bytes.and_then(bytes_from_js))
    }
}

/// `ImportProgress` of `types.d.ts`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProgressObject {
    done: u64,
    total: u64,
    done_bytes: u64,
    total_bytes: u64,
}

/// Reports progress to JavaScript; breaks once the import is cancelled.
fn report<'a>(on_progress: &'a Function, cancel: &'a CancelFlag) -> impl FnMut(Progress) -> ControlFlow<()> + 'a {
    |Progress { done, total, done_bytes, total_bytes }| {
        if let Ok(object) = to_js(&ProgressObject { done, total, done_bytes, total_bytes }) {
            // An exception in the worker's own callback must not end the import half way.
            let _ = on_progress.call1(&JsValue::NULL, &object);
        }
        if cancel.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

/// Imports the GGUF file `text`, and its vision tower `mmproj` if given, into `sink`. Continues from the sink's checkpoint.
/// Resolves to the model's name.
///
/// # Errors
/// `{ code, message, detail }`, code `aborted` after `cancel`; or what `files` or `sink` threw.
#[wasm_bindgen(js_name = importGguf, unchecked_return_type = "string")]
pub async fn import_gguf(
    text: String,
    mmproj: Option<String>,
    settings: JsSettings,
    files: JsFiles,
    sink: JsSink,
    #[wasm_bindgen(unchecked_param_type = "(progress: ImportProgress) => void")] on_progress: Function,
    cancel: &CancelFlag,
) -> JsResult<JsValue> {
    let thrown = Thrown::default();
    let (files, sink) = (Files { files, thrown: thrown.clone() }, Sink { sink, thrown: thrown.clone() });
    let settings = Settings::from_js(settings).map_err(|error| error_to_js(&error))?;
    let writer = settings.writer(sink);
    let layouts = settings.layouts(Layouts::default()).map_err(|error| error_to_js(&error))?;
    let Settings { name, license, .. } = settings;
    let options = GgufOptions { name, license, source: None, layouts };
    let import = GgufImport { text, mmproj };
    thrown.outcome(gguf::import(&files, &import, writer, options, report(&on_progress, cancel)).await)
}

/// Imports a Hugging Face checkpoint (`config.json`, `tokenizer.json`, safetensors) into `sink`; as [`import_gguf`] otherwise.
///
/// # Errors
/// As [`import_gguf`].
#[wasm_bindgen(js_name = importSafetensors, unchecked_return_type = "string")]
pub async fn import_safetensors(
    settings: JsSettings,
    files: JsFiles,
    sink: JsSink,
    #[wasm_bindgen(unchecked_param_type = "(progress: ImportProgress) => void")] on_progress: Function,
    cancel: &CancelFlag,
) -> JsResult<JsValue> {
    let thrown = Thrown::default();
    let (files, sink) = (Files { files, thrown: thrown.clone() }, Sink { sink, thrown: thrown.clone() });
    let settings = Settings::from_js(settings).map_err(|error| error_to_js(&error))?;
    let writer = settings.writer(sink);
    let layouts = settings.layouts(Layout::Q4_0.into()).map_err(|error| error_to_js(&error))?;
    let Settings { name, license, .. } = settings;
    let options = ImportOptions { name: name.unwrap_or_else(|| "model".into()), license, source: None, layouts };
    thrown.outcome(hf::import(&files, writer, options, report(&on_progress, cancel)).await)
}

/// Bytes of the module's memory. It only grows, so this is its peak.
#[wasm_bindgen(js_name = wasmMemory)]
pub fn wasm_memory() -> f64 {
    core::arch::wasm32::memory_size(0) as f64 * 65536.0
}
