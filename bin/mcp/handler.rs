//! Calls of tools.

use std::path::Path;

use futures_util::{StreamExt, stream};
use ocelli::engine::{Detail, RequestControl};
use ocelli::{Error, Result};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Extensions, Implementation,
    ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::progress::Progress;
use super::question::{Model, Question, Step};
use super::roots::{Listing, Roots};
use super::tools::{
    self, COMPARE, Compare, DESCRIBE, Describe, EXTRACT, Extract, FIND, Failed, Find, Findings, Found, MOST_PICTURES,
    READ_TEXT, ReadText,
};
use crate::shared::io;

/// Most tokens of a description.
const MOST_TOKENS: usize = 1024;
/// Most tokens of a transcription or of extracted data.
const LONG: usize = 4096;
/// Questions of a search that are asked at the same time.
const AT_ONCE: usize = 4;
/// Answers of a search.
const YES_OR_NO: &str = r"(Yes|No)[^\n]{0,200}";

/// A server of tools: the model that answers, and the folders that they may read.
#[derive(Clone)]
pub(crate) struct Tools<M> {
    model: M,
    roots: Roots,
}

/// One call of a tool.
struct Call<'a, M> {
    tools: &'a Tools<M>,
    extensions: &'a Extensions,
    progress: &'a Progress,
}

/// Cancels a request when the call that waits for it ends.
struct Waiting(RequestControl);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<M: Model> Tools<M> {
    pub(crate) fn new(model: M, roots: Roots) -> Self {
        Self { model, roots }
    }
}

impl<M: Model> ServerHandler for Tools<M> {
    fn get_info(&self) -> ServerConfig {
        let about = "Tools that look at pictures with a model on this machine; no picture leaves it.";
        let instructions = format!("{about} Paths are resolved below these folders: {}.", self.roots.names());
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new("ocelli", env!("CARGO_PKG_VERSION")).with_title("Ocelli"))
            .with_instructions(instructions)
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> std::result::Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools::all()))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        tools::all().into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> std::result::Result<CallToolResponse, ErrorData> {
        let CallToolRequestParams { name, arguments, .. } = request;
        if self.get_tool(&name).is_none() {
            return Err(ErrorData::invalid_params(format!("there is no tool {name:?}"), None));
        }
        let progress = Progress::new(&context);
        let call = Call { tools: self, extensions: &context.extensions, progress: &progress };
        let outcome = tokio::select! {
            outcome = call.run(&name, Value::Object(arguments.unwrap_or_default())) => outcome,
            // Ends the questions of the call too.
            () = context.ct.cancelled() => Err(Error::Aborted),
        };
        let failed =
            |error: Error| CallToolResult::error(vec![ContentBlock::text(format!("error[{}]: {error}", error.code()))]);
        Ok(outcome.unwrap_or_else(failed).into())
    }
}

impl<M: Model> Call<'_, M> {
    async fn run(&self, name: &str, arguments: Value) -> Result<CallToolResult> {
        match name {
            DESCRIBE => self.describe(read(arguments)?).await,
            READ_TEXT => self.read_text(read(arguments)?).await,
            EXTRACT => self.extract(read(arguments)?).await,
            COMPARE => self.compare(read(arguments)?).await,
            FIND => self.find(read(arguments)?).await,
            _ => Err(Error::request("name", "is no tool")),
        }
    }

    async fn describe(&self, Describe { image, question, detail }: Describe) -> Result<CallToolResult> {
        let text = question.unwrap_or_else(|| "Describe this image.".into());
        self.told(self.question(text, vec![image], detail.into())).await
    }

    async fn read_text(&self, ReadText { image }: ReadText) -> Result<CallToolResult> {
        let question = self.question("What does the text in the image say?".into(), vec![image], Detail::High);
        self.told(Question { max_tokens: Some(LONG), is_exact: true, ..question }).await
    }

    async fn extract(&self, Extract { image, schema, instructions }: Extract) -> Result<CallToolResult> {
        let text = instructions.unwrap_or_else(|| "Extract the data in this image as JSON.".into());
        let format = Some(json!({"type": "json_schema", "json_schema": {"schema": schema}}));
        let question = self.question(text, vec![image], Detail::High);
        let question = Question { format, max_tokens: Some(LONG), is_exact: true, ..question };
        let answer = self.answer(question, true).await?;
        let cut = |_| Error::request("schema", format!("the result was cut off: {}", answer.text));
        let value: Value = serde_json::from_str(&answer.text).map_err(cut)?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(answer.text.clone())]);
        // Clients of earlier protocols accept objects alone.
        result.structured_content = value.is_object().then_some(value);
        Ok(result)
    }

    async fn compare(&self, Compare { images, question }: Compare) -> Result<CallToolResult> {
        if !(2..=MOST_PICTURES).contains(&images.len()) {
            return Err(Error::request("images", format!("has {} pictures, not 2 to {MOST_PICTURES}", images.len())));
        }
        let text = question.unwrap_or_else(|| "What are the differences between these images?".into());
        self.told(self.question(text, images, Detail::Auto)).await
    }

    async fn find(&self, wanted: Find) -> Result<CallToolResult> {
        let (roots, folder, is_deep) = (self.tools.roots.clone(), wanted.folder.clone(), wanted.recursive);
        let Listing { pictures, skipped } = elsewhere(move || roots.list(&folder, is_deep)).await?;
        let total = pictures.len();
        let looks = pictures.into_iter().map(|path| {
            let question = wanted.question.clone();
            async move {
                let answer = self.look(&path, question).await;
                (path.display().to_string(), answer)
            }
        });
        let mut looks = stream::iter(looks).buffer_unordered(AT_ONCE);
        let mut findings = Findings { found: Vec::new(), looked_at: 0, pictures: total, skipped, failed: Vec::new() };
        while let Some((path, answer)) = looks.next().await {
            findings.looked_at += 1;
            self.progress.part(findings.looked_at, total, path.clone()).await;
            match answer {
                Ok(answer) if answer.starts_with("Yes") => findings.found.push(Found { path, answer }),
                Ok(_) => {}
                // Other pictures would fail too.
                Err(error @ (Error::DeviceLost { .. } | Error::Aborted | Error::ModelNotFound { .. })) => {
                    return Err(error);
                }
                Err(error) => findings.failed.push(Failed { path, error: error.to_string() }),
            }
            if wanted.limit.is_some_and(|limit| findings.found.len() >= limit) {
                break;
            }
        }
        findings.found.sort_by(|one, other| one.path.cmp(&other.path));
        let value = serde_json::to_value(&findings).map_err(|error| Error::Internal { detail: error.to_string() })?;
        let mut result = CallToolResult::success(vec![ContentBlock::text(io::json(&value)?)]);
        result.structured_content = Some(value);
        Ok(result)
    }

    /// The answer to a question of yes or no about one picture of a folder.
    async fn look(&self, path: &Path, text: String) -> Result<String> {
        let format = Some(json!({"type": "regex", "regex": YES_OR_NO, "in_prompt": false}));
        let question = self.question(text, vec![path.display().to_string()], Detail::Auto);
        let question = Question { format, max_tokens: Some(100), is_exact: true, ..question };
        Ok(self.answer(question, false).await?.text)
    }

    /// A question about pictures that is answered with a description.
    fn question(&self, text: String, pictures: Vec<String>, detail: Detail) -> Question {
        let (roots, max_tokens) = (self.tools.roots.clone(), Some(MOST_TOKENS));
        Question { text, pictures, detail, roots, format: None, max_tokens, is_exact: false }
    }

    /// The answer as the result of a tool.
    async fn told(&self, question: Question) -> Result<CallToolResult> {
        let Answer { mut text, is_cut } = self.answer(question, true).await?;
        if is_cut {
            text.push_str(" [cut off]");
        }
        Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
    }

    async fn answer(&self, question: Question, reports: bool) -> Result<Answer> {
        let control = RequestControl::new();
        let _waiting = Waiting(control.clone());
        let mut steps = self.tools.model.ask(question, control, self.extensions)?;
        let mut parts = 0;
        while let Some(step) = steps.recv().await {
            let message = match step {
                Step::End(outcome) => return Answer::of(&outcome?),
                Step::Note(message) => message,
                Step::Part => {
                    parts += 1;
                    format!("{parts} parts of the answer")
                }
            };
            if reports {
                self.progress.step(message).await;
            }
        }
        Err(Error::Internal { detail: "the engine has stopped".into() })
    }
}

/// The text of an answer.
struct Answer {
    text: String,
    /// True if it reached its longest length.
    is_cut: bool,
}

impl Answer {
    /// Reads the body of a chat completion.
    fn of(body: &str) -> Result<Self> {
        let body: Value = serde_json::from_str(body).map_err(|error| Error::Internal { detail: error.to_string() })?;
        let choice = &body["choices"][0];
        let text = choice["message"]["content"].as_str().unwrap_or_default().trim().to_owned();
        Ok(Self { text, is_cut: choice["finish_reason"] == "length" })
    }
}

/// The arguments of a call.
fn read<T: DeserializeOwned>(arguments: Value) -> Result<T> {
    serde_json::from_value(arguments).map_err(|error| Error::request("arguments", error.to_string()))
}

/// Runs work that waits for files on a thread that may block.
async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let outcome = tokio::task::spawn_blocking(work).await;
    outcome.unwrap_or_else(|error| Err(Error::Internal { detail: error.to_string() }))
}
