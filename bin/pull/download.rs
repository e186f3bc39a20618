//! Download of a file over HTTP: resumable, checked by length and, if the server sends it, SHA-256.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ocelli::package::durable;
use ocelli::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::address::{Origin, Token, follow};
use super::extent::Extent;
use crate::shared::disk;
use crate::shared::io::harmless;
use crate::shared::models::Pin;
use crate::shared::progress::bar;

/// Attempts in a row without progress.
const ATTEMPTS: u32 = 5;
const REDIRECTS: usize = 8;
/// Time without a byte after which a connection is stalled and the download resumes.
const STALL: Duration = Duration::from_secs(60);
/// Received bytes after which those so far are written to disk.
const STORE_EVERY: u64 = 16 << 20;
/// Free space that a file of unknown length leaves to others.
const SPARED: u64 = 1 << 30;

/// State of an unfinished file, stored beside it.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    /// The `ETag` of the file. Weak ones do not guarantee equal bytes and are not used.
    etag: Option<String>,
    bytes: Option<u64>,
    /// SHA-256 of the whole file, if the server sends it.
    sha256: Option<String>,
    /// Bytes that are on disk. After a power failure those beyond may be zeros.
    #[serde(default)]
    stored: u64,
}

/// The end of an attempt.
enum Failure {
    /// The next attempt can resume.
    Passing(String),
    Final(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Passing(error.to_string())
    }
}

/// Downloads files, one at a time.
pub(super) struct Downloader {
    agent: Agent,
    tokens: Vec<Token>,
    /// Free space that a file of unknown length leaves to others.
    spared: u64,
}

/// Most bytes of a text.
const MOST_TEXT: u64 = 8 << 20;

impl Downloader {
    pub(super) fn new(tokens: Vec<Token>) -> Self {
        Self::with_stall(tokens, STALL)
    }

    pub(super) fn with_stall(tokens: Vec<Token>, stall: Duration) -> Self {
        let config = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(20)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .timeout_per_read(Some(stall))
            .user_agent(concat!("ocelli/", env!("CARGO_PKG_VERSION")));
        Self { agent: config.build().into(), tokens, spared: SPARED }
    }

    #[cfg(test)]
    pub(super) fn sparing(self, spared: u64) -> Self {
        Self { spared, ..self }
    }

    /// Downloads `url` to `path`, unless it exists, and checks it against `pin`. Returns false if the server has no such file.
    pub(super) fn fetch(&self, url: &str, path: &Path, pin: Option<&Pin>) -> Result<bool> {
        if path.is_file() {
            return Ok(true);
        }
        let part = beside(path, "part");
        let (mut fruitless, mut farthest) = (0, 0);
        loop {
            let mut start = 0;
            let reason = match self.attempt((url, pin), (path, &part), &mut start) {
                Ok(is_found) => return Ok(is_found),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Passing(reason)) => reason,
            };
            let end = fs::metadata(&part).map_or(0, |data| data.len());
            // Bytes that are received anew after each failure are no progress.
            fruitless = if start > 0 && end > farthest { 1 } else { fruitless + 1 };
            farthest = farthest.max(end);
            if fruitless >= ATTEMPTS {
                let reason = format!("{reason}; the received part is kept; run the same command again to resume");
                return Err(Error::Io { path: url.into(), reason });
            }
            thread::sleep(Duration::from_millis(250 << fruitless));
        }
    }

    /// A short text; `None` if the server has none.
    pub(super) fn text(&self, url: &str) -> Result<Option<String>> {
        let failed = |reason: String| Error::Io { path: url.into(), reason };
        let (response, _) = self.get(url, 0, None).map_err(|failure| match failure {
            Failure::Final(error) => error,
            Failure::Passing(reason) => failed(reason),
        })?;
        match response.status() {
            StatusCode::OK => {
                let text = response.into_body().into_with_config().limit(MOST_TEXT).read_to_string();
                text.map(Some).map_err(|error| failed(error.to_string()))
            }
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(None),
            status => Err(refused(url, status)),
        }
    }

    /// One attempt; `begun` becomes the offset from which it resumes.
    fn attempt(
        &self,
        (url, pin): (&str, Option<&Pin>),
        (path, part): (&Path, &Path),
        begun: &mut u64,
    ) -> std::result::Result<bool, Failure> {
        let fail = |error: io::Error| Failure::Final(Error::io(part.display(), &error));
        let noted = beside(path, "part.json");
        let known: Version =
            fs::read(&noted).ok().and_then(|json| serde_json::from_slice(&json).ok()).unwrap_or_default();
        // Without an ETag the rest may belong to another version of the file.
        let mut have =
            fs::metadata(part).map_or(0, |data| data.len()).min(known.stored) * u64::from(known.etag.is_some());
        // A server refuses a range that begins at the end of a file: of a whole file the last byte is asked for again.
        if known.bytes == Some(have) {
            have = have.saturating_sub(1);
        }
        let (response, sha256) = self.get(url, have, known.etag.as_deref())?;
        match response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(false),
            StatusCode::RANGE_NOT_SATISFIABLE => {
                fs::remove_file(part).map_err(fail)?;
                return Err(Failure::Passing("the file has become shorter".into()));
            }
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                return Err(Failure::Passing(format!("the server says {status}")));
            }
            status => return Err(Failure::Final(refused(url, status))),
        }
        let unknown = || Failure::Passing("the server sent an unknown part of the file".into());
        let Extent { start, bytes } = extent(&response).ok_or_else(unknown)?;
        let etag = strong_etag(&response);
        // A digest of an earlier response belongs to the ETag of that response.
        let sha256 = sha256.or_else(|| known.sha256.clone().filter(|_| etag == known.etag));
        let version = pinned(Version { etag, bytes, sha256, stored: start }, url, pin).map_err(Failure::Final)?;
        if start != 0 && (start != have || (&version.etag, version.bytes) != (&known.etag, known.bytes)) {
            fs::remove_file(part).map_err(fail)?;
            return Err(Failure::Passing("the file has changed".into()));
        }
        disk::check_room(part, version.bytes.unwrap_or(0).saturating_sub(start)).map_err(Failure::Final)?;
        *begun = start;
        let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(part).map_err(fail)?;
        file.set_len(start).and_then(|()| file.seek(SeekFrom::Start(start))).map_err(fail)?;
        let spared = if version.bytes.is_none() { self.spared } else { 0 };
        let mut part = Part { file, path: part, noted: &noted, version, spared };
        part.store(start).map_err(fail)?;
        let appended = append(response.into_body(), &mut part, &label(path), start);
        if part.version.etag.is_none() && matches!(appended, Err(Failure::Final(_))) {
            // It cannot be resumed.
            drop(fs::remove_file(part.path));
        }
        appended?;
        verify(url, &part, pin)?;
        durable::rename(part.path, path).map_err(fail)?;
        // No longer needed.
        drop(fs::remove_file(&noted));
        Ok(true)
    }

    /// Follows redirections. Also returns the file's SHA-256, if a server on the way sends it.
    fn get(
        &self,
        url: &str,
        from: u64,
        etag: Option<&str>,
    ) -> std::result::Result<(Response<Body>, Option<String>), Failure> {
        let (mut at, mut sha256, first) = (url.to_owned(), None, Origin::of(url));
        for _ in 0..REDIRECTS {
            let origin = Origin::of(&at).filter(|origin| Some(origin) == first.as_ref());
            let mut request = self.agent.get(&at).header(header::ACCEPT_ENCODING, "identity");
            if let Some(Token { secret, .. }) = self.tokens.iter().find(|token| origin.as_ref() == Some(&token.origin))
            {
                request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
            }
            if let Some(etag) = etag.filter(|_| from > 0) {
                request = request.header(header::RANGE, format!("bytes={from}-")).header(header::IF_RANGE, etag);
            }
            let response = request.call().map_err(|error| match error {
                ureq::Error::BadUri(reason) => Failure::Final(Error::request("address", format!("{at}: {reason}"))),
                other => Failure::Passing(other.to_string()),
            })?;
            // Header of hubs for large files.
            let linked = text(&response, "x-linked-etag").map(|etag| etag.trim_matches('"').to_lowercase());
            sha256 =
                sha256.or(linked.filter(|etag| etag.len() == 64 && etag.bytes().all(|byte| byte.is_ascii_hexdigit())));
            match text(&response, "location").filter(|_| response.status().is_redirection()) {
                Some(location) => at = follow(&at, location).map_err(Failure::Final)?,
                None => return Ok((response, sha256)),
            }
        }
        Err(Failure::Final(Error::Io { path: url.into(), reason: "too many redirections".into() }))
    }
}

/// An unfinished file.
struct Part<'a> {
    file: File,
    path: &'a Path,
    /// Path of its version.
    noted: &'a Path,
    version: Version,
    /// Free space that it leaves to others.
    spared: u64,
}

impl Part<'_> {
    /// Writes the first `bytes` to disk, and then their number.
    fn store(&mut self, bytes: u64) -> io::Result<()> {
        self.file.sync_data()?;
        self.version.stored = bytes;
        fs::write(self.noted, serde_json::to_vec(&self.version)?)
    }
}

/// The version of a file that must have the content of `pin`.
fn pinned(version: Version, url: &str, pin: Option<&Pin>) -> Result<Version> {
    let Some(Pin { sha256, bytes }) = pin else { return Ok(version) };
    if let Some(other) = version.bytes.filter(|other| other != bytes) {
        let reason = format!("it has {other} bytes, the known file has {bytes}");
        return Err(Error::Io { path: url.into(), reason });
    }
    Ok(Version { bytes: Some(*bytes), sha256: Some(sha256.clone()), ..version })
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

fn label(path: &Path) -> String {
    path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

fn text<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn strong_etag(response: &Response<Body>) -> Option<String> {
    text(response, "etag").filter(|etag| !etag.starts_with("W/")).map(Into::into)
}

/// The part of the file in a response; `None` if the server does not tell which part it sends.
fn extent(response: &Response<Body>) -> Option<Extent> {
    if response.status() == StatusCode::PARTIAL_CONTENT {
        return Extent::of_part(text(response, "content-range")?);
    }
    Some(Extent { start: 0, bytes: text(response, "content-length").and_then(|length| length.parse().ok()) })
}

fn append(body: Body, part: &mut Part, label: &str, start: u64) -> std::result::Result<(), Failure> {
    let bytes = part.version.bytes;
    let bar = bar("{msg} {bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left")
        .with_message(harmless(label).into_owned());
    bar.set_length(bytes.unwrap_or(0));
    bar.set_position(start);
    bar.reset_eta();
    let fail = |error: io::Error| Failure::Final(Error::io(label, &error));
    let (mut body, mut buffer, mut at) = (body.into_reader(), vec![0; 1 << 18], start);
    let ended = loop {
        let read = match body.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        part.file.write_all(&buffer[..read]).map_err(fail)?;
        at += read as u64;
        bar.set_position(at);
        if bytes.is_some_and(|bytes| at > bytes) {
            break Ok(());
        }
        if at >= part.version.stored + STORE_EVERY {
            part.store(at).map_err(fail)?;
            disk::check_room(part.path, part.spared).map_err(Failure::Final)?;
        }
    };
    part.store(at).map_err(fail)?;
    bar.finish_and_clear();
    ended?;
    match bytes {
        Some(bytes) if at > bytes => {
            let reason = format!("the server sends more than the {bytes} bytes of the file");
            Err(Failure::Final(Error::Io { path: label.into(), reason }))
        }
        Some(bytes) if at < bytes => Err(Failure::Passing(format!("the connection ended after {at} of {bytes} bytes"))),
        _ => Ok(()),
    }
}

/// Removes a damaged file, so that the next attempt starts from the beginning.
fn verify(url: &str, part: &Part, pin: Option<&Pin>) -> std::result::Result<(), Failure> {
    let Some(expected) = &part.version.sha256 else { return Ok(()) };
    let mut hash = Sha256::new();
    let (mut file, mut buffer) = (File::open(part.path)?, vec![0; 1 << 18]);
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let actual: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if actual == *expected {
        return Ok(());
    }
    fs::remove_file(part.path)?;
    // Without the part its notes mean nothing.
    drop(fs::remove_file(part.noted));
    let promise = pin.map_or("the server promised", |_| "the known file has");
    let reason = format!("SHA-256 is {actual}, {promise} {expected}");
    Err(Failure::Final(Error::Io { path: url.into(), reason }))
}

fn refused(url: &str, status: StatusCode) -> Error {
    let hint = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            ": accept the model's licence on its page, and set --token, or HF_TOKEN for huggingface.co"
        }
        _ => "",
    };
    Error::Io { path: url.into(), reason: format!("the server says {status}{hint}") }
}
