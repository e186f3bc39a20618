//! The requests of a batch: lines of JSON in the format of OpenAI's Batch API, each with an id chosen by the caller.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use ocelli::Result;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Length limit of a line.
const MOST_BYTES: usize = 64 << 20;

/// A request of a batch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct BatchRequest {
    /// The caller's id, unique within the batch.
    pub(crate) custom_id: String,
    /// Endpoint that answers it, such as `/v1/chat/completions`.
    pub(crate) url: String,
    /// The request, as JSON.
    pub(crate) body: String,
}

/// Error of a line, in the format of a batch's errors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineError {
    pub(crate) code: String,
    pub(crate) message: String,
    /// The faulty field, if any.
    pub(crate) param: Option<String>,
    /// The line, counted from 1.
    pub(crate) line: usize,
}

/// A line's request, or its error.
pub(crate) type Line = std::result::Result<BatchRequest, LineError>;

#[derive(Deserialize)]
struct Wire {
    custom_id: Option<String>,
    method: Option<String>,
    url: Option<String>,
    body: Option<Map<String, Value>>,
}

/// Reads lines one at a time and skips empty ones.
pub(crate) struct Requests<R> {
    reader: R,
    line: usize,
    /// Line of each id that has been read.
    seen: HashMap<String, usize>,
}

impl<R: BufRead> Requests<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, line: 0, seen: HashMap::new() }
    }

    /// The next line; `None` at the end.
    ///
    /// # Errors
    /// `io` if the file cannot be read. Errors of a line are returned as its value.
    pub(crate) fn next(&mut self) -> std::io::Result<Option<Line>> {
        loop {
            let mut bytes = Vec::new();
            if self.reader.by_ref().take(MOST_BYTES as u64 + 1).read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            if bytes.len() > MOST_BYTES && bytes.last() != Some(&b'\n') {
                self.reader.skip_until(b'\n')?;
                return Ok(Some(Err(self.error("line_too_long", format!("more than {MOST_BYTES} bytes"), None))));
            }
            if !bytes.trim_ascii().is_empty() {
                return Ok(Some(self.parse(&bytes)));
            }
        }
    }

    fn parse(&mut self, bytes: &[u8]) -> Line {
        // serde gives a position within this one line.
        let told = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at byte ");
        let invalid = |error| self.error("invalid_json_line", told(error), None);
        let Wire { custom_id, method, url, body } = serde_json::from_slice(bytes).map_err(invalid)?;
        let missing =
            |field: &str| self.error("missing_required_parameter", format!("{field} is missing"), Some(field));
        let custom_id = custom_id.filter(|id| !id.is_empty()).ok_or_else(|| missing("custom_id"))?;
        let (url, body) = (url.ok_or_else(|| missing("url"))?, body.ok_or_else(|| missing("body"))?);
        if let Some(method) = method.filter(|method| method != "POST") {
            return Err(self.error("invalid_method", format!("{method} is not POST"), Some("method")));
        }
        if let Some(first) = self.seen.get(&custom_id) {
            let message = format!("{custom_id:?} is the id of line {first} too");
            return Err(self.error("duplicate_custom_id", message, Some("custom_id")));
        }
        self.seen.insert(custom_id.clone(), self.line);
        Ok(BatchRequest { custom_id, url, body: Value::Object(body).to_string() })
    }

    fn error(&self, code: &str, message: String, param: Option<&str>) -> LineError {
        LineError { code: code.into(), message, param: param.map(str::to_owned), line: self.line }
    }
}

/// The contents of a file of at most `most` lines: the ids of its requests, and the errors of invalid lines.
///
/// # Errors
/// `io` if it cannot be read, `invalid-request` if it has more lines.
pub(crate) fn survey(reader: impl BufRead, name: &str, most: usize) -> Result<(Vec<String>, Vec<LineError>)> {
    let (mut requests, mut ids, mut wrong) = (Requests::new(reader), Vec::new(), Vec::new());
    while let Some(line) = requests.next().map_err(|error| ocelli::Error::io(name, &error))? {
        if ids.len() + wrong.len() == most {
            return Err(ocelli::Error::request(name, format!("has more than {most} lines")));
        }
        match line {
            Ok(request) => ids.push(request.custom_id),
            Err(error) => wrong.push(error),
        }
    }
    Ok((ids, wrong))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_lines_are_reported_by_number_and_the_others_are_read() {
        let text = concat!(
            r#"{"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": {"n": 1}}"#,
            "\n\nno JSON\n",
            r#"{"custom_id": "a", "url": "/v1/completions", "body": {}}"#,
            "\n",
            r#"{"custom_id": "", "url": "/v1/completions", "body": {}}"#,
            "\n",
            r#"{"custom_id": "b", "method": "GET", "url": "/v1/models", "body": {}}"#,
            "\n{\"custom_id\": \"\\ud800\"}\n\u{fffd}\r\n",
            r#"{"custom_id": "b", "url": "/v1/completions", "body": {}}"#,
        );
        let (ids, wrong) = survey(text.as_bytes(), "in", 9).expect("readable");
        assert_eq!(ids, ["a", "b"]);
        let refused = survey(text.as_bytes(), "in", 7).expect_err("eight lines");
        assert_eq!(refused.to_string(), "in: has more than 7 lines");
        let told: Vec<_> =
            wrong.iter().map(|error| (error.line, error.code.as_str(), error.param.as_deref())).collect();
        assert_eq!(
            told,
            [
                (3, "invalid_json_line", None),
                (4, "duplicate_custom_id", Some("custom_id")),
                (5, "missing_required_parameter", Some("custom_id")),
                (6, "invalid_method", Some("method")),
                (7, "invalid_json_line", None),
                (8, "invalid_json_line", None),
            ]
        );
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_the_limit() {
        let long = std::io::BufReader::new(std::io::repeat(b'x').take(3 * MOST_BYTES as u64));
        let (ids, wrong) = survey(long, "in", 1).expect("readable");
        assert_eq!((ids.len(), wrong.len(), wrong[0].code.as_str()), (0, 1, "line_too_long"));
    }
}
