//! Values between Rust and JavaScript: errors, plain objects, exceptions of callbacks.

use std::cell::RefCell;
use std::rc::Rc;

use serde::Serialize;
use wasm_bindgen::prelude::*;

use ocelli::error::{Error, Result};

/// Result of an export: a value, or the value that JavaScript catches.
pub type JsResult<T> = std::result::Result<T, JsValue>;

/// An error for JavaScript: `message` for people, `code` and `detail` for programs.
#[derive(Serialize)]
struct ErrorObject<'a> {
    code: &'static str,
    message: &'a str,
    detail: &'a Error,
}

/// The value that JavaScript catches for an error.
pub fn error_object(error: Error) -> JsValue {
    let message = &error.to_string();
    // Strings and numbers always serialize; if they did not, the message would still arrive.
    to_js(&ErrorObject { code: error.code(), message, detail: &error }).unwrap_or_else(|_| message.into())
}

/// Converts `value` through JSON, whose serializer the module has anyway; a second serializer would add 60 kB.
pub fn to_js<T: Serialize + ?Sized>(value: &T) -> JsResult<JsValue> {
    let json = serde_json::to_string(value).map_err(|error| JsValue::from(error.to_string()))?;
    js_sys::JSON::parse(&json)
}

/// A field of an object, `undefined` if absent.
pub fn field(object: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(object, &name.into()).unwrap_or_default()
}

/// Exception of a callback, kept so that the caller gets the original value instead of a Rust error.
#[derive(Debug, Clone, Default)]
pub struct Thrown(Rc<RefCell<Option<JsValue>>>);

impl Thrown {
    /// Keeps a thrown value and returns a placeholder error.
    pub fn keep<T>(&self, path: &str, outcome: JsResult<T>) -> Result<T> {
        outcome.map_err(|thrown| {
            self.0.replace(Some(thrown));
            Error::Io { path: path.into(), reason: "the worker could not do it".into() }
        })
    }

    /// The outcome for JavaScript. Its error is the kept value, if there is one.
    pub fn restore<T>(&self, outcome: Result<T>) -> JsResult<T> {
        outcome.map_err(|error| self.0.take().unwrap_or_else(|| error_object(error)))
    }

    /// The kept value if `error` is a placeholder. It stays kept, because one exception may fail several requests.
    pub fn in_place_of(&self, error: Error) -> JsValue {
        let kept = if matches!(error, Error::Io { .. }) { self.0.borrow().clone() } else { None };
        kept.unwrap_or_else(|| error_object(error))
    }

    /// Drops the kept value.
    pub fn forget(&self) {
        self.0.take();
    }
}
