//! The API of a loaded model. It reads requests while the engine is busy with others: only carrying them out needs the engine.

use js_sys::Array;
use wasm_bindgen::prelude::*;

use super::convert::{JsResult, to_js};
use super::picture::pictures_from_js;
use crate::api::{Opened, Reply, Run, Service, Work};
use crate::error::Error;

/// What answers requests for a model.
#[wasm_bindgen]
pub struct OcelliService(pub(super) Service);

#[wasm_bindgen]
impl OcelliService {
    /// Reads a request: the method, the path of its URL and the body. Throws what is wrong with it.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        body: &str,
        #[wasm_bindgen(unchecked_param_type = "RequestStamp")] stamp: JsValue,
    ) -> JsResult<OcelliWork> {
        let opened = self.0.open((method, path), body, serde_wasm_bindgen::from_value(stamp)?)?;
        Ok(OcelliWork(match opened {
            Opened::Ready(body) => State::Ready(body),
            Opened::Work(work) if work.format.is_some() => {
                let (field, reason) = ("response_format".into(), "a page cannot hold answers to a format yet".into());
                return Err(Error::UnsupportedOption { field, reason }.into());
            }
            Opened::Work(work) => State::Waiting(work),
        }))
    }
}

/// What a request comes to.
#[wasm_bindgen]
pub struct OcelliWork(State);

enum State {
    Ready(String),
    /// For its pictures.
    Waiting(Box<Work>),
    Running(Box<Run>),
}

#[wasm_bindgen]
impl OcelliWork {
    /// The answer, where no engine is needed.
    pub fn body(&self) -> Option<String> {
        if let State::Ready(body) = &self.0 { Some(body.clone()) } else { None }
    }

    /// Whether the answer is sent in frames.
    #[wasm_bindgen(js_name = isStream)]
    pub fn is_stream(&self) -> bool {
        matches!(&self.0, State::Waiting(work) if work.stream)
    }

    /// The pictures that the request names.
    #[wasm_bindgen(unchecked_return_type = "PictureUrl[]")]
    pub fn pictures(&self) -> JsResult<JsValue> {
        match &self.0 {
            State::Waiting(work) => to_js(&work.pictures),
            _ => to_js(&[(); 0]),
        }
    }

    /// Hands over the pictures, in that order.
    pub fn show(&mut self, #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array) -> JsResult<()> {
        let details = match &self.0 {
            State::Waiting(work) => work.pictures.iter().map(|picture| picture.detail).collect(),
            _ => Vec::new(),
        };
        let pictures = pictures_from_js(&pictures, &details)?;
        match std::mem::replace(&mut self.0, State::Ready(String::new())) {
            State::Waiting(work) => self.0 = State::Running(Box::new(Run::new(work, pictures))),
            other => self.0 = other,
        }
        Ok(())
    }

    pub(super) fn run(&mut self) -> JsResult<&mut Run> {
        match &mut self.0 {
            State::Running(run) => Ok(run),
            _ => Err(Error::Internal { detail: "work without its pictures".into() }.into()),
        }
    }
}

/// An error as the API reports it. `field` is that of the request which is at fault.
#[wasm_bindgen(js_name = errorReply, unchecked_return_type = "Reply")]
pub fn error_reply(code: &str, message: &str, field: Option<String>) -> JsResult<JsValue> {
    to_js(&Reply::error(code, message, field.as_deref()))
}
