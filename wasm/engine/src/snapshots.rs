//! Conversations in files that the worker keeps.

use std::ops::Range;

use js_sys::Uint8Array;
use wasm_bindgen::prelude::*;

use crate::engine::OcelliEngine;
use ocelli::engine::snapshots::{Pending, SnapshotStore, StoredFile};
use ocelli::error::{Error, Result};
use wasm_shared::{JsResult, error_object};

/// Types of the worker's files.
#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** Files by name, which survive the page. `list` returns them by last use, oldest first. */
export interface SnapshotFiles {
  list(): Promise<{ name: string; bytes: number }[]>;
  read(name: string, start: number, end: number): Promise<Uint8Array>;
  /** Begins a file, which is not listed before `finish`. A file begun earlier is discarded. */
  begin(name: string): Promise<void>;
  append(bytes: Uint8Array): Promise<void>;
  finish(): Promise<void>;
  giveUp(): Promise<void>;
  touch(name: string): Promise<void>;
  remove(name: string): Promise<void>;
}
"#;

#[wasm_bindgen]
extern "C" {
    /// The interface `SnapshotFiles` above.
    #[derive(Debug)]
    #[wasm_bindgen(typescript_type = "SnapshotFiles")]
    pub type SnapshotFiles;

    #[wasm_bindgen(method, catch)]
    async fn list(this: &SnapshotFiles) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn read(this: &SnapshotFiles, name: &str, start: f64, end: f64) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn begin(this: &SnapshotFiles, name: &str) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn append(this: &SnapshotFiles, bytes: Uint8Array) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn finish(this: &SnapshotFiles) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch, js_name = giveUp)]
    async fn give_up(this: &SnapshotFiles) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn touch(this: &SnapshotFiles, name: &str) -> JsResult<JsValue>;
    #[wasm_bindgen(method, catch)]
    async fn remove(this: &SnapshotFiles, name: &str) -> JsResult<JsValue>;
}

/// An element of `list`.
#[derive(serde::Deserialize)]
struct Listed {
    name: String,
    bytes: f64,
}

/// Converts an exception of the worker's callbacks.
fn failed(thrown: &JsValue) -> Error {
    let text = js_sys::Object::from(thrown.clone()).to_string();
    Error::Io { path: "conversations".into(), reason: text.into() }
}

fn done(outcome: JsResult<JsValue>) -> Result<()> {
    outcome.map(drop).map_err(|thrown| failed(&thrown))
}

impl SnapshotStore for SnapshotFiles {
    fn list(&self) -> Pending<'_, Vec<StoredFile>> {
        Box::pin(async move {
            let listed = self.list().await.map_err(|thrown| failed(&thrown))?;
            let listed: Vec<Listed> = serde_wasm_bindgen::from_value(listed).map_err(|error| failed(&error.into()))?;
            let file = |Listed { name, bytes }: Listed| StoredFile { name, bytes: bytes as u64 };
            Ok(listed.into_iter().map(file).collect())
        })
    }

    fn read<'a>(&'a self, name: &'a str, range: Range<u64>) -> Pending<'a, Vec<u8>> {
        Box::pin(async move {
            let read = self.read(name, range.start as f64, range.end as f64).await;
            let bytes = read.and_then(JsCast::dyn_into::<Uint8Array>).map_err(|thrown| failed(&thrown))?;
            if u64::from(bytes.length()) == range.end - range.start {
                return Ok(bytes.to_vec());
            }
            Err(Error::Io { path: name.into(), reason: "the file is too short".into() })
        })
    }

    fn begin<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move { done(self.begin(name).await) })
    }

    fn append(&self, bytes: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(async move { done(self.append(Uint8Array::from(bytes.as_slice())).await) })
    }

    fn finish(&self) -> Pending<'_, ()> {
        Box::pin(async move { done(self.finish().await) })
    }

    fn give_up(&self) -> Pending<'_, ()> {
        Box::pin(async move { done(self.give_up().await) })
    }

    fn touch<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move { done(self.touch(name).await) })
    }

    fn remove<'a>(&'a self, name: &'a str) -> Pending<'a, ()> {
        Box::pin(async move { done(self.remove(name).await) })
    }
}

#[wasm_bindgen]
impl OcelliEngine {
    /// Stores conversations in `files`, at most `bytes` in total, and restores those already there when a request continues them.
    #[wasm_bindgen(js_name = openSnapshots)]
    pub async fn open_snapshots(&mut self, files: SnapshotFiles, bytes: f64) -> JsResult<()> {
        self.engine.open_snapshots(Box::new(files), bytes as u64).await.map_err(error_object)
    }

    /// Removes all files of conversations. Returns their size in bytes.
    #[wasm_bindgen(js_name = clearSnapshots)]
    pub async fn clear_snapshots(&mut self) -> JsResult<f64> {
        Ok(self.engine.clear_snapshots().await.map_err(error_object)? as f64)
    }
}
