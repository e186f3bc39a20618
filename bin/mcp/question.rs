//! Questions to a model about pictures, and the interface to the model that answers them.

use ocelli::engine::{Detail, Picture, RequestControl};
use ocelli::sampling::SamplingOptions;
use ocelli::{Error, Result};
use rmcp::model::Extensions;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedReceiver;

use super::roots::Roots;
use crate::shared::ask::{MOST_BYTES, file_bytes};

/// A question about pictures.
pub(crate) struct Question {
    pub(crate) text: String,
    /// Names of pictures below the roots, or `data:` URLs.
    pub(crate) pictures: Vec<String>,
    pub(crate) detail: Detail,
    pub(crate) roots: Roots,
    /// The `response_format` that the answer must have.
    pub(crate) format: Option<Value>,
    /// Limit of the answer's tokens.
    pub(crate) max_tokens: Option<usize>,
    /// True to take the likeliest tokens, as for facts; otherwise the publisher's recommendation decides.
    pub(crate) is_exact: bool,
}

impl Question {
    /// Reads the pictures. Takes long for pages of documents.
    ///
    /// # Errors
    /// `invalid-request` for one that does not exist, or if all together have too many bytes.
    pub(crate) fn read(&self) -> Result<Vec<Picture>> {
        let mut room = MOST_BYTES;
        let read = |name: &String| {
            let picture = self.roots.picture(name, self.detail)?;
            let too_large =
                || Error::request("image", format!("the pictures have at most {MOST_BYTES} bytes together"));
            room = room.checked_sub(file_bytes(&picture)).ok_or_else(too_large)?;
            Ok(picture)
        };
        self.pictures.iter().map(read).collect()
    }

    /// The chat request, whose pictures are those of [`Self::read`] in order.
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
