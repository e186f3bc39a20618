//! A complete reply: status and JSON, also for errors. A request that would fail again never gets a 5xx, because clients retry those
//! automatically.

use serde::Serialize;
use serde_json::Value;

use crate::error::Error;

/// Reply to a request that is not streamed, or an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// JSON.
    pub body: String,
    /// Value of the header `x-should-retry`, which official clients obey; absent if the status implies it.
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
    /// The numbers of a budget.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Error>,
}

/// Returns true for the paths of Anthropic's API.
fn is_messages(path: &str) -> bool {
    path.contains("/v1/messages")
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

/// HTTP status and API code of an [error code](Error::code). Codes that OpenAI lacks are Ocelli's own, with underscores.
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
        "storage-full" => (413, "storage_full"),
        "budget-too-small" => (422, "budget_too_small"),
        "budget-exceeded" => (429, code),
        "too-many-requests" => (429, "too_many_requests"),
        "loading" | "out-of-memory" | "device-lost" | "webgpu-unavailable" | "unloaded" => (503, code),
        other => (500, other),
    };
    (status, name.replace('-', "_"))
}

impl Reply {
    /// A reply with status 200.
    pub fn ok(body: String) -> Self {
        Self { status: 200, body, may_retry: None }
    }

    /// The same reply in the format of the API at a path: errors of Anthropic's API have another object around them and other types.
    #[must_use]
    pub fn at(self, path: &str) -> Self {
        if self.status < 400 || !is_messages(path) {
            return self;
        }
        let kind = match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            500.. => "api_error",
            _ => INVALID,
        };
        let Ok(mut body) = serde_json::from_str::<Value>(&self.body) else { return self };
        body["type"] = "error".into();
        body["error"]["type"] = kind.into();
        Self { body: body.to_string(), ..self }
    }

    /// The server-sent event for an error within a stream of the API at a path.
    pub fn event(self, path: &str) -> String {
        let name = if is_messages(path) { "event: error\n" } else { "" };
        format!("{name}data: {}\n\n", self.at(path).body)
    }

    /// A reply for an error: its [code](Error::code), its message and the field of the request that caused it.
    pub fn error(code: &str, message: &str, field: Option<&str>) -> Self {
        Self::detailed(code, message, field, None)
    }

    fn detailed(code: &str, message: &str, field: Option<&str>, detail: Option<Error>) -> Self {
        let (status, code) = status_and_code(code, field.is_some());
        let r#type = if status < 500 { INVALID } else { SERVER };
        let error = ErrorDetail { message: message.into(), r#type, param: field.map(str::to_owned), code, detail };
        // Only these errors are temporary: a lost device is opened again.
        let may_retry = (status >= 500 || status == 429)
            .then_some(matches!(error.code.as_str(), "device_lost" | "loading" | "too_many_requests"));
        let body = serde_json::to_string(&ErrorBody { error });
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
        let detail = matches!(error, Error::BudgetExceeded { .. }).then(|| error.clone());
        Self::detailed(error.code(), &error.to_string(), field, detail)
    }
}
