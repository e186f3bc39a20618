//! PDF documents in requests: their pages take their place as pictures, before a request is read.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ocelli::engine::RequestControl;
use ocelli::{Error, Result};
use serde_json::{Value, json};

use super::pdf::{self, Allowance};

/// Most pages of all documents of a request.
const MOST_PAGES: usize = 32;
/// Beginning of the URL of a document's bytes.
const DATA: &str = "data:application/pdf;base64,";

/// The bytes of an uploaded file that the sender may read, if it is a document.
pub(crate) type Uploads<'a> = &'a dyn Fn(&str) -> Option<Vec<u8>>;

/// No uploaded files.
pub(crate) fn none(_: &str) -> Option<Vec<u8>> {
    None
}

/// Returns false for a request that has no documents.
pub(crate) fn may_be_in(body: &str) -> bool {
    ["application/pdf", "file_id"].iter().any(|mark| body.contains(mark))
}

/// The request with the pages of its documents as pictures; `None` if it has no documents.
///
/// # Errors
/// `invalid-request` with the field of a document that cannot be read, or that exceeds the number of pages; `aborted`.
pub(crate) fn expanded(body: &str, uploads: Uploads<'_>, control: &RequestControl) -> Result<Option<String>> {
    if !may_be_in(body) {
        return Ok(None);
    }
    // The reader of requests reports what is malformed.
    let Ok(mut request) = serde_json::from_str::<Value>(body) else { return Ok(None) };
    let mut pages = Expansion { uploads, allowance: Allowance::new(control), pages: 0, documents: 0 };
    for field in ["messages", "input"] {
        request.get_mut(field).map_or(Ok(()), |value| pages.expand(value, field))?;
    }
    Ok((pages.documents > 0).then(|| request.to_string()))
}

struct Expansion<'a> {
    uploads: Uploads<'a>,
    allowance: Allowance,
    /// Pages and documents so far.
    pages: usize,
    documents: usize,
}

/// A way to write parts of messages.
#[derive(Clone, Copy)]
enum Dialect {
    Chat,
    Responses,
    Messages,
}

impl Expansion<'_> {
    fn expand(&mut self, value: &mut Value, field: &str) -> Result<()> {
        match value {
            Value::Array(parts) => {
                for (index, mut part) in std::mem::take(parts).into_iter().enumerate() {
                    let field = format!("{field}[{index}]");
                    match self.pictures(&part, &field)? {
                        Some(pictures) => parts.extend(pictures),
                        None => {
                            self.expand(&mut part, &field)?;
                            parts.push(part);
                        }
                    }
                }
                Ok(())
            }
            // Arguments and schemas of calls have no parts.
            Value::Object(fields) => ["content", "output"].into_iter().try_for_each(|name| {
                let inner = format!("{field}.{name}");
                fields.get_mut(name).map_or(Ok(()), |value| self.expand(value, &inner))
            }),
            _ => Ok(()),
        }
    }

    /// The pages of a part that is a document.
    fn pictures(&mut self, part: &Value, field: &str) -> Result<Option<Vec<Value>>> {
        let Some((dialect, document)) = self.document(part) else { return Ok(None) };
        let refuse = |reason: String| Error::request(field, reason);
        let document = document.ok_or_else(|| refuse("is not base64".into()))?;
        let most = MOST_PAGES - self.pages;
        let pages = pdf::all(&document, most, &mut self.allowance).map_err(|error| match error {
            Error::Aborted => error,
            Error::InvalidImage { reason } => refuse(reason),
            error => refuse(error.to_string()),
        })?;
        if pages.total > most {
            let total = self.pages + pages.total;
            return Err(refuse(format!(
                "with this document the request has {total} pages, at most {MOST_PAGES} are read"
            )));
        }
        if pages.total == 0 {
            return Err(refuse("is a document without pages".into()));
        }
        self.pages += pages.total;
        self.documents += 1;
        let detail = part.get("detail").cloned().unwrap_or_else(|| "auto".into());
        let picture = |png: &Vec<u8>| {
            let data = STANDARD.encode(png);
            match dialect {
                Dialect::Chat => {
                    json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{data}")}})
                }
                Dialect::Responses => {
                    json!({"type": "input_image", "image_url": format!("data:image/png;base64,{data}"), "detail": detail})
                }
                Dialect::Messages => {
                    json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}})
                }
            }
        };
        Ok(Some(pages.pictures.iter().map(picture).collect()))
    }

    /// The bytes of a part that is a document, or `None` in their place if they are malformed.
    fn document(&self, part: &Value) -> Option<(Dialect, Option<Vec<u8>>)> {
        let (dialect, source) = match part.get("type")?.as_str()? {
            "file" => (Dialect::Chat, part.get("file")?),
            "input_file" => (Dialect::Responses, part),
            "document" => (Dialect::Messages, part.get("source")?),
            _ => return None,
        };
        let text = |name: &str| source.get(name).and_then(Value::as_str);
        let decoded = |data: &str| STANDARD.decode(data).or_else(|_| STANDARD_NO_PAD.decode(data)).ok();
        if let Some(id) = text("file_id") {
            return (self.uploads)(id).map(|bytes| (dialect, Some(bytes)));
        }
        let data = match dialect {
            Dialect::Messages => text("data").filter(|_| text("media_type") == Some("application/pdf")),
            _ => text("file_data").and_then(|url| url.strip_prefix(DATA)),
        };
        data.map(|data| (dialect, decoded(data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_documents_are_left_alone() {
        for body in [
            "no JSON application/pdf",
            r#"{"messages": [{"role": "user", "content": "application/pdf"}]}"#,
            r#"{"messages": [{"content": [{"type": "file", "file": {"file_id": "file-1"}}]}]}"#,
            r#"{"tools": [{"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0="}}]}"#,
        ] {
            assert_eq!(expanded(body, &none, &RequestControl::new()), Ok(None), "{body}");
        }
    }

    #[test]
    fn documents_that_are_not_base64_are_refused_by_name() {
        let refused = |body: &str| expanded(body, &none, &RequestControl::new()).map_err(|error| error.to_string());
        let chat = r#"{"messages": [{"content": [{"type": "text"}, {"type": "file", "file": {"file_data": "data:application/pdf;base64,*"}}]}]}"#;
        assert_eq!(refused(chat), Err("messages[0].content[1]: is not base64".into()));
        let response =
            r#"{"input": [{"content": [{"type": "input_file", "file_data": "data:application/pdf;base64,*"}]}]}"#;
        assert_eq!(refused(response), Err("input[0].content[0]: is not base64".into()));
        let result = r#"{"messages": [{"content": [{"type": "tool_result", "content": [
            {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "*"}}]}]}]}"#;
        assert_eq!(refused(result), Err("messages[0].content[0].content[0]: is not base64".into()));
    }
}
