//! The API of a loaded model. It reads requests without the engine, which may be busy with others.

use js_sys::Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::grammar::{GrammarObject, WebGrammar, fault};
use crate::picture::pictures_from_js;
use ocelli::api::{Opened, Reply, Run, Service, Wanted, Work};
use ocelli::error::Error;
use ocelli::grammar::Format;
use wasm_shared::{JsResult, error_object, to_js};

/// API of a model.
#[wasm_bindgen]
pub struct OcelliService(pub(crate) Service);

#[wasm_bindgen]
impl OcelliService {
    /// Reads a request: method, URL path and body. Throws if it is invalid.
    pub fn open(
        &self,
        method: &str,
        path: &str,
        body: &str,
        #[wasm_bindgen(unchecked_param_type = "RequestStamp")] stamp: JsValue,
    ) -> JsResult<OcelliWork> {
        let opened = self.0.open((method, path), body, serde_wasm_bindgen::from_value(stamp)?).map_err(error_object)?;
        Ok(OcelliWork(match opened {
            Opened::Ready(body) => State::Ready(body),
            Opened::Work(work) => State::Waiting(work),
        }))
    }
}

/// `WantedFormat` of `types.d.ts`.
#[derive(Serialize)]
struct FormatObject<'a> {
    kind: &'static str,
    text: &'a str,
}

/// A request that has been read.
#[wasm_bindgen]
pub struct OcelliWork(State);

enum State {
    Ready(String),
    /// Waits for its pictures.
    Waiting(Box<Work>),
    Running(Box<Run>),
}

#[wasm_bindgen]
impl OcelliWork {
    /// The reply, if it needs no engine.
    pub fn body(&self) -> Option<String> {
        if let State::Ready(body) = &self.0 { Some(body.clone()) } else { None }
    }

    /// Returns whether the answer is sent in frames.
    #[wasm_bindgen(js_name = isStream)]
    pub fn is_stream(&self) -> bool {
        matches!(&self.0, State::Waiting(work) if work.stream)
    }

    /// The asker and the request's own budget; `undefined` for a request without answers.
    #[wasm_bindgen(unchecked_return_type = "Asker | undefined")]
    pub fn asker(&self) -> JsResult<JsValue> {
        match &self.0 {
            State::Waiting(work) if work.answers() > 0 => to_js(&work.asker),
            _ => Ok(JsValue::UNDEFINED),
        }
    }

    /// The pictures that the request names.
    #[wasm_bindgen(unchecked_return_type = "PictureUrl[]")]
    pub fn pictures(&self) -> JsResult<JsValue> {
        match &self.0 {
            State::Waiting(work) => to_js(&work.pictures),
            _ => to_js(&[(); 0]),
        }
    }

    /// Sets the pictures, in the order of [`pictures`](Self::pictures).
    pub fn show(&mut self, #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array) -> JsResult<()> {
        let details = match &self.0 {
            State::Waiting(work) => work.pictures.iter().map(|picture| picture.detail).collect(),
            _ => Vec::new(),
        };
        let pictures = pictures_from_js(&pictures, &details).map_err(error_object)?;
        match std::mem::replace(&mut self.0, State::Ready(String::new())) {
            State::Waiting(work) => self.0 = State::Running(Box::new(Run::new(work, pictures))),
            other => self.0 = other,
        }
        Ok(())
    }

    /// The format that answers must have.
    #[wasm_bindgen(unchecked_return_type = "WantedFormat | undefined")]
    pub fn format(&self) -> JsResult<JsValue> {
        let Some(Wanted { format, .. }) = self.wanted() else { return Ok(JsValue::UNDEFINED) };
        let (kind, text) = match format {
            Format::JsonSchema(text) => ("json_schema", text),
            Format::Regex(text) => ("regex", text),
            Format::Lark(text) => ("lark", text),
            Format::Rules { lark, schemas } => {
                let text = serde_json::json!({"lark": lark, "schemas": schemas}).to_string();
                return to_js(&FormatObject { kind: "rules", text: &text });
            }
        };
        to_js(&FormatObject { kind, text })
    }

    /// Adds the format's place in the request to an error of the grammars' module.
    pub fn located(&self, thrown: &JsValue) -> JsValue {
        let error = fault(thrown);
        error_object(self.wanted().map_or(error.clone(), |wanted| wanted.locate(error)))
    }

    /// Sets the grammar of [`format`](Self::format). The pictures must be set before.
    #[wasm_bindgen(js_name = constrain)]
    pub fn constrain(&mut self, grammar: GrammarObject) -> JsResult<()> {
        self.run()?.constrain(WebGrammar::handed_over(grammar));
        Ok(())
    }

    fn wanted(&self) -> Option<&Wanted> {
        match &self.0 {
            State::Ready(_) => None,
            State::Waiting(work) => work.format.as_ref(),
            State::Running(run) => run.format(),
        }
    }

    pub(crate) fn run(&mut self) -> JsResult<&mut Run> {
        match &mut self.0 {
            State::Running(run) => Ok(run),
            _ => Err(without_pictures()),
        }
    }
}

impl OcelliWork {
    pub(crate) fn into_run(self) -> JsResult<Box<Run>> {
        match self.0 {
            State::Running(run) => Ok(run),
            _ => Err(without_pictures()),
        }
    }
}

fn without_pictures() -> JsValue {
    error_object(Error::Internal { detail: "work without its pictures".into() })
}

/// The API's reply for an error. `field` names the faulty field of the request.
#[wasm_bindgen(js_name = errorReply, unchecked_return_type = "Reply")]
pub fn error_reply(code: &str, message: &str, field: Option<String>) -> JsResult<JsValue> {
    to_js(&Reply::error(code, message, field.as_deref()))
}
