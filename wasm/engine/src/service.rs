//! The API of a loaded model. It reads requests without the engine, which may be busy with others.

use js_sys::Array;
use serde::Serialize;
use wasm_bindgen::prelude::*;

use crate::grammar::{GrammarObject, WebGrammar, fault};
use crate::picture::pictures_from_js;
use ocelli::api::{Asker, Opened, Reply, Run, Service, Wanted, Work};
use ocelli::error::Error;
use ocelli::grammar::Format;
use ocelli::usage::{Bill, Sums};
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
        let state = match opened {
            Opened::Ready(body) => State::Ready(body),
            Opened::Work(work) => State::Waiting(work),
        };
        Ok(OcelliWork { state, bill: None })
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
pub struct OcelliWork {
    state: State,
    bill: Option<Bill<Sums>>,
}

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
        if let State::Ready(body) = &self.state { Some(body.clone()) } else { None }
    }

    /// Returns whether the answer is sent in frames.
    #[wasm_bindgen(js_name = isStream)]
    pub fn is_stream(&self) -> bool {
        matches!(&self.state, State::Waiting(work) if work.stream)
    }

    /// The pictures that the request names.
    #[wasm_bindgen(unchecked_return_type = "PictureUrl[]")]
    pub fn pictures(&self) -> JsResult<JsValue> {
        match &self.state {
            State::Waiting(work) => to_js(&work.pictures),
            _ => to_js(&[(); 0]),
        }
    }

    /// Sets the pictures, in the order of [`pictures`](Self::pictures).
    pub fn show(&mut self, #[wasm_bindgen(unchecked_param_type = "Picture[]")] pictures: Array) -> JsResult<()> {
        let details = match &self.state {
            State::Waiting(work) => work.pictures.iter().map(|picture| picture.detail).collect(),
            _ => Vec::new(),
        };
        let pictures = pictures_from_js(&pictures, &details).map_err(error_object)?;
        match std::mem::replace(&mut self.state, State::Ready(String::new())) {
            State::Waiting(work) => self.state = State::Running(Box::new(Run::new(work, pictures))),
            other => self.state = other,
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
        let State::Running(run) = &mut self.state else { return Err(without_pictures()) };
        run.constrain(WebGrammar::handed_over(grammar));
        Ok(())
    }

    fn wanted(&self) -> Option<&Wanted> {
        match &self.state {
            State::Ready(_) => None,
            State::Waiting(work) => work.format.as_ref(),
            State::Running(run) => run.format(),
        }
    }
}

impl OcelliWork {
    /// The asker, if an answer is asked for.
    pub(crate) fn asker(&self) -> Option<&Asker> {
        if let State::Waiting(work) = &self.state { (work.answers() > 0).then_some(&work.asker) } else { None }
    }

    /// Sets the bill that counts the request.
    pub(crate) fn count_by(&mut self, bill: Bill<Sums>) {
        self.bill = Some(bill);
    }

    pub(crate) fn into_run(self) -> JsResult<(Box<Run>, Option<Bill<Sums>>)> {
        match self.state {
            State::Running(run) => Ok((run, self.bill)),
            _ => Err(without_pictures()),
        }
    }
}

fn without_pictures() -> JsValue {
    error_object(Error::Internal { detail: "work without its pictures".into() })
}

/// The reply for an error in the API at a path. `field` names the faulty field of the request.
#[wasm_bindgen(js_name = errorReply, unchecked_return_type = "Reply")]
pub fn error_reply(path: &str, code: &str, message: &str, field: Option<String>) -> JsResult<JsValue> {
    to_js(&Reply::error(code, message, field.as_deref()).at(path))
}
