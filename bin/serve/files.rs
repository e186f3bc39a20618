//! `/v1/files` and `/v1/batches`: uploads, downloads and lists. Files are read and written on threads that may block.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use ocelli::Error;
use ocelli::api::Reply;
use ocelli::engine::snapshots::private_file;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::batches::{Batches, missing};
use super::http::{Answer, failure, plain};
use super::intake::Intake;
use crate::shared::api;
use crate::shared::callers::Caller;
use crate::shared::form::{self, Form, MOST_BYTES, MOST_FIELD, Receiver};
use crate::store::{FileObject, LIFETIMES, Store};

/// Bytes of a file that are read at a time.
const PIECE: usize = 64 << 10;
/// Time between two looks for files and batches that have expired.
const EXPIRE_EVERY: Duration = Duration::from_secs(60);
/// Time limit of an upload.
const FILE_TIME: Duration = Duration::from_secs(30 * 60);
/// Uses of uploaded files: requests of batches, and pictures.
const PURPOSES: [&str; 3] = ["batch", "vision", "user_data"];
/// Default number of objects of a page.
const FILES_PAGE: usize = 10_000;
const BATCHES_PAGE: usize = 20;

/// The parts of a path below `/v1/`, if files or batches are there.
pub(super) fn path(path: &str) -> Option<Vec<String>> {
    let below = &path[path.find("/v1/")? + "/v1/".len()..];
    let parts: Vec<String> = below.trim_matches('/').split('/').map(str::to_owned).collect();
    matches!(parts[0].as_str(), "files" | "batches").then_some(parts)
}

/// Answers a request below these addresses.
pub(super) async fn answer(
    (batches, caller): (&Arc<Batches>, Arc<Caller>),
    (path, head): (Vec<String>, Parts),
    body: Incoming,
    intake: &Intake,
) -> Result<Answer, Reply> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match (&head.method, &parts[..]) {
        (&Method::POST, ["files"]) => {
            let taken = tokio::time::timeout(FILE_TIME, take(&batches.store, &caller, &head, body)).await;
            let late = |_| Reply::error("request-timeout", "the file did not come in time", None);
            return taken.map_err(late)?.map(|file| plain(&Reply::ok(file)));
        }
        (&Method::GET, ["files", id, "content"]) => return content(&batches.store, caller, (*id).to_owned()).await,
        _ => {}
    }
    let text = if head.method == Method::POST { intake.read(body).await?.text } else { String::new() };
    let batches = batches.clone();
    blocking(move || object((&batches, &caller), &path, &head, &text)).await.map(|json| plain(&Reply::ok(json)))
}

/// Removes what has expired from time to time.
pub(super) async fn expire(store: Arc<Store>) {
    loop {
        tokio::time::sleep(EXPIRE_EVERY).await;
        let store = store.clone();
        // A panic is written to the log.
        let _ = tokio::task::spawn_blocking(move || store.remove_expired()).await;
    }
}

/// Runs work that may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Reply> + Send + 'static) -> Result<T, Reply> {
    let failed = |panic| failure(&Error::Internal { detail: format!("a file: {panic}") });
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|panic| Err(failed(panic)))
}

/// Answers a request about an object or a list.
fn object((batches, caller): (&Batches, &Caller), path: &[String], head: &Parts, body: &str) -> Result<String, Reply> {
    let store = &*batches.store;
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    Ok(match (&head.method, &parts[..]) {
        (&Method::GET, ["files"]) => store.page::<FileObject>(caller, (head.uri.query(), FILES_PAGE))?.json(&|_| None),
        (&Method::GET, ["files", id]) => json!(file(store, caller, id)?).to_string(),
        (&Method::DELETE, ["files", id]) => {
            let file = file(store, caller, id)?;
            if batches.writes(&file.id) {
                let reason = "a batch writes it: cancel the batch first";
                return Err(Reply::from(&Error::request("file_id", reason)));
            }
            store.remove(&file.id);
            json!({"id": id, "object": "file", "deleted": true}).to_string()
        }
        (&Method::POST, ["batches"]) => batches.create(body, caller)?,
        (&Method::GET, ["batches"]) => batches.page(caller, (head.uri.query(), BATCHES_PAGE))?,
        (&Method::DELETE, ["batches", id]) => batches.delete(id, caller)?,
        (&Method::GET, ["batches", id]) => json!(batches.get(id, caller).ok_or_else(|| missing(id))?).to_string(),
        (&Method::POST, ["batches", id, "cancel"]) => batches.cancel(id, caller)?,
        (method, _) => {
            return Err(Reply::error("unknown-url", &format!("nothing is at {method} /v1/{}", path.join("/")), None));
        }
    })
}

fn file(store: &Store, caller: &Caller, id: &str) -> Result<FileObject, Reply> {
    let missing = || Reply::error("no-such-object", &format!("there is no file {id:?}"), None);
    store.get_for(caller, id).ok_or_else(missing)
}

/// The bytes of a file, as a stream.
async fn content(store: &Arc<Store>, caller: Arc<Caller>, id: String) -> Result<Answer, Reply> {
    let place = store.clone();
    let opened = blocking(move || {
        let object = file(&place, &caller, &id)?;
        let path = place.bytes(&object.id);
        match std::fs::File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file))) {
            Ok((bytes, file)) => Ok((Some(tokio::fs::File::from_std(file)), bytes)),
            // A batch without answers has no file.
            Err(error) if error.kind() == io::ErrorKind::NotFound && object.bytes == 0 => Ok((None, 0)),
            Err(error) => Err(failure(&Error::io(&object.id, &error))),
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

/// A file that is being uploaded. Its bytes and its place are given back with this value unless it was stored.
struct Upload {
    store: Arc<Store>,
    owner: String,
    file: Option<FileObject>,
    to: Option<tokio::fs::File>,
    is_stored: bool,
}

impl Receiver for Upload {
    async fn begin(&mut self, name: &str) -> io::Result<()> {
        let file = self.file.insert(FileObject::new(&self.owner, name, "batch"));
        self.to = Some(tokio::fs::File::from_std(private_file(&self.store.bytes(&file.id))?));
        Ok(())
    }

    async fn add(&mut self, piece: Bytes) -> io::Result<()> {
        let (Some(file), Some(to)) = (&mut self.file, &mut self.to) else { return Ok(()) };
        if !self.store.take_room((&file.id, &file.owner), piece.len() as u64) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.bytes += piece.len() as u64;
        to.write_all(&piece).await
    }

    async fn end(&mut self) -> io::Result<()> {
        match &mut self.to {
            Some(to) => to.sync_all().await,
            None => Ok(()),
        }
    }
}

impl Upload {
    /// Writes the object of the file.
    fn finish(&mut self, file: &FileObject) -> ocelli::Result<()> {
        self.store.put(file)?;
        self.is_stored = true;
        Ok(())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        let Some(file) = &self.file else { return self.store.return_place(&self.owner) };
        if !self.is_stored {
            self.store.remove(&file.id);
            self.store.return_place(&self.owner);
        }
    }
}

/// Stores an uploaded form with `purpose` and `file`.
async fn take(store: &Arc<Store>, caller: &Caller, head: &Parts, body: Incoming) -> Result<String, Reply> {
    let kind = head.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
    let boundary = multer::parse_boundary(kind).map_err(|error| refuse("body", error.to_string()))?;
    let (store, owner) = (store.clone(), caller.owner().to_owned());
    let begin = move || {
        store.remove_expired();
        store.take_place(&owner)?;
        // It returns its place, even if the client leaves meanwhile.
        Ok(Upload { store, owner, file: None, to: None, is_stored: false })
    };
    let mut upload = blocking(begin).await?;
    let outcome = form::read(BodyDataStream::new(body), boundary, &mut upload).await;
    let outcome = outcome.map_err(|error| match error {
        multer::Error::FieldSizeExceeded { field_name: Some(name), .. } if name != "file" => {
            refuse(&name, format!("has more than {MOST_FIELD} bytes"))
        }
        multer::Error::FieldSizeExceeded { .. } | multer::Error::StreamSizeExceeded { .. } => {
            Reply::error("body-too-large", &format!("a file has at most {MOST_BYTES} bytes"), Some("file"))
        }
        multer::Error::StreamReadFailed(error) => match error.downcast::<io::Error>() {
            Ok(full) if full.kind() == io::ErrorKind::StorageFull => {
                Reply::error("storage-full", "there is no room for this file: delete others", Some("file"))
            }
            Ok(error) => failure(&Error::Io { path: "file".into(), reason: error.to_string() }),
            Err(error) => refuse("body", error.to_string()),
        },
        error => refuse("body", error.to_string()),
    });
    let file = outcome.and_then(|form| finished(form, upload.file.clone()));
    let stored = blocking(move || {
        let file = file?;
        upload.finish(&file).map_err(|error| failure(&error))?;
        Ok(json!(file).to_string())
    });
    stored.await
}

/// The object of a form that has been read.
fn finished(form: Form, file: Option<FileObject>) -> Result<FileObject, Reply> {
    let refuse = |field: &str, reason: String| Reply::from(&Error::request(field, reason));
    let Form { purpose, anchor, seconds, .. } = form;
    let purpose = purpose.ok_or_else(|| refuse("purpose", "is missing".into()))?;
    if !PURPOSES.contains(&purpose.as_str()) {
        return Err(refuse("purpose", format!("must be one of {}", PURPOSES.join(", "))));
    }
    let mut file = file.ok_or_else(|| refuse("file", "is missing".into()))?;
    file.purpose = purpose;
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
