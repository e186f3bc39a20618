//! A whole reply: a status and JSON. And how the API reports errors: never a 5xx where the same request would fail again, because clients
//! repeat those by themselves.

use serde::Serialize;

use crate::error::Error;

/// The answer to a request that is not a stream, or the error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// HTTP's status code.
    pub status: u16,
    /// JSON.
    pub body: String,
    /// For the header `x-should-retry`, which official clients obey; absent where the status says it.
    pub may_retry: Option<bool>,
}

/// An error as the OpenAI API reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ErrorDetail {
    message: String,
    r#type: &'static str,
    param: Option<String>,
    code: String,
}

/// Type of errors of the request.
const INVALID: &str = "invalid_request_error";
/// Type of errors of the server.
const SERVER: &str = "server_error";

/// Status and code of an error by our own code. Codes that OpenAI has not are ours, with underscores.
fn status_and_code(code: &str, names_field: bool) -> (u16, String) {
    let (status, name) = match code {
        "invalid-request" => (400, "invalid_value"),
        "unsupported-option" => (400, "unsupported_parameter"),
        "unsupported-schema" | "invalid-grammar" => (400, code),
        "context-overflow" => (400, "context_length_exceeded"),
        "invalid-image" => (400, "image_parse_error"),
        "image-too-large" => (400, "image_too_large"),
        "io" if names_field => (400, "failed_to_download_image"),
        "invalid-api-key" => (401, "invalid_api_key"),
        "forbidden" => (403, "forbidden"),
        "model-not-found" => (404, "model_not_found"),
        "unknown-url" => (404, "unknown_url"),
        "no-such-object" => (404, "not_found"),
        "wrong-method" => (405, "method_not_supported"),
        "request-timeout" => (408, "request_timeout"),
        "body-too-large" => (413, "request_too_large"),
        "budget-too-small" => (422, "budget_too_small"),
        "budget-exceeded" => (429, code),
        "too-many-requests" => (429, "too_many_requests"),
        "out-of-memory" | "device-lost" | "webgpu-unavailable" | "unloaded" => (503, code),
        other => (500, other),
    };
    (status, name.replace('-', "_"))
}

impl Reply {
    /// JSON that is as it should be.
    pub fn ok(body: String) -> Self {
        Self { status: 200, body, may_retry: None }
    }

    /// An error by its [code](Error::code), what it says and the field of the request that it is about.
    pub fn error(code: &str, message: &str, field: Option<&str>) -> Self {
        let (status, code) = status_and_code(code, field.is_some());
        let r#type = if status < 500 { INVALID } else { SERVER };
        let detail = ErrorDetail { message: message.into(), r#type, param: field.map(str::to_owned), code };
        // A lost device is opened again; whatever else fails here would fail again.
        let may_retry = (status >= 500 || status == 429)
            .then_some(matches!(detail.code.as_str(), "device_lost" | "too_many_requests"));
        let body = serde_json::to_string(&ErrorBody { error: detail });
        // Strings always serialize.
        Self { status, body: body.unwrap_or_default(), may_retry }
    }
}

impl From<&Error> for Reply {
    fn from(error: &Error) -> Self {
        let field = match error {
            Error::InvalidRequest { field, .. } | Error::UnsupportedOption { field, .. } => Some(field.as_str()),
            Error::UnsupportedSchema { pointer, .. } => Some(pointer.as_str()),
            Error::ModelNotFound { .. } => Some("model"),
            _ => None,
        };
        Self::error(error.code(), &error.to_string(), field)
    }
}
