//! `/v1/files` and `/v1/batches`: uploads, downloads and lists.

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use http_body_util::{BodyDataStream, BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use multer::{Constraints, Field, Multipart, SizeLimit};
use ocelli::Error;
use ocelli::api::Reply;
use serde_json::json;

use super::handler::Server;
use super::http::{Answer, plain};
use super::store::{FileObject, Store, page};
use crate::shared::io;

/// Size limit of a file.
const MOST_BYTES: u64 = 512 << 20;
/// Time limit of an upload.
const FILE_TIME: Duration = Duration::from_secs(30 * 60);
/// Default number of objects per page.
const FILES_PAGE: usize = 10_000;
const BATCHES_PAGE: usize = 20;

/// Parts of a path below `/v1/files` or `/v1/batches`; `None` for other paths.
pub(super) fn path(path: &str) -> Option<Vec<String>> {
    let below = &path[path.find("/v1/")? + "/v1/".len()..];
    let parts: Vec<String> = below.trim_matches('/').split('/').map(str::to_owned).collect();
    matches!(parts[0].as_str(), "files" | "batches").then_some(parts)
}

/// Answers a request for files or batches.
pub(super) async fn answer(
    server: &Server,
    (path, head): (&[String], &Parts),
    body: Incoming,
) -> Result<Answer, Reply> {
    let batches = &server.batches;
    let store = &*batches.store;
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    let json = match (&head.method, &parts[..]) {
        (&Method::POST, ["files"]) => {
            let taken = tokio::time::timeout(FILE_TIME, take(store, head, body)).await;
            taken.map_err(|_| Reply::error("request-timeout", "the file did not come in time", None))??
        }
        (&Method::GET, ["files"]) => page(store.all::<FileObject>(), head.uri.query(), FILES_PAGE)?,
        (&Method::GET, ["files", id]) => json!(file(store, id)?).to_string(),
        (&Method::GET, ["files", id, "content"]) => return content(store, &file(store, id)?),
        (&Method::DELETE, ["files", id]) => {
            store.remove(&file(store, id)?.id);
            json!({"id": id, "object": "file", "deleted": true}).to_string()
        }
        (&Method::POST, ["batches"]) => batches.create(&server.intake.read(body).await?.text)?,
        (&Method::GET, ["batches"]) => page(batches.all(), head.uri.query(), BATCHES_PAGE)?,
        (&Method::GET, ["batches", id]) => {
            let missing = || Reply::error("no-such-object", &format!("there is no batch {id:?}"), None);
            json!(batches.get(id).ok_or_else(missing)?).to_string()
        }
        (&Method::POST, ["batches", id, "cancel"]) => batches.cancel(id)?,
        (method, _) => {
            return Err(Reply::error("unknown-url", &format!("nothing is at {method} /v1/{}", path.join("/")), None));
        }
    };
    Ok(plain(&Reply::ok(json)))
}

fn file(store: &Store, id: &str) -> Result<FileObject, Reply> {
    let missing = || Reply::error("no-such-object", &format!("there is no file {id:?}"), None);
    store.get(id).ok_or_else(missing)
}

/// The bytes of a file.
fn content(store: &Store, file: &FileObject) -> Result<Answer, Reply> {
    let path = store.bytes(&file.id);
    // For example, a batch without answers has no file.
    let bytes = if path.exists() { io::read(&path).map_err(|error| Reply::from(&error))? } else { Vec::new() };
    let mut answer = Response::new(Full::new(Bytes::from(bytes)).boxed());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(answer)
}

/// Stores an uploaded form with `purpose` and `file`.
async fn take(store: &Store, head: &Parts, body: Incoming) -> Result<String, Reply> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
    let boundary = multer::parse_boundary(kind).map_err(|error| refuse("body", error.to_string()))?;
    let limits = SizeLimit::new().whole_stream(MOST_BYTES + (1 << 20)).per_field(MOST_BYTES);
    let mut form =
        Multipart::with_constraints(BodyDataStream::new(body), boundary, Constraints::new().size_limit(limits));
    let (mut purpose, mut taken, mut unfinished) = (None, None, None);
    let outcome = async {
        while let Some(field) = form.next_field().await? {
            match field.name() {
                Some("purpose") => purpose = Some(field.text().await?),
                Some("file") if taken.is_none() => {
                    let file = taken.insert(FileObject::new(field.file_name().unwrap_or("file"), "batch"));
                    unfinished = Some(Unfinished { store, id: file.id.clone() });
                    file.bytes = write(store, file, field).await?;
                }
                _ => {}
            }
        }
        Ok(())
    };
    let outcome = outcome.await.map_err(|error| match error {
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Reply::error("body-too-large", &format!("a file has at most {MOST_BYTES} bytes"), Some("file"))
        }
        multer::Error::StreamReadFailed(error) if error.is::<std::io::Error>() => {
            Reply::from(&Error::Io { path: "file".into(), reason: error.to_string() })
        }
        error => refuse("body", error.to_string()),
    });
    let checked = outcome.and_then(|()| match (purpose.as_deref(), &taken) {
        (Some("batch"), Some(file)) => store.put(file).map_err(|error| Reply::from(&error)).map(|()| json!(file)),
        (Some("batch"), None) => Err(refuse("file", "is missing".into())),
        (Some(_), _) => Err(refuse("purpose", "must be \"batch\"".into())),
        (None, _) => Err(refuse("purpose", "is missing".into())),
    });
    drop(unfinished);
    Ok(checked?.to_string())
}

/// Removes the bytes of an incomplete upload, also after the client has disconnected.
struct Unfinished<'a> {
    store: &'a Store,
    id: String,
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.store.get::<FileObject>(&self.id).is_none() {
            self.store.remove(&self.id);
        }
    }
}

/// Streams a file to disk; returns its length.
async fn write(store: &Store, file: &FileObject, mut field: Field<'_>) -> multer::Result<u64> {
    let failed = |error: std::io::Error| multer::Error::StreamReadFailed(Box::new(error));
    let mut written = 0;
    let mut to = File::create(store.bytes(&file.id)).map_err(failed)?;
    while let Some(chunk) = field.chunk().await? {
        to.write_all(&chunk).map_err(failed)?;
        written += chunk.len() as u64;
    }
    Ok(written)
}
