//! Bodies of requests and answers.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use ocelli::api::Reply;

/// Size limit of a request body.
const MOST_BYTES: usize = 64 << 20;
/// Time limit of a body.
const BODY_TIME: Duration = Duration::from_secs(60);

/// A response whose body is a whole answer, or its frames.
pub(super) type Answer = Response<BoxBody<Bytes, Infallible>>;

/// Reads a body as text.
pub(super) async fn read(body: Incoming) -> Result<String, Reply> {
    let refuse = |code, message: String| Reply::error(code, &message, None);
    let collected = tokio::time::timeout(BODY_TIME, Limited::new(body, MOST_BYTES).collect()).await;
    let late = |_| refuse("request-timeout", format!("the body did not come within {} s", BODY_TIME.as_secs()));
    let bytes = collected.map_err(late)?.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
        true => refuse("body-too-large", format!("a body has at most {MOST_BYTES} bytes")),
        false => refuse("invalid-request", format!("the body could not be read: {error}")),
    })?;
    let not_text = |_| refuse("invalid-request", "body: is not UTF-8".into());
    String::from_utf8(bytes.to_bytes().into()).map_err(not_text)
}

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
