//! Responses.

use std::convert::Infallible;
use std::path::Path;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use ocelli::Error;
use ocelli::api::Reply;

/// A response whose body is a whole answer, or the frames of one.
pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// A JSON response with a status.
pub(super) fn plain(reply: &Reply) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(reply.body.clone())).boxed());
    *answer.status_mut() = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(may_retry) = reply.may_retry {
        let value = if may_retry { "true" } else { "false" };
        headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static(value));
    }
    answer
}

/// An error for clients: files of the server are named without their folders, which are written to the log.
pub(super) fn told(error: &Error) -> Error {
    let name = |path: &str| Path::new(path).file_name().map_or_else(String::new, |name| name.to_string_lossy().into());
    match error {
        Error::Io { path, reason } => {
            tracing::warn!(path, reason, "io");
            Error::Io { path: name(path), reason: reason.clone() }
        }
        Error::StorageFull { path } => Error::StorageFull { path: name(path) },
        Error::InvalidRequest { field, reason } if Path::new(field).is_absolute() => {
            tracing::warn!(path = field, reason, "a file");
            Error::request(name(field), reason)
        }
        other => other.clone(),
    }
}

/// The reply to a request that fails.
pub(super) fn failure(error: &Error) -> Reply {
    Reply::from(&told(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_no_folders_of_the_server() {
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        let reply = failure(&Error::io("/srv/private/file-1.jsonl", &full));
        assert_eq!(reply.status, 500);
        assert!(reply.body.contains("file-1.jsonl: ") && !reply.body.contains("private"), "{}", reply.body);
        let told = told(&Error::request("/srv/private/file-2.jsonl", "line 1 is no answer"));
        assert_eq!(told.to_string(), "file-2.jsonl: line 1 is no answer");
        assert_eq!(super::told(&Error::request("messages[0]", "is no text")).to_string(), "messages[0]: is no text");
    }
}
