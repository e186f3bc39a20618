//! Rust values as plain JavaScript objects.

use serde::Serialize;
use wasm_bindgen::JsValue;

use crate::error::Error;

/// What an export returns: a value, or the value that JavaScript catches.
pub(super) type JsResult<T> = Result<T, JsValue>;

/// An error for JavaScript: `message` for people, `code` and `detail` for programs.
#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'static str,
    message: String,
    detail: &'a Error,
}

/// `{ code, message, detail }`.
pub(super) fn error_to_js(error: &Error) -> JsValue {
    let object = ErrorObject { code: error.code(), message: error.to_string(), detail: error };
    // Strings and numbers always serialize; if they did not, the message would still arrive.
    plain_object(&object).unwrap_or_else(|_| JsValue::from_str(&error.to_string()))
}

/// `value` as plain objects, arrays, strings and numbers, as `JSON.parse` makes them.
pub(super) fn to_js<T: Serialize + ?Sized>(value: &T) -> JsResult<JsValue> {
    plain_object(value).map_err(|error| error_to_js(&Error::Internal { detail: error.to_string() }))
}

fn plain_object<T: Serialize + ?Sized>(value: &T) -> Result<JsValue, serde_wasm_bindgen::Error> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible())
}
