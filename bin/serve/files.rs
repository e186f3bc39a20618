//! `/v1/files` and `/v1/batches`: uploads, downloads and lists. Files are read and written on threads that may block.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use multer::{Constraints, Field, Multipart, SizeLimit};
use ocelli::Error;
use ocelli::api::Reply;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::batches::Batches;
use super::http::{Answer, plain};
use super::intake::Intake;
use super::store::{FileObject, Store, page};
use crate::shared::api;

/// Most bytes of a file.
const MOST_BYTES: u64 = 512 << 20;
/// Most bytes of another field of a form.
const MOST_FIELD: u64 = 64;
/// Bytes of a form's part heads after which a body is refused.
const MOST_HEAD: usize = 16 << 10;
/// Bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;
/// Time limit of an upload.
const FILE_TIME: Duration = Duration::from_secs(30 * 60);
/// Default number of objects of a page.
const FILES_PAGE: usize = 10_000;
const BATCHES_PAGE: usize = 20;
/// Seconds after which a file may expire: from an hour to 30 days.
const LIFETIMES: std::ops::RangeInclusive<u64> = 3600..=30 * 24 * 3600;

/// The parts of a path below `/v1/`, if files or batches are there.
pub(super) fn path(path: &str) -> Option<Vec<String>> {
    let below = &path[path.find("/v1/")? + "/v1/".len()..];
    let parts: Vec<String> = below.trim_matches('/').split('/').map(str::to_owned).collect();
    matches!(parts[0].as_str(), "files" | "batches").then_some(parts)
}

/// Answers a request below these addresses. `intake` reads bodies, once the model is loaded.
pub(super) async fn answer(
    batches: &Arc<Batches>,
    (path, head): (Vec<String>, Parts),
    body: Incoming,
    intake: Result<&Intake, Reply>,
) -> Result<Answer, Reply> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match (&head.method, &parts[..]) {
        (&Method::POST, ["files"]) => {
            let taken = tokio::time::timeout(FILE_TIME, take(&batches.store, &head, body)).await;
            let late = |_| Reply::error("request-timeout", "the file did not come in time", None);
            return taken.map_err(late)?.map(|file| plain(&Reply::ok(file)));
        }
        (&Method::GET, ["files", id, "content"]) => return content(&batches.store, (*id).to_owned()).await,
        _ => {}
    }
    let text = if head.method == Method::POST { intake?.read(body).await?.text } else { String::new() };
    let batches = batches.clone();
    blocking(move || object(&batches, &path, &head, &text)).await.map(|json| plain(&Reply::ok(json)))
}

/// Runs work that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Reply> + Send + 'static) -> Result<T, Reply> {
    let failed = |panic| Reply::from(&Error::Internal { detail: format!("a file: {panic}") });
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(failed(panic)))
}

/// Answers a request about an object or a list.
fn object(batches: &Batches, path: &[String], head: &Parts, body: &str) -> Result<String, Reply> {
    let store = &*batches.store;
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(match (&head.method, &parts[..]) {
        (&Method::GET, ["files"]) => page(store.all::<FileObject>(), head.uri.query(), FILES_PAGE)?,
        (&Method::GET, ["files", id]) => json!(file(store, id)?).to_string(),
        (&Method::DELETE, ["files", id]) => {
            store.remove(&file(store, id)?.id);
            json!({"id": id, "object": "file", "deleted": true}).to_string()
        }
        (&Method::POST, ["batches"]) => batches.create(body)?,
        (&Method::GET, ["batches"]) => page(batches.all(), head.uri.query(), BATCHES_PAGE)?,
        (&Method::GET, ["batches", id]) => {
            let missing = || Reply::error("no-such-object", &format!("there is no batch {id:?}"), None);
            json!(batches.get(id).ok_or_else(missing)?).to_string()
        }
        (&Method::POST, ["batches", id, "cancel"]) => batches.cancel(id)?,
        (method, _) => {
            return Err(Reply::error("unknown-url", &format!("nothing is at {method} /v1/{}", path.join("/")), None));
        }
    })
}

fn file(store: &Store, id: &str) -> Result<FileObject, Reply> {
    let missing = || Reply::error("no-such-object", &format!("there is no file {id:?}"), None);
    store.get(id).ok_or_else(missing)
}

/// The bytes of a file, as a stream.
async fn content(store: &Arc<Store>, id: String) -> Result<Answer, Reply> {
    let place = store.clone();
    let opened = blocking(move || {
        let object = file(&place, &id)?;
        let path = place.bytes(&object.id);
        match std::fs::File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((bytes, file)) => Ok((Some(tokio::fs::File::from_std(file)), bytes)),
            // A batch without answers has no file.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && object.bytes == 0 => Ok((None, 0)),
            Err(error) => Err(Reply::from(&Error::io(&object.id, &error))),
        }
    });
    let (file, bytes) = opened.await?;
    let pieces = stream::unfold(file, |file| async {
        let mut file = file?;
        let mut piece = vec![0; PIECE];
        // After an error the body is shorter than its announced length, which the client notices.
        let read = file.read(&mut piece).await.ok().filter(|read| *read > 0)?;
        piece.truncate(read);
        Some((Ok(Frame::data(Bytes::from(piece))), Some(file)))
    });
    let mut answer = Response::new(BodyExt::boxed(StreamBody::new(pieces)));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes));
    Ok(answer)
}

/// Body of a form, which fails if the heads of its parts are too long: the parser of forms keeps them in memory.
fn bounded(
    body: Incoming,
    head: Arc<AtomicUsize>,
) -> impl Stream<Item = Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> {
    BodyDataStream::new(body).map(move |piece| {
        let piece = piece?;
        // The frame in which the limit is reached may have content after the head.
        match head.fetch_add(piece.len(), Ordering::Relaxed) {
            ..MOST_HEAD => Ok(piece),
            _ => Err("the head of a part is too long".into()),
        }
    })
}

/// Fields of a form.
#[derive(Default)]
struct Form {
    purpose: Option<String>,
    anchor: Option<String>,
    seconds: Option<String>,
    file: Option<FileObject>,
}

/// Stores an uploaded form with `purpose` and `file`.
async fn take(store: &Arc<Store>, head: &Parts, body: Incoming) -> Result<String, Reply> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
    let boundary = multer::parse_boundary(kind).map_err(|error| refuse("body", error.to_string()))?;
    let limits =
        SizeLimit::new().whole_stream(MOST_BYTES + (1 << 20)).per_field(MOST_FIELD).for_field("file", MOST_BYTES);
    let (limits, in_heads) = (Constraints::new().size_limit(limits), Arc::new(AtomicUsize::new(0)));
    let mut parts = Multipart::with_constraints(bounded(body, in_heads.clone()), boundary, limits);
    let (mut form, mut unfinished) = (Form::default(), None);
    let outcome = async {
        while let Some(field) = parts.next_field().await? {
            match field.name() {
                Some("file") if form.file.is_none() => {
                    let file = form.file.insert(FileObject::new(field.file_name().unwrap_or("file"), "batch"));
                    unfinished = Some(Unfinished { store: store.clone(), id: file.id.clone() });
                    file.bytes = write(store, file, field, &in_heads).await?;
                }
                Some("purpose") => form.purpose = Some(field.text().await?),
                Some("expires_after[anchor]") => form.anchor = Some(field.text().await?),
                Some("expires_after[seconds]") => form.seconds = Some(field.text().await?),
                _ => {}
            }
            in_heads.store(0, Ordering::Relaxed);
        }
        Ok(())
    };
    let outcome = outcome.await.map_err(|error| match error {
        multer::Error::FieldSizeExceeded { field_name: Some(name), .. } if name != "file" => {
            refuse(&name, format!("has more than {MOST_FIELD} bytes"))
        }
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Reply::error("body-too-large", &format!("a file has at most {MOST_BYTES} bytes"), Some("file"))
        }
        multer::Error::StreamReadFailed(error) => match error.downcast::<std::io::Error>() {
            Ok(full) if full.kind() == std::io::ErrorKind::StorageFull => {
                Reply::error("storage-full", "there is no room for this file: delete others", Some("file"))
            }
            Ok(error) => Reply::from(&Error::Io { path: "file".into(), reason: error.to_string() }),
            Err(error) => refuse("body", error.to_string()),
        },
        error => refuse("body", error.to_string()),
    });
    let (store, file) = (store.clone(), outcome.and_then(|()| finished(form)));
    let stored = blocking(move || {
        let file = file?;
        store.put(&file).map_err(|error| Reply::from(&error))?;
        store.remove_expired();
        Ok(json!(file).to_string())
    });
    let stored = stored.await;
    drop(unfinished);
    stored
}

/// The object of a form that has been read.
fn finished(form: Form) -> Result<FileObject, Reply> {
    let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
    let Form { purpose, anchor, seconds, file } = form;
    match purpose.as_deref() {
        Some("batch") => {}
        Some(_) => return Err(refuse("purpose", "must be \"batch\"".into())),
        None => return Err(refuse("purpose", "is missing".into())),
    }
    let mut file = file.ok_or_else(|| refuse("file", "is missing".into()))?;
    if anchor.as_deref().is_some_and(|anchor| anchor != "created_at") {
        return Err(refuse("expires_after.anchor", "must be \"created_at\"".into()));
    }
    if let Some(seconds) = seconds {
        let seconds = seconds.parse().ok().filter(|seconds| LIFETIMES.contains(seconds));
        let (least, most) = LIFETIMES.into_inner();
        let wrong = || refuse("expires_after.seconds", format!("must be a number from {least} to {most}"));
        file.expires_at = Some(api::seconds() + seconds.ok_or_else(wrong)?);
    }
    Ok(file)
}

/// Removes the bytes of an incomplete upload, also after the client has disconnected.
struct Unfinished {
    store: Arc<Store>,
    id: String,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.store.get::<FileObject>(&self.id).is_none() {
            self.store.remove(&self.id);
        }
    }
}

/// Streams a file to disk; returns its length.
async fn write(store: &Store, file: &FileObject, mut field: Field<'_>, in_heads: &AtomicUsize) -> multer::Result<u64> {
    let failed = |error: std::io::Error| multer::Error::StreamReadFailed(Box::new(error));
    let mut written = 0;
    let to = ocelli::engine::snapshots::private_file(&store.bytes(&file.id)).map_err(failed)?;
    let mut to = tokio::fs::File::from_std(to);
    loop {
        // Only the content of this part is read until its end.
        in_heads.store(0, Ordering::Relaxed);
        let Some(piece) = field.chunk().await? else { break };
        if !store.take_room(piece.len() as u64) {
            return Err(failed(std::io::ErrorKind::StorageFull.into()));
        }
        to.write_all(&piece).await.map_err(failed)?;
        written += piece.len() as u64;
    }
    to.sync_all().await.map_err(failed)?;
    Ok(written)
}
