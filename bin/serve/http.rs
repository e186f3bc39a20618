//! Responses.

use std::convert::Infallible;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
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
