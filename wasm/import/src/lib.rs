//! Exports of the module that imports checkpoints. JavaScript reads files and stores the package, [`ocelli::import`] does everything else.
//! `import.d.ts` declares the values that are passed.

#![cfg(target_arch = "wasm32")]
#![forbid(unsafe_code)]

mod file_hash;

use std::ops::{ControlFlow, Range};

use js_sys::{Array, Function, Promise, Reflect, Uint8Array};
use serde::Deserialize;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use ocelli::error::{Error, Result};
use ocelli::import::gguf::{self, GgufImport};
use ocelli::import::layouts::Layouts;
use ocelli::import::{ImportOptions, Progress, hf};
use ocelli::layout::Layout;
use ocelli::package::manifest::MAX_SHARD_BYTES;
use ocelli::package::source::{ByteSource, FileSet};
use ocelli::package::writer::{PackageSink, PackageWriter};
use wasm_shared::{JsResult, RequestHandle, Thrown, error_object, to_js};

/// The TypeScript types of all values that are passed, for the module's `.d.ts`.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("import.d.ts");

/// `ImportSettings` of `import.d.ts`.
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
    /// The layouts that are set, or `default`.
    fn layouts(&self, default: Layouts) -> Result<Layouts> {
        let layouts = match self.layout.as_deref() {
            None => default,
            Some("compact") => Layouts::COMPACT,
            Some(name) => layout("import.layout", name)?.into(),
        };
        let vision = self.vision_layout.as_deref().map(|name| layout("import.visionLayout", name)).transpose()?;
        Ok(vision.map_or(layouts, |vision| layouts.with_vision(vision)))
    }
}

fn layout(field: &str, name: &str) -> Result<Layout> {
    let layout = Layout::from_numbers().find(|layout| layout.name() == name);
    layout.ok_or_else(|| Error::request(field, format!("nothing can be stored as {name:?}")))
}

fn present(value: JsValue) -> Option<JsValue> {
    (!value.is_null() && !value.is_undefined()).then_some(value)
}

/// An object of the worker with methods that return promises.
struct Remote {
    object: JsValue,
    thrown: Thrown,
}

impl Remote {
    /// The resolved value of a method. Errors name `path`.
    async fn call(&self, path: &str, method: &str, arguments: &[&JsValue]) -> Result<JsValue> {
        let resolved = async {
            let method: Function = Reflect::get(&self.object, &method.into())?.dyn_into()?;
            let promise = method.apply(&self.object, &arguments.iter().copied().collect())?;
            JsFuture::from(Promise::resolve(&promise)).await
        };
        self.thrown.keep(path, resolved.await)
    }

    /// The bytes that a method resolves to; `None` for `null` and `undefined`.
    async fn bytes(&self, path: &str, method: &str, arguments: &[&JsValue]) -> Result<Option<Vec<u8>>> {
        let bytes = |value: JsValue| Ok(value.dyn_into::<Uint8Array>()?.to_vec());
        let value = self.call(path, method, arguments).await?;
        self.thrown.keep(path, present(value).map(bytes).transpose())
    }
}

/// `ImportFiles` of `import.d.ts`.
struct Files(Remote);

/// `ImportFile` of `import.d.ts`.
struct Source {
    name: String,
    len: u64,
    file: Remote,
}

impl FileSet for Files {
    type Source = Source;

    async fn open(&self, name: &str) -> Result<Option<Source>> {
        let Some(object) = present(self.0.call(name, "open", &[&name.into()]).await?) else { return Ok(None) };
        let size = self.0.thrown.keep(name, Reflect::get(&object, &"size".into()))?;
        // Far below 2^53, up to which a double is exact.
        let len = size.as_f64().unwrap_or_default() as u64;
        Ok(Some(Source { name: name.into(), len, file: Remote { object, thrown: self.0.thrown.clone() } }))
    }
}

impl ByteSource for Source {
    fn name(&self) -> &str {
        &self.name
    }

    async fn len(&self) -> Result<u64> {
        Ok(self.len)
    }

    async fn read(&self, Range { start, end }: Range<u64>) -> Result<Vec<u8>> {
        let wrong = |reason: String| Error::Io { path: self.name.clone(), reason };
        if start > end || end > self.len {
            return Err(wrong(format!("bytes {start}..{end} lie outside its {}", self.len)));
        }
        let range = [&(start as f64).into(), &(end as f64).into()];
        let bytes = self.file.bytes(&self.name, "read", &range).await?.unwrap_or_default();
        if bytes.len() as u64 != end - start {
            return Err(wrong(format!("{} bytes came where {} were asked for", bytes.len(), end - start)));
        }
        Ok(bytes)
    }
}

/// `ImportSink` of `import.d.ts`.
struct Sink(Remote);

impl PackageSink for Sink {
    const RESUMABLE: bool = true;

    async fn put(&mut self, file: &str, bytes: Vec<u8>) -> Result<()> {
        let copy = Uint8Array::from(bytes.as_slice());
        // JavaScript has its own copy. Free this one, which is as large as a shard, before waiting.
        drop(bytes);
        self.0.call(file, "put", &[&file.into(), &copy]).await.map(drop)
    }

    async fn publish(&mut self) -> Result<()> {
        self.0.call("publish", "publish", &[]).await.map(drop)
    }

    async fn put_part(&mut self, part: &str, bytes: &[u8]) -> Result<()> {
        self.0.call(part, "putPart", &[&part.into(), &Uint8Array::from(bytes)]).await.map(drop)
    }

    async fn get_part(&mut self, part: &str) -> Result<Option<Vec<u8>>> {
        self.0.bytes(part, "getPart", &[&part.into()]).await
    }

    async fn put_checkpoint(&mut self, checkpoint: Vec<u8>, parts: &[&str]) -> Result<()> {
        let parts: Array = parts.iter().map(|part| JsValue::from_str(part)).collect();
        let checkpoint = Uint8Array::from(checkpoint.as_slice());
        self.0.call("checkpoint", "putCheckpoint", &[&checkpoint, &parts]).await.map(drop)
    }

    async fn get_checkpoint(&mut self) -> Result<Option<Vec<u8>>> {
        self.0.bytes("checkpoint", "getCheckpoint", &[]).await
    }
}

/// Reports `ImportProgress` of `import.d.ts` to JavaScript; breaks once the import is cancelled.
fn report<'a>(on_progress: &'a Function, cancel: &'a RequestHandle) -> impl FnMut(Progress) -> ControlFlow<()> + 'a {
    |progress| {
        // An exception in the worker's own callback must not end the import.
        let _ = to_js(&progress).and_then(|progress| on_progress.call1(&JsValue::NULL, &progress));
        if cancel.control.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

struct Import {
    settings: Settings,
    files: Files,
    writer: PackageWriter<Sink>,
    thrown: Thrown,
}

impl Import {
    fn new(settings: JsValue, files: JsValue, sink: JsValue) -> Result<Self> {
        let fault = |error: serde_wasm_bindgen::Error| Error::request("import", error.to_string());
        let settings: Settings = serde_wasm_bindgen::from_value(settings).map_err(fault)?;
        let thrown = Thrown::default();
        let remote = |object| Remote { object, thrown: thrown.clone() };
        let (files, sink) = (Files(remote(files)), Sink(remote(sink)));
        let writer = PackageWriter::with_shard_bytes(sink, settings.shard_bytes.unwrap_or(MAX_SHARD_BYTES as usize));
        Ok(Self { settings, files, writer, thrown })
    }
}

/// Imports the GGUF file `text`, and its vision tower `mmproj` if given, into `sink`. Resumes from the sink's checkpoint. Resolves to the
/// model's name.
///
/// # Errors
/// `{ code, message, detail }`, code `aborted` after `cancel`; or the exception of `files` or `sink`.
#[wasm_bindgen(js_name = importGguf)]
pub async fn import_gguf(
    text: String,
    mmproj: Option<String>,
    #[wasm_bindgen(unchecked_param_type = "ImportSettings")] settings: JsValue,
    #[wasm_bindgen(unchecked_param_type = "ImportFiles")] files: JsValue,
    #[wasm_bindgen(unchecked_param_type = "ImportSink")] sink: JsValue,
    #[wasm_bindgen(unchecked_param_type = "(progress: ImportProgress) => void")] on_progress: Function,
    cancel: &RequestHandle,
) -> JsResult<String> {
    let Import { settings, files, writer, thrown } = Import::new(settings, files, sink).map_err(error_object)?;
    let layouts = settings.layouts(Layouts::default()).map_err(error_object)?;
    let options = ImportOptions { name: settings.name, license: settings.license, source: None, layouts };
    let halves = GgufImport { text, mmproj };
    let imported = gguf::import(&files, &halves, writer, options, report(&on_progress, cancel)).await;
    Ok(thrown.restore(imported)?.name)
}

/// Imports a Hugging Face checkpoint (`config.json`, `tokenizer.json`, safetensors) into `sink`. Otherwise like [`import_gguf`].
///
/// # Errors
/// Same as [`import_gguf`].
#[wasm_bindgen(js_name = importSafetensors)]
pub async fn import_safetensors(
    #[wasm_bindgen(unchecked_param_type = "ImportSettings")] settings: JsValue,
    #[wasm_bindgen(unchecked_param_type = "ImportFiles")] files: JsValue,
    #[wasm_bindgen(unchecked_param_type = "ImportSink")] sink: JsValue,
    #[wasm_bindgen(unchecked_param_type = "(progress: ImportProgress) => void")] on_progress: Function,
    cancel: &RequestHandle,
) -> JsResult<String> {
    let Import { settings, files, writer, thrown } = Import::new(settings, files, sink).map_err(error_object)?;
    let layouts = settings.layouts(Layout::Q4_0.into()).map_err(error_object)?;
    let options = ImportOptions { name: settings.name, license: settings.license, source: None, layouts };
    let imported = hf::import(&files, writer, options, report(&on_progress, cancel)).await;
    Ok(thrown.restore(imported)?.name)
}
