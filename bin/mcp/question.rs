//! Questions to a model about pictures, and the interface to the model that answers them.

use ocelli::Result;
use ocelli::engine::{Picture, RequestControl};
use ocelli::sampling::SamplingOptions;
use rmcp::model::Extensions;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

/// A question about pictures.
pub(crate) struct Question {
    pub(crate) text: String,
    pub(crate) pictures: Vec<Picture>,
    /// The `response_format` that the answer must have.
    pub(crate) format: Option<Value>,
    /// Limit of the answer's tokens.
    pub(crate) max_tokens: Option<usize>,
    /// True to take the likeliest tokens, as for facts; otherwise the publisher's recommendation decides.
    pub(crate) is_exact: bool,
}

impl Question {
    /// The chat request, whose pictures are [`Self::pictures`] in order.
    pub(crate) fn body(&self, defaults: &SamplingOptions) -> String {
        let picture = |index| json!({"type": "image_url", "image_url": {"url": format!("data:,{index}")}});
        let pictures = (0..self.pictures.len()).map(picture);
        let content: Vec<Value> = pictures.chain([json!({"type": "text", "text": self.text})]).collect();
        // Without a recommendation the likeliest tokens are taken, as `ocelli describe` does.
        let is_greedy = self.is_exact || *defaults == SamplingOptions::default();
        json!({
            "messages": [{"role": "user", "content": content}],
            "response_format": self.format,
            "max_tokens": self.max_tokens,
            "temperature": is_greedy.then_some(0),
            "stream": true,
        })
        .to_string()
    }
}

/// Progress of an answer.
pub(crate) enum Step {
    /// Text for people about what happens, such as the progress of a picture.
    Note(String),
    /// A part of the answer.
    Part,
    /// The whole answer: the body of a chat completion, or an error.
    End(Result<String>),
}

/// A model that answers questions; also a queue before it.
pub(crate) trait Model: Clone + Send + Sync + 'static {
    /// Submits a question. `sender` has the extensions of the request that asks it.
    ///
    /// # Errors
    /// A fault of the question, or too many that wait.
    fn ask(&self, question: Question, control: RequestControl, sender: &Extensions) -> Result<UnboundedReceiver<Step>>;
}
